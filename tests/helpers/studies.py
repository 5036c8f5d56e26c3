"""Small studies for tests: a space of 72 networks with made-up latencies, trainers that train nothing, a clock."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from gpunet.errors import PreemptedError
from gpunet.search import ConvSpace, StageChoices, StudyDefinition, Trained
from gpunet.search.storage.storage import StudyStorage
from gpunet.search.study.definition import defined
from gpunet.search.study.opening import open_study
from gpunet.search.study.study import Study
from gpunet.search.work.creation import create_study
from helpers.estimates import Roofline, roofline_of

SPACE = ConvSpace(
    (16, 24, 32), (8,),
    (StageChoices("conv", 2, None, (3,), activations=("swish",)),
     StageChoices("irb", 2, (8, 16), (3, 5), (1, 2, 3), ("swish",), (2, 4), (True,))),
    head_filters=16,
)  # fmt: skip
EPOCHS = 3
PATIENCE_S = 60.0  # where nothing is meant to be waited for, a guard against hanging


@cache
def estimator() -> Roofline:
    return roofline_of(SPACE)


@cache
def every_network() -> np.ndarray:
    vectors = np.array(list(itertools.product(*(range(len(digit.values)) for digit in SPACE.digits))))
    return np.unique(SPACE.canonical(vectors), axis=0)


def definition(low_ms: float = 0.0, high_ms: float = float("inf"), **changes: Any) -> StudyDefinition:
    options = {"trainer": {"trainer": "made up"}, "epochs": EPOCHS, "max_trials": 20, "num_classes": 10,
               "optimizer": "random", **changes}  # fmt: skip
    return defined(SPACE, estimator(), low_ms, high_ms, **options)


class Time:
    """A clock that goes on only when somebody sleeps."""

    def __init__(self) -> None:
        self.now_s, self.slept = 0.0, 0

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds
        self.slept += 1


class Place:
    """Where a test keeps its study; opened storages are closed after it."""

    def __init__(self, kind: str, url: str, name: str, folder: Path) -> None:
        self.kind, self.url, self.name, self.folder = kind, url, name, folder
        self._opened: list[StudyStorage] = []

    def storage(self, **options: Any) -> StudyStorage:
        made = StudyStorage(self.url, **{"patience_s": PATIENCE_S, **options})
        self._opened.append(made)
        return made

    def create(self, made: StudyDefinition | None = None, **options: Any) -> Study:
        made = definition() if made is None else made
        return create_study(self.url, self.name, made, folder=self.folder, storage=self.storage(**options))

    def open(self, **options: Any) -> Study:
        """As another process would: with a storage of its own."""
        return open_study(self.url, self.name, storage=self.storage(**options))

    def close(self) -> None:
        for each in self._opened:
            each.close()


def accuracy(vector: Sequence[int], epoch: int) -> float:
    """Top-1 in percent: a property of the network, better with every epoch."""
    return 20 + zlib.crc32(repr([int(index) for index in vector]).encode()) % 1000 / 20 + 5 * epoch


class Trainer:
    """Keeps the number of the last epoch in the trial's folder, and what it trained.

    Args:
        before: called before an epoch is trained, with vector and epoch; it may raise.
        epochs: of a trial.
    """

    def __init__(self, before: Callable[[Sequence[int], int], None] = lambda vector, epoch: None,
                 epochs: int = EPOCHS, score: Callable[[Sequence[int], int], float] = accuracy) -> None:  # fmt: skip
        self.before, self.epochs, self.score = before, epochs, score
        self.trained: list[tuple[tuple[int, ...], int]] = []
        self.seeds: set[int] = set()

    def __call__(
        self, vector: Sequence[int], folder: Path, *, seed: int,
        report: Callable[[int, float, float], bool], should_stop: Callable[[], bool],
    ) -> Trained:  # fmt: skip
        self.seeds.add(seed)
        folder.mkdir(parents=True, exist_ok=True)
        checkpoint = folder / "epoch.txt"
        for epoch in range(1, self.epochs + 1):
            if not checkpoint.exists() or int(checkpoint.read_text(encoding="utf-8")) < epoch:
                self.before(vector, epoch)
                if should_stop():
                    raise PreemptedError("the run was asked to leave.")
                self.trained.append((tuple(vector), epoch))
                checkpoint.write_text(str(epoch), encoding="utf-8")
            if report(epoch, self.score(vector, epoch), 1.0):
                return Trained(self.score(vector, epoch), epoch, True, None, 1.0)
        return Trained(self.score(vector, self.epochs), self.epochs, False, folder / "model.safetensors", 1.0)
