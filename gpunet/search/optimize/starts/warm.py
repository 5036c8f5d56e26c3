"""What is known before a search: values of other points, or of the same by another measure, as a feature of all points.

A Gaussian process of such a source says what it expects of any point, and that becomes an input of the search's own
model, with its own length scale: the source's offset, scale and noise play no part, and where it contradicts what is
evaluated, its length scale grows until it says nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from gpunet.errors import InvalidArgumentError
from gpunet.search.optimize.domain import Domain, numbers
from gpunet.search.optimize.surrogate import Surrogate, fit, informative

LEAST = 4  # values from which anything is learned
_SPAN = 4.0  # standard deviations of a source's values that are one unit of its feature


class Source:
    """Values of points that are known before a search.

    Args:
        domain: of the search; finite. The points need not lie inside, but have its digits or columns.
        points: `n x dimensions`.
        values: n numbers, higher is better.

    Raises:
        InvalidArgumentError: the domain is not finite, points and values are no such numbers, or they are fewer than 4.
    """

    def __init__(self, domain: Domain, points: ArrayLike, values: ArrayLike) -> None:
        if not domain.finite:
            raise InvalidArgumentError(
                "A search that is warm-started must be of a finite domain, but this one is not finite.",
                "In a box, tell the optimiser what is known: `tell(point, value)`.",
            )
        rows, worth = np.atleast_2d(numbers("points", points)), np.atleast_1d(numbers("values", values))
        if rows.shape != (len(worth), domain.dimensions) or len(worth) < LEAST or not np.isfinite(worth).all():
            raise InvalidArgumentError(
                f"points must be n x {domain.dimensions} with n finite values, {LEAST} at least, but have shapes "
                f"{rows.shape} and {worth.shape}.",
                "Leave out what failed.",
            )
        self.points = rows if domain.choices is None else rows.astype(np.int64)
        self.values = worth
        self._at: np.ndarray | None = None
        self._columns: tuple[np.ndarray, int] = (np.zeros(0, dtype=bool), 0)

    def learn(self, at: np.ndarray, unordered: np.ndarray, derived: int) -> None:
        """Say how the search sees the points: `n x columns`, as of `surrogate.fit`."""
        self._at, self._columns = at, (unordered, derived)

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """What is expected of m points by their `m x columns`: m numbers, most from 0 to 1."""
        return self._surrogate.predict(features)[0] / _SPAN + 0.5

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {"points": self.points.tolist(), "values": self.values.tolist()}

    @cached_property
    def _surrogate(self) -> Surrogate:
        unordered, derived = self._columns
        rows = informative(self.values)
        at = np.zeros((len(self.values), 0)) if self._at is None else self._at
        found, z = fit(at[rows], self.values[rows], unordered, None, derived=derived)
        return Surrogate(at[rows], z, unordered, found.theta)


def expected_by(sources: Sequence[Source], features: np.ndarray) -> np.ndarray:
    """How good points are by all sources together, from `m x columns` whose last are theirs."""
    return features[:, features.shape[1] - len(sources) :].mean(axis=1)
