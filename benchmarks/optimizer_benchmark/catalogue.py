"""The problems of benchmarks/bench_optimizers.py by their names, each a domain and the regret of its points."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from gpunet.errors import InvalidArgumentError
from gpunet.search import Domain, Lattice, Pool
from optimizer_benchmark.paper_tiers import NOISE_PERCENT, paper_tier
from optimizer_benchmark.pools import PoolTable
from optimizer_benchmark.problems import MIXED, MixedStudy, ShiftedFunction


@dataclass(frozen=True)
class Problem:
    """What is minimised.

    Attributes:
        domain: where to look.
        regret: of a point, without noise.
        noise: standard deviation of what is told beside the regret.
    """

    domain: Domain
    regret: Callable[[np.ndarray], float]
    noise: float = 0.0


@dataclass(frozen=True)
class Data:
    """What the problems with data need.

    Attributes:
        nas: FLOPs and mean accuracy of each network of NAS-Bench-Macro, by its digits.
        pools: tables of networks by name.
        tiers: into which these are cut, besides NAS-Bench-Macro as a whole.
        best_percent: of the one tier of the paper's space that is meant, where it is known.
    """

    nas: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    pools: Mapping[str, PoolTable] = field(default_factory=dict)
    tiers: int = 4
    best_percent: float | None = None


def finite_problems(data: Data) -> list[str]:
    """Names of all problems that there is data for."""
    names = ["nas", *(f"nas-tier{number}" for number in range(data.tiers))] if data.nas else []
    return names + [f"{pool}-tier{number}" for pool in data.pools for number in range(data.tiers)]


def problem_of(name: str, seed: int, data: Data) -> Problem:
    """The problem of that name, with the constants that the seed draws."""
    first, _, last = name.rpartition("-")
    if name.startswith("paper-"):
        found = paper_tier(first.removeprefix("paper-"), last, seed, data.best_percent)
        return Problem(found.tier, found.regret, NOISE_PERCENT)
    if name.startswith("nas"):
        return _nas_problem(name, data)
    if first in data.pools:
        points, accuracy = data.pools[first].tier(int(last.removeprefix("tier")), data.tiers)
        known = {point.tobytes(): value for point, value in zip(points, accuracy.tolist(), strict=True)}
        best = max(known.values())
        return Problem(Pool(points), lambda point: best - known[np.asarray(point, dtype=np.float64).tobytes()])
    if name == MIXED:
        study = MixedStudy(seed)
        return Problem(study.domain, study)
    shifted = ShiftedFunction(first, int(last), seed)
    return Problem(shifted.domain, shifted)


def prepared(name: str, seed: int, data: Data) -> Data:
    """The data for one problem, with what takes seconds and is the same for all its optimisers."""
    if not name.startswith("paper-"):
        return data
    model, _, tier = name.removeprefix("paper-").rpartition("-")
    return replace(data, best_percent=paper_tier(model, tier, seed).best_percent)


def read_nas_bench(path: Path) -> dict[str, tuple[float, float]]:
    """FLOPs and mean accuracy in percent of each network, by its digits.

    Raises:
        InvalidArgumentError: there is no such file.
    """
    if not path.is_file():
        raise InvalidArgumentError(f"There is no file {path}.", "--nas-bench-macro takes NAS-Bench-Macro's JSON.")
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as file:
        return {digits: (entry["flops"], entry["mean_acc"]) for digits, entry in json.load(file).items()}


def _nas_problem(name: str, data: Data) -> Problem:
    nas = data.nas
    ordered = sorted(nas, key=lambda digits: nas[digits])
    if name != "nas":
        number = int(name.removeprefix("nas-tier"))
        ordered = ordered[number * len(nas) // data.tiers : (number + 1) * len(nas) // data.tiers]
    best = max(nas[digits][1] for digits in ordered)
    points = np.array([[int(digit) for digit in digits] for digits in ordered])
    domain = Lattice([3] * points.shape[1]) if name == "nas" else Pool(points)
    return Problem(domain, lambda point: best - nas["".join(str(int(digit)) for digit in point)][1])
