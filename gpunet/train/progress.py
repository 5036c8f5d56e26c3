"""A run's progress on the terminal: epoch, rate, time left, loss, accuracy."""

from __future__ import annotations

import time

from torch import Tensor

from gpunet.core.progress import ProgressBar
from gpunet.train.checkpoint import Position
from gpunet.train.recipe import Recipe
from gpunet.train.score import EpochScore

_READ_S = 0.5  # reading a loss from a GPU waits for it


class TrainingProgress(ProgressBar):
    """A bar over all batches of a run, or nothing where it is not wanted."""

    def __init__(self, wanted: bool, recipe: Recipe, batches: int) -> None:
        super().__init__(f"epoch 1/{recipe.epochs}", recipe.epochs * batches, shown=wanted)
        self._recipe, self._batches, self._wanted = recipe, batches, wanted
        self._accuracy = ""
        self._read_s = 0.0
        self._began: tuple[float, int] | None = None

    def show(self, done: Position, loss: Tensor) -> None:
        """What has been done; the loss is of the last batch."""
        now_s, batches = time.monotonic(), done.epoch * self._batches + done.step
        if self._began is None:
            self._began = now_s, batches
        if not self._wanted or now_s - self._read_s < _READ_S:
            return
        self._read_s = now_s
        since_s, since = now_s - self._began[0], batches - self._began[1]
        rate = f"{since * self._recipe.batch_size / since_s:.0f} images/s, " if since else ""
        epoch = f"epoch {done.epoch + 1}/{self._recipe.epochs}"
        self.update(batches, description=epoch, said=f"{rate}loss {float(loss):.3f}{self._accuracy}")

    def epoch(self, score: EpochScore) -> None:
        """The score of an epoch that has ended."""
        if score.top1_percent is not None:
            self._accuracy = f", top-1 {score.top1_percent:.2f} %"
        elif score.ap_percent is not None:
            self._accuracy = f", AP {score.ap_percent:.2f} %"
        self.update(score.epoch * self._batches)
