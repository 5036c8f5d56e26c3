"""Points as the two models see them: digits of unordered choices need a distance of their own.

for the surrogate   the unit cube; `unordered` says in which columns only the same or not the same counts
for the partition   the same, with a column a choice for such a digit: 1/sqrt(2) at its choice and 0 elsewhere, so
                    that two different choices are 1 apart, as far as the ends of an ordered digit
"""

from __future__ import annotations

import math

import numpy as np

from gpunet.search.optimize.domain import Domain
from gpunet.search.optimize.mixed import Mixed


class Features:
    """The feature maps of a domain.

    Args:
        domain: where the points come from.
    """

    def __init__(self, domain: Domain) -> None:
        self._domain = domain
        self.columns = domain.encode(domain.draw(1, np.random.default_rng(0))).shape[1]
        self.unordered = np.zeros(self.columns, dtype=bool)
        self._counts = np.zeros(self.columns, dtype=int)  # choices of a column
        if domain.choices is not None and domain.categorical is not None:
            self._counts = np.array(domain.choices)
            self.unordered = np.array(domain.categorical) & (self._counts > 2)
        elif isinstance(domain, Mixed):
            self._counts = domain.counts
            self.unordered = domain.unordered & (self._counts > 2)

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """`n x columns`, for the surrogate."""
        return np.asarray(self._domain.encode(points), dtype=np.float64)

    def spread(self, points: np.ndarray) -> np.ndarray:
        """`n x more columns`, for the partition."""
        unit = self(points)
        if not self.unordered.any():
            return unit
        parts = [unit[:, ~self.unordered]]
        for digit in np.flatnonzero(self.unordered):
            chosen = np.rint(unit[:, digit : digit + 1] * (self._counts[digit] - 1))
            parts.append((chosen == np.arange(self._counts[digit])) / math.sqrt(2))
        return np.hstack(parts)
