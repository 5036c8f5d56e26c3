"""Losses that must be finite: looked at a step late on a GPU, and the batch of a bad one kept."""

from __future__ import annotations

import math
from pathlib import Path

from torch import Tensor

from gpunet.errors import TrainingError
from gpunet.train.checkpoint import Position, told
from gpunet.train.data.loader import ProcessPlace
from gpunet.train.evaluation.validation import LOWER
from gpunet.train.tasks.task import TaskBatch


class FiniteLosses:
    """The loss of the step before is looked at when the next is known: a look at this one's would make a GPU wait.

    Args:
        out: folder that gets the batch of a loss that is not finite.
        place: of this process among those that train together.
    """

    def __init__(self, out: Path, place: ProcessPlace) -> None:
        self._out, self._place = out, place
        self._noted: tuple[Tensor, TaskBatch, Position, float] | None = None

    def note(self, loss: Tensor, batch: TaskBatch, at: Position, learning_rate: float) -> None:
        """Check the loss noted before, and keep this one for the next call; on a processor check it now."""
        self.check()
        self._noted = loss, batch, at, learning_rate
        if loss.device.type == "cpu":
            self.check()

    def check(self) -> None:
        """Look at what was noted.

        Raises:
            TrainingError: (a RuntimeError) it is not finite; the message names the file that holds its batch.
        """
        if self._noted is None:
            return
        loss, batch, at, learning_rate = self._noted
        self._noted = None
        if math.isfinite(loss.item()):
            return
        from safetensors.torch import save_file

        rank = f"-rank-{self._place.rank}" if self._place.processes > 1 else ""
        path = self._out / f"bad-batch-{at}{rank}.safetensors"
        with told(path):
            save_file(batch.tensors(), path)
        raise TrainingError(
            f"the loss of batch {at.step} in epoch {at.epoch + 1} is {loss.item()}, at a learning rate of "
            f"{learning_rate:g}; the batch is kept in {path}.",
            LOWER,
        )
