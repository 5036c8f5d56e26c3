"""Points as the two models see them: digits of unordered choices need a distance of their own.

for the surrogate   the unit cube; `unordered` says in which columns only the same or not the same counts
for the partition   the same, with a column a choice for such a digit: 1/sqrt(2) at its choice and 0 elsewhere, so
                    that two different choices are 1 apart, as far as the ends of an ordered digit
"""

from __future__ import annotations

import math

import numpy as np

from gpunet.search.optimize.domain import Domain


class Features:
    """The feature maps of a domain.

    Args:
        domain: where the points come from.
    """

    def __init__(self, domain: Domain) -> None:
        self._domain = domain
        self.columns = domain.encode(domain.draw(1, np.random.default_rng(0))).shape[1]
        self.unordered = np.zeros(self.columns, dtype=bool)
        if domain.choices is not None and domain.categorical is not None:
            self.unordered = np.array(domain.categorical) & (np.array(domain.choices) > 2)

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
            choices = np.arange((self._domain.choices or ())[digit])
            parts.append((np.asarray(points)[:, digit : digit + 1] == choices) / math.sqrt(2))
        return np.hstack(parts)
