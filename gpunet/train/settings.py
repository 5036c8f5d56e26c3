"""What a run is told beside its network and its recipe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gpunet.train.score import EpochScore


@dataclass(frozen=True)
class RunSettings:
    """The arguments of `train` that every task's run needs."""

    out: Path
    seed: int
    workers: int
    checkpoint_minutes: float | None
    log_every_steps: int
    max_unreadable: int
    tensorboard: bool
    progress: bool
    on_epoch: Callable[[EpochScore], bool | None] | None
    asked_to_leave: Callable[[], bool]
