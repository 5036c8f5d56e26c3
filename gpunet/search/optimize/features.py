"""Points as the two models see them: digits of unordered choices need a distance of their own.

for the surrogate   the unit cube; `unordered` says in which columns only the same or not the same counts
for the partition   the same, with a column a choice for such a digit: 1/sqrt(2) at its choice and 0 elsewhere, so
                    that two different choices are 1 apart, as far as the ends of an ordered digit
derived             what a domain says of its points beside their digits, such as multiply-adds: further columns of
                    both, most points' from 0 to 1
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import numpy as np

from gpunet.search.optimize.domain import Domain
from gpunet.search.optimize.mixed import Mixed

_SAMPLE = 256  # points by which derived features are scaled


@runtime_checkable
class Described(Protocol):
    """A domain that knows more of its points than their digits."""

    def features(self, points: np.ndarray) -> np.ndarray:
        """`n x m` finite numbers of n points, on any scale, known before an evaluation."""


class Features:
    """The feature maps of a domain.

    Args:
        domain: where the points come from.
    """

    def __init__(self, domain: Domain) -> None:
        self._domain = domain
        self.columns = domain.encode(domain.draw(1, np.random.default_rng(0))).shape[1]
        self._sources: list[Callable[[np.ndarray], np.ndarray]] = []
        self._described = domain if isinstance(domain, Described) else None
        self.unordered = np.zeros(self.columns, dtype=bool)
        self._counts = np.zeros(self.columns, dtype=int)  # choices of a column
        if domain.choices is not None and domain.categorical is not None:
            self._counts = np.array(domain.choices)
            self.unordered = np.array(domain.categorical) & (self._counts > 2)
        elif isinstance(domain, Mixed):
            self._counts = domain.counts
            self.unordered = domain.unordered & (self._counts > 2)
        self.derived = np.zeros(self.columns, dtype=bool)
        if self._described is not None:
            sample = self._described.features(domain.draw(_SAMPLE, np.random.default_rng(0)))
            self._low, high = np.quantile(sample, [0.02, 0.98], axis=0)
            self._range = np.where(high > self._low, high - self._low, 1.0)
            more = np.arange(sample.shape[1]) >= 0
            self.derived = np.concatenate([self.derived, more])
            self.unordered = np.concatenate([self.unordered, ~more])
            self.columns += len(more)

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """`n x columns`, for the surrogate."""
        unit = self.without_sources(points)
        if not self._sources:
            return unit
        return np.column_stack([unit, *(source(unit) for source in self._sources)])

    def without_sources(self, points: np.ndarray) -> np.ndarray:
        """The columns that sources are given."""
        unit = np.asarray(self._domain.encode(points), dtype=np.float64)
        if self._described is None:
            return unit
        return np.hstack([unit, (self._described.features(points) - self._low) / self._range])

    def add(self, source: Callable[[np.ndarray], np.ndarray]) -> None:
        """One more derived column: what a source says of rows without those of sources, most from 0 to 1."""
        self._sources.append(source)
        self.derived, self.unordered = np.append(self.derived, True), np.append(self.unordered, False)
        self.columns += 1

    def spread(self, points: np.ndarray) -> np.ndarray:
        """`n x more columns`, for the partition."""
        return self.spread_of(self(points))

    def spread_of(self, unit: np.ndarray) -> np.ndarray:
        """The same of what the surrogate is given."""
        if not self.unordered.any():
            return unit
        parts = [unit[:, ~self.unordered]]
        for digit in np.flatnonzero(self.unordered):
            chosen = np.rint(unit[:, digit : digit + 1] * (self._counts[digit] - 1))
            parts.append((chosen == np.arange(self._counts[digit])) / math.sqrt(2))
        return np.hstack(parts)
