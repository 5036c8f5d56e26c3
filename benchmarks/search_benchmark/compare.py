"""LA-MCTS against random search with twice as many trials, on networks that are each trained for real, once.

Every run asks its optimiser for one network after another; all runs go on in step, so that what they ask for is trained
by several processes at once. Accuracies are kept in a file: a network that another run or seed has asked for is not
trained again, and the command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import itertools
import json
import multiprocessing
import os
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gpunet.core import console
from gpunet.core.files import write_text
from gpunet.errors import InvalidArgumentError
from gpunet.search import ConvSpace, LaMcts, RandomSearch, RecipeTrainer, Tier
from gpunet.search.study.training import trainer_from_dict
from search_benchmark.estimates import Roofline, quantiles_ms, roofline_of

if TYPE_CHECKING:
    from gpunet.search.optimize.base import Optimizer

CUTS = (0.02, 0.35, 0.67, 0.98)  # of the networks by latency: three tiers
WELL_BELOW_PERCENT = 5.0  # of the best, that the median random network must lie, for a comparison to say anything
_SEED = 0  # of every network's weights and training
_KEEP_S = 10.0
Vector = tuple[int, ...]


def compare(args: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    """Run it on the demonstration's space; what to write, and what failed."""
    from gpunet.populate.presets import demo_data, demo_recipe, demo_space

    space = demo_space()
    estimator = roofline_of(space)
    trainer = RecipeTrainer(space, demo_recipe(args.epochs), demo_data(), device="cpu")
    cuts_ms = quantiles_ms(space, estimator, CUTS)
    return compare_in(
        space, estimator, trainer, list(itertools.pairwise(cuts_ms)), cache=args.cache, seeds=args.seeds,
        trials=args.trials, jobs=args.jobs,
    )  # fmt: skip


@dataclass
class ComparedRun:
    """One optimiser with one seed in one tier."""

    tier: int
    kind: str
    seed: int
    optimizer: Optimizer
    trials: int
    found: list[float] = field(default_factory=list)


def compare_in(
    space: ConvSpace, estimator: Roofline, trainer: RecipeTrainer, tiers_ms: Sequence[tuple[float, float]], *,
    cache: Path | None, seeds: int, trials: int, jobs: int,
) -> tuple[dict[str, Any], list[str]]:  # fmt: skip
    """Run it.

    Args:
        space: of the networks.
        estimator: of their latencies.
        trainer: of each.
        tiers_ms: bounds of each tier.
        cache: where accuracies are kept; None to keep none.
        seeds: runs of each optimiser in each tier.
        trials: of LA-MCTS; random search has twice as many.
        jobs: processes that train.

    Returns:
        The figures, in plain JSON types, and what failed.
    """
    tiers = [Tier(space, estimator, low_ms, high_ms) for low_ms, high_ms in tiers_ms]
    runs = [
        ComparedRun(number, kind, seed, make(tier, seed=seed), count)
        for number, tier in enumerate(tiers)
        for seed in range(seeds)
        for kind, make, count in (("lamcts", LaMcts, trials), ("random", RandomSearch, 2 * trials))
    ]
    with Accuracies(trainer, cache, jobs) as accuracies:
        for step in range(2 * trials):
            going = [run for run in runs if step < run.trials]
            asked = [tuple(int(index) for index in run.optimizer.ask()[0]) for run in going]
            known = accuracies.of(asked)
            for run, vector in zip(going, asked, strict=True):
                run.optimizer.tell(vector, known[vector])
                run.found.append(known[vector])
            if step % 10 == 9:
                console.note(f"{step + 1} trials of {2 * trials}, {len(accuracies.known)} networks trained")
        body, faults = summary(runs, [tier.label for tier in tiers], accuracies.known.values())
    body |= {"seeds": seeds, "trials": trials, "random_trials": 2 * trials, "trained": accuracies.trained}
    show(body)
    verdict = "FAIL" if faults else "PASS"
    print(f"\n{verdict}: LA-MCTS with {trials} trials a tier against random search with {2 * trials}, {seeds} seeds")
    return body, faults


