"""What is known of networks before any is trained, and how well it orders them: within tiers of equal cost.

    python benchmarks/bench_priors.py --nas-bench-macro nas_bench_macro.json.gz
    python benchmarks/bench_priors.py --nas-bench-macro nas_bench_macro.json.gz --search      # and what searches gain
    python benchmarks/bench_priors.py --timm --networks 24

Kendall's tau of a score and the accuracy, in each tier: 1 for the same order, 0 for none. The scores are sums over a
network's layers, and two zero-cost scores of random weights on one batch. With --search, LaMcts with each score as a
further input of its model; every row has the same seeds.
"""

from __future__ import annotations

import argparse
import functools
import gzip
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from optimizer_benchmark.catalogue import read_nas_bench
from prior_benchmark.macro import PX, macro_network
from prior_benchmark.scores import naswot, synflow
from torch import Tensor, nn

from gpunet.core import console
from gpunet.core.progress import ProgressBar
from gpunet.latency.report import kendall_tau
from gpunet.search.optimize.domain import Pool
from gpunet.search.optimize.lamcts import LaMcts
from gpunet.zoo.timm_zoo.tables import network_rows, throughput_rows

ZERO_COST: dict[str, Callable[[nn.Module, Tensor], float]] = {"synflow": synflow, "naswot": naswot}
_BATCH = 32
_BUDGETS = (20, 40)
_TIMM_CHIP = "rtx4090"


