"""Which network of a study to take: by a model of all its trials, which knows how much of an accuracy is noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from gpunet.errors import StudyError
from gpunet.latency.terms import LookupPlan
from gpunet.search.optimize.lamcts import LaMcts
from gpunet.search.spaces.space import SearchSpace
from gpunet.search.study.trials import TrialRecord
from gpunet.search.tiers.tier import Tier


@dataclass(frozen=True)
class RecommendedTrial:
    """A trial that was trained to the end, and what is expected of its network.

    Attributes:
        trial: the trial.
        expected_percent: top-1 of its network over many trainings.
        low_percent, high_percent: within which that lies with a chance of 95 %.
        chance: that no other network trained to the end is better.
    """

    trial: TrialRecord
    expected_percent: float
    low_percent: float
    high_percent: float
    chance: float

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {**asdict(self), "trial": self.trial.to_dict()}


def recommended(space: SearchSpace, trials: Sequence[TrialRecord]) -> RecommendedTrial:
    """The network to take of these trials.

    Args:
        space: of their vectors.
        trials: of a study; those that were trained to the end are chosen among, the others not asked.

    Raises:
        StudyError: (a ValueError) no trial is complete.
        MissingDependencyError: the extra `search` is not installed.
    """
    done = [each for each in trials if each.state == "complete" and each.top1_percent is not None]
    if not done:
        raise StudyError("no trial is complete, so none can be recommended.", "gpunet search worker goes on with it.")
    optimizer = LaMcts(Tier(space, _Nothing(space), 0.0, math.inf))
    for each in done:
        optimizer.tell(each.vector, each.top1_percent)
    found = optimizer.recommended
    if found is None:
        raise StudyError("no complete trial has an accuracy that is a number.", "See: gpunet search best --json")
    return RecommendedTrial(done[found.row], found.expected, found.low, found.high, found.chance)


class _Nothing:
    """Estimates by which the whole space is one tier: latencies do not matter to how accurate a network is."""

    def __init__(self, space: SearchSpace) -> None:
        self._space = space

    @cached_property
    def plan(self) -> LookupPlan:
        """The space's."""
        return self._space.lookup_plan()

    @cached_property
    def arrays(self) -> list[np.ndarray]:
        """All at 0."""
        return [np.zeros(math.prod(self.plan.shape(term.inputs))) for term in self.plan.terms]
