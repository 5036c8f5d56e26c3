"""How a worker works, what it did, and what its time went into beside training."""

from __future__ import annotations

from dataclasses import dataclass, field

from gpunet.core.arguments import checked_integer, checked_number
from gpunet.errors import WorkerError
from gpunet.search.work.proposals import RoundCosts

HEARTBEAT_S, GRACE_S = 30.0, 120.0


@dataclass
class Costs:
    """Seconds that a worker spent on anything but training.

    Attributes:
        asking_s: of each trial, from the request to the trial that is held.
        reporting_s: of each epoch reported.
        telling_s: of each trial told.
        rounds: of proposals that this worker led.
    """

    asking_s: list[float] = field(default_factory=list)
    reporting_s: list[float] = field(default_factory=list)
    telling_s: list[float] = field(default_factory=list)
    rounds: list[RoundCosts] = field(default_factory=list)


@dataclass(frozen=True)
class WorkerSettings:
    """How a worker works.

    Args:
        hours: after so long it takes no further trial, and requeues the one it holds; None for no limit.
        trials: it leaves after so many of its own; None for no limit.
        heartbeat_s: between two heartbeats.
        grace_s: without one for so long, a worker has expired; several times `heartbeat_s`.
        most_poll_s: between two looks for a response.

    Raises:
        WorkerError: (a RuntimeError) one of them is no number, or below 0.
    """

    hours: float | None = None
    trials: int | None = None
    heartbeat_s: float = HEARTBEAT_S
    grace_s: float = GRACE_S
    most_poll_s: float = 10.0

    def __post_init__(self) -> None:
        if self.hours is not None:
            checked_number("hours", self.hours, 0, error=WorkerError)
        if self.trials is not None:
            checked_integer("trials", self.trials, 0, error=WorkerError)
        checked_number("heartbeat_s", self.heartbeat_s, 0, above=True, error=WorkerError)
        checked_number("grace_s", self.grace_s, 0, above=True, error=WorkerError)


@dataclass
class WorkSummary:
    """What a worker did.

    Attributes:
        ended: trials that it ended: complete, pruned or failed.
        requeued: trials that it left to others.
        lost: trials that were taken from it.
        end: why it left.
        costs: see `Costs`.
    """

    ended: int = 0
    requeued: int = 0
    lost: int = 0
    end: str = ""
    costs: Costs = field(default_factory=Costs)
