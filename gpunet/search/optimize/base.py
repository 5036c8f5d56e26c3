"""What every optimiser has: ask and tell, the record of what was asked and told, and a state in plain JSON.

asked      points handed out whose values have not come back: `pending`
told       points with their values; None for an evaluation that failed
values     higher is better inside; with `maximize=False` they change sign on the way in and out
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from gpunet.errors import ExhaustedError, InvalidArgumentError
from gpunet.search.optimize.domain import Domain, every_point
from gpunet.search.optimize.sobol import SobolPoints

STATE_VERSION = 1
_DRAWS = 64  # batches drawn in search of points not seen yet
_ENUMERABLE = 200_000  # vectors that may be listed where draws find nothing new
_LARGE = 1e300  # greater values than this would overflow in differences


class Optimizer(ABC):
    """Proposes points of a domain and learns from their values.

    Args:
        domain: where to look.
        seed: of everything random; two optimisers that are asked and told the same propose the same.
        maximize: whether higher values are better.
    """

    def __init__(self, domain: Domain, *, seed: int = 0, maximize: bool = True) -> None:
        self.domain = domain
        self.seed = seed
        self.maximize = maximize
        self._generator = np.random.default_rng(seed)
        self._points: list[np.ndarray] = []
        self._values: list[float] = []  # NaN for a failure
        self._pending: list[np.ndarray] = []
        self._seen: set[bytes] = set()

    # ------------------------------------------------------------ ask and tell

    def ask(self, n: int = 1) -> np.ndarray:
        """`n x dimensions` points to evaluate next, kept as pending until they are told.

        On a finite domain no point is proposed twice, and none that was told; where fewer than n are left, these.

        Raises:
            InvalidArgumentError: n is below 1.
            ExhaustedError: every point of the domain was proposed.
        """
        if n < 1:
            raise InvalidArgumentError(f"n must be 1 or more, but got {n}.")
        left = self._left()
        if left == 0:
            raise ExhaustedError(
                f"All {len(self._seen)} points of the domain have been proposed.", "Take the best of them."
            )
        chosen = self._propose(n if left is None else min(n, left))
        for point in chosen:
            self._note(point)
            self._pending.append(point)
        return chosen

    def tell(self, point: ArrayLike, value: float | None) -> None:
        """Learn the value of a point, asked for or not.

        Args:
            point: a point of the domain.
            value: None if its evaluation failed. NaN and infinite values count as failures.

        Raises:
            InvalidArgumentError: the point is not in the domain.
        """
        row = np.asarray(point)
        if row.shape != (self.domain.dimensions,) or not self.domain.contains(row[None])[0]:
            raise InvalidArgumentError(f"A point must be in the domain, but {row.tolist()} is not.")
        row = row.astype(self._kind())
        for number, waiting in enumerate(self._pending):
            if np.array_equal(waiting, row):
                del self._pending[number]
                break
        known = math.nan if value is None or not math.isfinite(value) else float(np.clip(value, -_LARGE, _LARGE))
        self._points.append(row)
        self._values.append(known if self.maximize else -known)
        self._note(row)

    def expect(self, points: ArrayLike) -> None:
        """Take these `m x dimensions` points for those under way, in place of what was asked for here.

        Where several processes share one record, each keeps an optimiser of its own and says what the others work on.

        Raises:
            InvalidArgumentError: a point is not in the domain.
        """
        rows: np.ndarray = np.asarray(points, dtype=self._kind()).reshape(-1, self.domain.dimensions)
        if not self.domain.contains(rows).all():
            raise InvalidArgumentError("The points under way must be in the domain, but some are not.")
        self._pending = list(rows)
        for row in rows:
            self._note(row)

    @property
    def pending(self) -> np.ndarray:
        """`m x dimensions` points asked for and not told, in the order asked."""
        return self._rows(self._pending)

    @property
    def points(self) -> np.ndarray:
        """`n x dimensions` points told, in the order told."""
        return self._rows(self._points)

    @property
    def values(self) -> np.ndarray:
        """Their n values, NaN for those that failed."""
        return np.array(self._values) * (1 if self.maximize else -1)

    @property
    def best(self) -> tuple[np.ndarray, float] | None:
        """The best point told and its value, the first of equals; None while there is none."""
        if not np.isfinite(self._values).any():
            return None
        row = int(np.nanargmax(self._values))
        return self._points[row].copy(), float(self.values[row])

    # ------------------------------------------------------------------- state

    def state_dict(self) -> dict[str, Any]:
        """Everything learned, as plain JSON. An optimiser made with the same arguments goes on from it exactly."""
        return {
            "version": STATE_VERSION,
            "optimizer": type(self).__name__,
            "dimensions": self.domain.dimensions,
            "points": [point.tolist() for point in self._points],
            "values": [None if math.isnan(value) else value for value in self._values],
            "pending": [point.tolist() for point in self._pending],
            "generator": self._generator.bit_generator.state,
            **self._extra_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the state of another optimiser of this class.

        Raises:
            InvalidArgumentError: it is another class's, of another version or of another number of dimensions.
        """
        expected = {
            "version": STATE_VERSION,
            "optimizer": type(self).__name__,
            "dimensions": self.domain.dimensions,
        }
        for key, value in expected.items():
            if state.get(key) != value:
                raise InvalidArgumentError(
                    f"The state's {key} must be {value!r}, but it is {state.get(key)!r}.",
                    "Load it into an optimiser made with the arguments of the one that saved it.",
                )
        kind = self._kind()
        self._points = [np.array(point, dtype=kind) for point in state["points"]]
        self._values = [math.nan if value is None else float(value) for value in state["values"]]
        self._pending = [np.array(point, dtype=kind) for point in state["pending"]]
        self._seen = set()
        for point in [*self._points, *self._pending]:
            self._note(point)
        self._generator.bit_generator.state = state["generator"]
        self._load_extra_state(state)

    def _extra_state(self) -> dict[str, Any]:
        """What a subclass adds to the state."""
        return {}

    def _load_extra_state(self, state: dict[str, Any]) -> None:
        """Take it back; nothing where nothing is added."""
        return

    # -------------------------------------------------------------- for subclasses

    @abstractmethod
    def _propose(self, n: int) -> np.ndarray:
        """`n x dimensions` points inside; on a finite domain, all new and distinct. That many are left."""

    def _is_new(self, points: np.ndarray) -> np.ndarray:
        """Which rows may be proposed: on a finite domain those not seen, the first of equals."""
        if not self.domain.finite:
            return np.ones(len(points), dtype=bool)
        keys = [row.tobytes() for row in np.ascontiguousarray(points, dtype=self._kind())]
        new = np.zeros(len(points), dtype=bool)
        taken: set[bytes] = set()
        for number, key in enumerate(keys):
            if key not in self._seen and key not in taken:
                taken.add(key)
                new[number] = True
        return new

    def _draw_new(self, n: int, besides: np.ndarray | None = None) -> np.ndarray:
        """N random points, new, distinct and none of `besides`, as long as that many are to be found.

        Raises:
            ExhaustedError: none was found in many draws, on a domain that does not know its size.
        """
        found = self._rows([]) if besides is None else besides
        kept = len(found)
        for _ in range(_DRAWS):
            if len(found) - kept >= n:
                break
            both = np.concatenate([found, self.domain.draw(max(2 * n, 16), self._generator)])
            new = self._is_new(both)
            new[: len(found)] = True
            found = both[new]
        if len(found) - kept < n and self.domain.finite:
            rest = every_point(self.domain, _ENUMERABLE)
            both = found if rest is None else np.concatenate([found, self._generator.permutation(rest)])
            new = self._is_new(both)
            new[: len(found)] = True
            found = both[new]
        if len(found) == 0:
            raise ExhaustedError(
                f"No new point was found in {_DRAWS * max(2 * n, 16)} draws: the domain seems to be exhausted.",
                "Take the best of what was evaluated.",
            )
        return found[kept : kept + n]

    def _sobol_new(self, sequence: SobolPoints, n: int) -> np.ndarray:
        """N points, new and distinct: the next of the sequence, then random ones where those repeat."""
        found = sequence.take(n)
        found = found[self._is_new(found)]
        if len(found) < n:
            found = np.concatenate([found, self._draw_new(n - len(found), besides=found)])
        return found

    def _left(self) -> int | None:
        """How many points are left to propose; None if unlimited or unknown."""
        if not self.domain.finite or self.domain.size is None:
            return None
        return self.domain.size - len(self._seen)

    def _note(self, point: np.ndarray) -> None:
        if self.domain.finite:
            self._seen.add(np.ascontiguousarray(point, dtype=self._kind()).tobytes())

    def _kind(self) -> type:
        return np.float64 if self.domain.choices is None else np.int64

    def _rows(self, points: list[np.ndarray]) -> np.ndarray:
        return np.array(points, dtype=self._kind()).reshape(-1, self.domain.dimensions)
