"""Constraints that are learned beside the values: numbers told with each point, kept where they are 0 or less."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from gpunet.core.arguments import checked_integer
from gpunet.errors import InvalidArgumentError
from gpunet.search.optimize.domain import as_float, numbers
from gpunet.search.optimize.features import Features
from gpunet.search.optimize.outcome import OutcomeTransform
from gpunet.search.optimize.surrogate import Fit, Limit, fit_limit, informative


class Limits:
    """What is known of the constraints of the points told.

    Args:
        count: how many there are.

    Raises:
        InvalidArgumentError: it is no integer of 0 or more.
    """

    def __init__(self, count: int) -> None:
        self.count = checked_integer("constraints", count, 0)
        self.told: list[list[float]] = []  # of each point, NaN where they are not known
        self._fits: list[Fit | None] = [None] * self.count

    def checked(self, value: float | None, constraints: Sequence[float] | None) -> list[float]:
        """The numbers told with a value.

        Raises:
            InvalidArgumentError: they are not so many.
        """
        if constraints is None and (value is None or not self.count):
            return [math.nan] * self.count
        given = np.atleast_1d(numbers("constraints", () if constraints is None else constraints))
        if given.shape != (self.count,):
            raise InvalidArgumentError(
                f"constraints must be {self.count} numbers with each value, but got {constraints!r}.",
                "LaMcts(..., constraints=1) learns one.",
            )
        return [as_float(each) for each in given.tolist()]

    def kept(self) -> np.ndarray:
        """Which points keep every constraint, n bools."""
        return np.all(np.array(self.told).reshape(len(self.told), self.count) <= 0, axis=1)

    def learned(self, at: np.ndarray, features: Features) -> tuple[Limit, ...]:
        """The constraints at these samples' `n x columns`, each from the samples nearest to its limit."""
        found = []
        for number in range(self.count):
            told = np.array([each[number] for each in self.told])
            # What matters is where the number changes its sign; far from there its course is of no use.
            rows = informative(np.where(np.isfinite(told), -np.abs(told), -np.inf))
            derived = int(features.derived.sum())
            self._fits[number], limit = fit_limit(
                at[rows], told[rows], features.unordered, self._fits[number], derived=derived
            )
            found.append(limit)
        return tuple(found)

    def ranked(self, z: np.ndarray) -> tuple[np.ndarray, float]:
        """How good samples of these z are, those that break a constraint last, the least broken first; the best z."""
        if not self.count:
            return z, float(z.max())
        kept = self.kept()
        limits = np.array(self.told)
        # Milliseconds and bytes weigh alike. What is not known counts as broken as far as anything was.
        scale = np.maximum(np.nanmax(np.abs(limits), axis=0, initial=1e-300), 1e-300)
        broken = np.nan_to_num(np.clip(limits / scale, 0, None), nan=1.0).sum(axis=1)
        return np.where(kept, z, z.min() - 1 - broken), float(z[kept].max()) if kept.any() else -math.inf

    def state(self) -> dict[str, Any]:
        """All of it, as plain JSON."""
        return {
            "constraints": self.count,
            "limits": [[None if math.isnan(each) else each for each in limits] for limits in self.told],
            "limit_thetas": [None if each is None else each.theta.tolist() for each in self._fits],
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take it back."""
        self.told = [[as_float(each) for each in limits] for limits in state["limits"]]
        thetas = state["limit_thetas"]
        self._fits = [None if theta is None else Fit(np.array(theta), OutcomeTransform()) for theta in thetas]
