"""A run's progress on the terminal: epoch, rate, time left, loss, accuracy."""

from __future__ import annotations

import contextlib
import time
from typing import Any

from torch import Tensor

from gpunet.core.text import duration
from gpunet.train.checkpoint import Position
from gpunet.train.recipe import Recipe
from gpunet.train.score import EpochScore

_REDRAW_S = 0.5


class TrainingProgress(contextlib.AbstractContextManager["TrainingProgress"]):
    """A bar, or nothing where it is not wanted; drawn at most twice a second."""

    def __init__(self, wanted: bool, recipe: Recipe, batches: int) -> None:
        self._recipe, self._batches = recipe, batches
        self._bar: Any = None
        self._said = ""
        self._drawn_s = 0.0
        self._began: tuple[float, int] | None = None
        if wanted:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn

            columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[said]}"))
            self._bar = Progress(*columns, console=Console(stderr=True), auto_refresh=False)
            self._task = self._bar.add_task("", total=recipe.epochs * batches, said="")

    def __enter__(self) -> TrainingProgress:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, done: Position, loss: Tensor) -> None:
        """What has been done; the loss is of the last batch."""
        if self._bar is None:
            return
        now_s, batches = time.monotonic(), done.epoch * self._batches + done.step
        if self._began is None:
            self._began = now_s, batches
        if now_s - self._drawn_s < _REDRAW_S:
            return
        self._drawn_s = now_s
        since_s, since = now_s - self._began[0], batches - self._began[1]
        rate = f"{since * self._recipe.batch_size / since_s:.0f} images/s, " if since else ""
        left_s = since_s / since * (self._recipe.epochs * self._batches - batches) if since else 0.0
        left = f"{duration(left_s)} left, " if since else ""
        self._bar.update(
            self._task, completed=batches, description=f"epoch {done.epoch + 1}/{self._recipe.epochs}",
            said=f"{rate}{left}loss {float(loss):.3f}{self._said}", refresh=True,
        )  # fmt: skip

    def epoch(self, score: EpochScore) -> None:
        """The score of an epoch that has ended."""
        if self._bar is None:
            return
        if score.top1_percent is not None:
            self._said = f", top-1 {score.top1_percent:.2f} %"
        self._bar.update(self._task, completed=score.epoch * self._batches, refresh=True)
