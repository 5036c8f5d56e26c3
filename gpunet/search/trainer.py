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
        top1_percent: that the network is ranked by.
        epochs: done, over all attempts.
        pruned: whether `report` ended it.
        weights: file of the weights that were kept; None for none.
        seconds: of the epochs, over all attempts.
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
            report: called after every epoch with its number (from 1), top-1 in percent and training loss, those that an
                earlier attempt did included; True ends the training.
            should_stop: asked after every step.

        Raises:
            PreemptedError: (a RuntimeError) `should_stop` said so; a checkpoint is in the folder.
        """
        ...