@dataclass(frozen=True)
class Network:
    """One whose accuracy is known.

    Args:
        name: of it.
        digits: what a search sees of it without any score.
        accuracy: percent.
        cost: tiers are cut by it.
        known: scores of its layers' sums, by name.
        make: builds it, untrained.
        px: side of its input.
    """

    name: str
    digits: tuple[float, ...]
    accuracy: float
    cost: float
    known: dict[str, float]
    make: Callable[[], nn.Module]
    px: int


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark with these arguments (default: the process's)."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--nas-bench-macro", type=Path, metavar="FILE", help="its JSON, plain or gzipped")
    parser.add_argument("--timm", action="store_true", help="timm's results, of input sizes up to 224 px")
    parser.add_argument("--networks", type=int, default=200, help="of each tier, drawn at random (default: 200)")
    parser.add_argument("--tiers", type=int, default=4, help="of equal size by cost (default: 4)")
    parser.add_argument("--search", action="store_true", help="regret of searches with each score as an input, too")
    parser.add_argument("--seeds", type=int, default=5, help="of the searches (default: 5)")
    args = parser.parse_args(arguments)
    torch.set_num_threads(1)
    sources: dict[str, list[Network]] = {}
    if args.nas_bench_macro:
        sources["NAS-Bench-Macro"] = macro_networks(args.nas_bench_macro)
    if args.timm:
        sources["timm"] = timm_networks()
    for source, networks in sources.items():
        tiers = cut(networks, args.tiers, args.networks)
        scored = [scores_of(f"{source}, tier {number}", tier) for number, tier in enumerate(tiers)]
        print(correlations(source, tiers, scored), flush=True)
        if args.search:
            print(searches(source, tiers, scored, args.seeds), flush=True)


def macro_networks(path: Path) -> list[Network]:
    """NAS-Bench-Macro's, by multiply-adds."""
    read_nas_bench(path)  # what is no such file is refused with the reason
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as file:
        found = json.load(file)
    return [
        Network(
            code, tuple(map(float, code)), float(row["mean_acc"]), float(row["flops"]),
            {"log multiply-adds": math.log(row["flops"]), "log parameters": math.log(row["params"]),
             "depth": float(sum(digit != "0" for digit in code))},
            functools.partial(macro_network, code), PX,
        ) for code, row in found.items()
    ]  # fmt: skip


def timm_networks() -> list[Network]:
    """Timm's architectures trained on ImageNet-1k alone, by published throughput on one GPU; the best tag each."""
    ips = {(str(row["architecture"]), int(row["input_px"])): float(row["throughput_ips"]) for row in throughput_rows()
           if row["chip"] == _TIMM_CHIP}  # fmt: skip
    best: dict[str, Network] = {}
    for row in network_rows():
        architecture, px = str(row["tag"]).partition(".")[0], int(row["input_px"])
        speed = ips.get((architecture, px))
        names = ("multiply_adds_billions", "parameters_millions", "activations_millions")
        figures = {name: float(row[name] or 0) for name in (*names, "top1_percent")}
        if not speed or px > 224 or row["pretraining"] != "imagenet-1k" or not all(figures.values()):
            continue
        known = {f"log {each.rpartition('_')[0].replace('_', '-')}": math.log(figures[each]) for each in names}
        found = Network(architecture, (), figures["top1_percent"], 1000 / speed, known, _maker(architecture), px)
        if architecture not in best or found.accuracy > best[architecture].accuracy:
            best[architecture] = found
    return list(best.values())


def _maker(architecture: str) -> Callable[[], nn.Module]:
    def make() -> nn.Module:
        import timm

        network: nn.Module = timm.create_model(architecture, num_classes=10)
        return network

    return make


def cut(networks: Sequence[Network], tiers: int, count: int) -> list[list[Network]]:
    """So many parts of equal size by cost, and so many networks of each."""
    order, generator = sorted(networks, key=lambda each: each.cost), np.random.default_rng(0)
    found = []
    for number in range(tiers):
        part = order[number * len(order) // tiers : (number + 1) * len(order) // tiers]
        chosen = generator.permutation(len(part))[:count]
        found.append([part[place] for place in chosen])
    return found


def scores_of(title: str, networks: Sequence[Network]) -> dict[str, np.ndarray]:
    """Every score of every network, n each; NaN where a network cannot be scored."""
    found: dict[str, list[float]] = {name: [] for name in (*networks[0].known, *ZERO_COST)}
    generator = torch.Generator().manual_seed(0)
    with ProgressBar(title) as bar:
        for number, each in enumerate(networks):
            images = torch.randn(_BATCH if each.px <= PX else 8, 3, each.px, each.px, generator=generator)
            for name, value in each.known.items():
                found[name].append(value)
            for name, score in ZERO_COST.items():
                torch.manual_seed(0)
                try:
                    value = score(each.make(), images)
                except (
                    RuntimeError
                ):  # it cannot be run in double precision, or has no gradient: not scored, and counted
                    value = math.nan
                found[name].append(value if math.isfinite(value) else math.nan)
            bar.update(number + 1, total=len(networks))
    return {name: np.array(values) for name, values in found.items()}


def correlations(source: str, tiers: Sequence[Sequence[Network]], scored: Sequence[dict[str, np.ndarray]]) -> str:
    """A table: Kendall's tau of each score in each tier."""
    rows = []
    for name in scored[0]:
        taus = [_tau(scores[name], tier) for scores, tier in zip(scored, tiers, strict=True)]
        rows.append((name, *(f"{tau:+.2f}" for tau in taus), f"{np.nanmean(taus):+.2f}"))
    unscored = sum(int((~np.isfinite(scores[name])).sum()) for scores in scored for name in ZERO_COST)
    if unscored:
        console.note(f"{source}: {unscored} zero-cost scores could not be computed, and count in no correlation")
    columns = [f"{source}", *(f"tier {number}>" for number in range(len(tiers))), "mean>"]
    return console.table(columns, rows)


def _tau(scores: np.ndarray, tier: Sequence[Network]) -> float:
    kept = np.isfinite(scores)
    return kendall_tau(scores[kept], np.array([each.accuracy for each in tier])[kept])


def searches(
    source: str, tiers: Sequence[Sequence[Network]], scored: Sequence[dict[str, np.ndarray]], seeds: int
) -> str:
    """A table: mean regret of LaMcts in the tiers, with no score and with each as a further input."""
    rows = []
    for name in (None, *scored[0]):
        regrets = np.array([
            _regrets(tier, None if name is None else scores[name], seed)
            for scores, tier in zip(scored, tiers, strict=True) for seed in range(seeds)
        ])  # fmt: skip
        rows.append((name or "none", *(f"{regret:.3f}" for regret in regrets.mean(axis=0))))
    return console.table([f"{source}, score as input", *(f"regret @{budget}>" for budget in _BUDGETS)], rows)


def _regrets(tier: Sequence[Network], score: np.ndarray | None, seed: int) -> list[float]:
    """Points of accuracy behind the tier's best after each of _BUDGETS evaluations."""
    points = np.array([each.digits for each in tier])
    if score is not None:
        points = np.column_stack([points, np.where(np.isfinite(score), score, np.nanmin(score))])
    accuracy = {tuple(point): each.accuracy for point, each in zip(points.tolist(), tier, strict=True)}
    optimizer, told = LaMcts(Pool(points), seed=seed, budget=max(_BUDGETS)), []
    for _ in range(max(_BUDGETS)):
        point = optimizer.ask(1)[0]
        told.append(accuracy[tuple(np.asarray(point).tolist())])
        optimizer.tell(point, told[-1])
    best = max(accuracy.values())
    return [best - max(told[:budget]) for budget in _BUDGETS]


if __name__ == "__main__":
    console.run(main)