class Accuracies:
    """Top-1 in percent of networks, each trained once; a context manager.

    Args:
        trainer: of the networks.
        path: of the file that keeps them.
        jobs: processes.

    Raises:
        InvalidArgumentError: the file is of another space, recipe or data.
    """

    def __init__(self, trainer: RecipeTrainer, path: Path | None, jobs: int) -> None:
        self._path, self._kept_s, self.trained = path, time.monotonic(), 0
        self._identity = json.loads(json.dumps({"space": trainer.space.to_dict(), "trainer": trainer.to_dict()}))
        self.known: dict[Vector, float] = {}
        if path is not None and path.exists():
            kept = json.loads(path.read_text(encoding="utf-8"))
            if kept.get("of") != self._identity:
                raise InvalidArgumentError(
                    f"{path} holds the accuracies of another space, recipe or data.", "Name another file."
                )
            self.known = {tuple(map(int, key.split())): value for key, value in kept["top1_percent"].items()}
        os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")
        self._pool = concurrent.futures.ProcessPoolExecutor(
            jobs, multiprocessing.get_context("spawn"), _start, (trainer.to_dict(), trainer.space)
        )

    def __enter__(self) -> Accuracies:
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown(cancel_futures=True)
        self._keep()

    def of(self, vectors: Iterable[Vector]) -> Mapping[Vector, float]:
        """Those of these networks, and of all others that are known."""
        missing = [vector for vector in dict.fromkeys(vectors) if vector not in self.known]
        for vector, top1_percent in zip(missing, self._pool.map(_train, missing), strict=True):
            self.known[vector] = top1_percent
            self.trained += 1
            if time.monotonic() - self._kept_s > _KEEP_S:
                self._keep()
        return self.known

    def _keep(self) -> None:
        if self._path is not None:
            named = {" ".join(map(str, vector)): value for vector, value in sorted(self.known.items())}
            write_text(self._path, json.dumps({"of": self._identity, "top1_percent": named}) + "\n")
        self._kept_s = time.monotonic()


_trainer: RecipeTrainer


def _start(trainer: dict[str, Any], space: ConvSpace) -> None:
    global _trainer
    import torch

    torch.set_num_threads(1)
    _trainer = trainer_from_dict(trainer, space, device="cpu")


def _train(vector: Vector) -> float:
    with tempfile.TemporaryDirectory(prefix="gpunet-compare-") as folder:
        done = _trainer(vector, Path(folder), seed=_SEED, report=lambda *_: False, should_stop=lambda: False)
    return done.top1_percent


# -------------------------------------------------------------------- figures


def summary(
    runs: Sequence[ComparedRun], labels: Sequence[str], known: Iterable[float]
) -> tuple[dict[str, Any], list[str]]:
    """Best found, by tier and optimiser, and where random search was ahead, or accuracies are saturated."""
    best: dict[tuple[str, int], dict[int, float]] = {}
    for run in runs:
        best.setdefault((run.kind, run.tier), {})[run.seed] = max(run.found)
    rows, faults = [], []
    numbered: list[tuple[int | None, str]] = [*enumerate(labels), (None, "all tiers")]
    for number, label in numbered:
        ours, theirs = _bests(best, "lamcts", number), _bests(best, "random", number)
        figures = (ours.mean(), ours.std(), theirs.mean(), theirs.std(), ours.mean() - theirs.mean())
        names = ("lamcts_mean", "lamcts_spread", "random_mean", "random_spread", "gain")
        rows.append({"tier": label, **dict(zip(names, map(float, figures), strict=True))})
        if ours.mean() < theirs.mean() - 1e-9:
            faults.append(f"{label}: random search found {theirs.mean():.2f} %, LA-MCTS {ours.mean():.2f} %")
    values, drawn = list(known), [value for run in runs if run.kind == "random" for value in run.found]
    networks = {"count": len(values), "random_median": float(np.median(drawn)), "best": float(np.max(values))}
    if networks["best"] - networks["random_median"] < WELL_BELOW_PERCENT:
        faults.append(
            f"accuracies are saturated: the median random network has {networks['random_median']:.2f} %, the best "
            f"{networks['best']:.2f} %"
        )
    return {"rows": rows, "networks": networks}, faults


def _bests(best: Mapping[tuple[str, int], Mapping[int, float]], kind: str, tier: int | None) -> np.ndarray:
    """Of each seed, in a tier, or in the mean over all."""
    tiers = [number for each, number in best if each == kind and tier in (None, number)]
    return np.mean([[best[kind, number][seed] for seed in sorted(best[kind, number])] for number in tiers], axis=0)


def show(body: dict[str, Any]) -> None:
    """Print the table."""
    cells = [[value if isinstance(value, str) else f"{value:.2f}" for value in row.values()] for row in body["rows"]]
    columns = ["best top-1 %", "LA-MCTS mean>", "spread>", "random mean>", "spread>", "gain>"]
    print(console.table(columns, cells))
    found = body["networks"]
    print(
        f"\n{found['count']} networks trained, the best of them {found['best']:.2f} %; the median that random search "
        f"drew {found['random_median']:.2f} %; spread: standard deviation over seeds"
    )
