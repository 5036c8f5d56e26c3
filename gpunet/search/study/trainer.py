"""What a worker asks of whoever trains: a network's accuracy, epoch by epoch, from where it was left."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Trained:
    """What a training ended with.

    Args:
        top1_percent: of the weights that were kept, on the images that rank networks.
        epochs: that were done, over all attempts.
        pruned: whether `report` ended it.
        weights: safetensors file; None where a trainer keeps none.
        seconds: of training and scoring, over all attempts.
    """

    top1_percent: float
    epochs: int
    pruned: bool
    weights: Path | None
    seconds: float


class Trainer(Protocol):
    """Trains one network of a space."""

    def __call__(
        self,
        vector: Sequence[int],
        folder: Path,
        *,
        seed: int,
        report: Callable[[int, float, float], bool],
        should_stop: Callable[[], bool],
    ) -> Trained:
        """Train, or go on where an earlier attempt left.

        Args:
            vector: choice indices.
            folder: of the checkpoints; it need not be there.
            seed: of the weights and the run.
            report: called after every epoch with its number (from 1), top-1 in percent and training loss; a run that
                goes on, or that had ended already, shows the epochs before first. True ends the training.
            should_stop: asked after every step.

        Raises:
            PreemptedError: (a RuntimeError) `should_stop`, or SIGTERM: a checkpoint was written. The same call goes on.
        """
        ...
