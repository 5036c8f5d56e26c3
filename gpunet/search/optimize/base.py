"""What every optimiser has: ask and tell, the record of what was asked and told, and a state in plain JSON.

asked      points handed out whose values have not come back: `pending`
told       points with their values; None for an evaluation that failed
values     higher is better inside; with `maximize=False` they change sign on the way in and out
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from gpunet.core.arguments import checked_integer
from gpunet.errors import ExhaustedError, InvalidArgumentError
from gpunet.search.optimize.domain import Domain, as_float, canonical, every_point
from gpunet.search.optimize.recommend import Recommendation
from gpunet.search.optimize.starts.sobol import Sequence

STATE_VERSION = 1
_DRAWS = 64  # batches drawn in search of points not seen yet
_ENUMERABLE = 200_000  # vectors that may be listed where draws find nothing new


class Optimizer(ABC):
    """Proposes points of a domain and learns from their values.

    Args:
        domain: where to look.
        seed: of everything random; two optimisers that are asked and told the same propose the same.
        maximize: whether higher values are better.

    Raises:
        InvalidArgumentError: the domain is none, or the seed no integer from 0 to 2^63 - 1.

    Attributes:
        title: what a search by it is called, in reports.
        modules: of optional packages, which its first proposal imports.
    """

    title: ClassVar[str] = "a search"
    modules: ClassVar[tuple[str, ...]] = ()

    def __init__(self, domain: Domain, *, seed: int = 0, maximize: bool = True) -> None:
        if not isinstance(domain, Domain):
            raise InvalidArgumentError(
                f"domain must have what gpunet.search.Domain asks for, but got {domain!r}.",
                "Box, Lattice, Pool and Tier are domains.",
            )
        self.domain = domain
        self.seed = checked_integer("seed", seed, 0, 2**63 - 1)
        self.maximize = maximize
        self._generator = np.random.default_rng(self.seed)
        self._points: list[np.ndarray] = []
        self._values: list[float] = []  # NaN for a failure
        self._pending: list[np.ndarray] = []
        self._seen: set[bytes] = set()

    # ------------------------------------------------------------ ask and tell

    def ask(self, n: int = 1) -> np.ndarray:
        """`n x dimensions` points to evaluate next, kept as pending until they are told.

        On a finite domain no point is proposed twice, and none that was told; where fewer than n are left, these.

        Raises:
            InvalidArgumentError: n is no integer of 1 or more.
            ExhaustedError: every point of the domain was proposed.
        """
        n = checked_integer("n", n, 1)
        left = self._left()
        if left == 0:
            raise ExhaustedError(
                f"All {len(self._seen)} points of the domain have been proposed.", "Take the best of them."
            )
        chosen = self._propose(n if left is None else min(n, left))
        for point in chosen.copy():  # what is returned is the caller's, to change as they like
            self._note(point)
            self._pending.append(point)
        return chosen

    def tell(self, point: ArrayLike, value: float | None) -> None:
        """Learn the value of a point, asked for or not.

        Args:
            point: a point of the domain.
            value: None if its evaluation failed. NaN and infinite values count as failures.

        Raises:
            InvalidArgumentError: the point is not in the domain, or the value is no number.
        """
        row, known = self._inside([point])[0], as_float(value)
        for number, waiting in enumerate(self._pending):
            if np.array_equal(waiting, row):
                del self._pending[number]
                break
        self._points.append(row)
        self._values.append(known if self.maximize else -known)
        self._note(row)

    def expect(self, points: ArrayLike) -> None:
        """Take these `m x dimensions` points for those under way, in place of what was asked for here.

        Where several processes share one record, each keeps an optimiser of its own and says what the others work on.

        Raises:
            InvalidArgumentError: a point is not in the domain.
        """
        self._pending = list(self._inside(points))
        self._seen = set()  # what was asked for here and is not under way may be proposed again
        for row in [*self._points, *self._pending]:
            self._note(row)

    def plan(self, evaluations: int) -> None:
        """Say before the first `ask` how many evaluations there will be; one that starts with a design heeds it."""
        return

    def learned(self) -> dict[str, Any] | None:
        """Hyperparameters of the model, as plain JSON: another copy of this optimiser need not search for them again.

        None while there are none, and of an optimiser that has none.
        """
        return None

    def adopt(self, learned: Mapping[str, Any]) -> None:
        """Go on from the hyperparameters that a copy of this optimiser has learned, if they are of more than its own.

        Args:
            learned: what `learned` gave there, of samples that have been told here too.
        """
        return

    def reseed(self, seed: int) -> None:
        """Another seed of what is random from now on: for copies of an optimiser that are to go ways of their own."""
        self._generator = np.random.default_rng(checked_integer("seed", seed, 0))

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
        worth = self._worth()
        if not np.isfinite(worth).any():
            return None
        row = int(np.nanargmax(worth))
        return self._points[row].copy(), float(self.values[row])

    @property
    def recommended(self) -> Recommendation | None:
        """What to take in the end; None while there is no `best`. Without a model of the values it is that one."""
        found = self.best
        if found is None:
            return None
        point, value = found
        return Recommendation(int(np.nanargmax(self._worth())), point, value, value, value, value, 1.0)

    # ------------------------------------------------------------------- state

    def state_dict(self) -> dict[str, Any]:
        """Everything learned, as plain JSON. An optimiser made with the same arguments goes on from it exactly."""
        return {
            "version": STATE_VERSION,
            "optimizer": type(self).__name__,
            "dimensions": self.domain.dimensions,
            "maximize": self.maximize,
            "seed": self.seed,
            "points": [point.tolist() for point in self._points],
            "values": [None if math.isnan(value) else value for value in self._values],
            "pending": [point.tolist() for point in self._pending],
            "generator": self._generator.bit_generator.state,
            **self._extra_state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over the state of another optimiser of this class, made with the same arguments.

        Raises:
            InvalidArgumentError: it is no such state: of another class, version, direction, seed or number of
                dimensions, or with points that the domain does not contain; nothing was taken over.
        """
        if not isinstance(state, Mapping):
            raise InvalidArgumentError(f"A state must be what `state_dict` gives, but got {state!r}.")
        now = self.state_dict()
        for key in ("version", "optimizer", "dimensions", "maximize", "seed", "constraints"):
            if state.get(key) != now.get(key):
                raise InvalidArgumentError(
                    f"The state's {key} must be {now.get(key)!r}, but it is {state.get(key)!r}.",
                    "Load it into an optimiser made with the arguments of the one that saved it.",
                )
        missing = [key for key in now if key not in state]
        if missing:
            raise InvalidArgumentError(
                f"A state must have all that `state_dict` gives, but lacks {', '.join(missing)}.", "Save it as a whole."
            )
        if len(state["points"]) != len(state["values"]):
            raise InvalidArgumentError(
                f"A state must have a value for each point, but has {len(state['values'])} for {len(state['points'])}.",
                "Save it as a whole.",
            )
        points, pending = list(self._inside(state["points"])), list(self._inside(state["pending"]))
        values = [as_float(value) for value in state["values"]]
        self._generator.bit_generator.state = state["generator"]
        self._points, self._values, self._pending = points, values, pending
        self._seen = set()
        for point in [*points, *pending]:
            self._note(point)
        self._load_extra_state(state)

    def _extra_state(self) -> dict[str, Any]:
        """What a subclass adds to the state."""
        return {}

    def _load_extra_state(self, state: Mapping[str, Any]) -> None:
        """Take it back; nothing where nothing is added."""
        return

    # -------------------------------------------------------------- for subclasses

    @abstractmethod
    def _propose(self, n: int) -> np.ndarray:
        """`n x dimensions` points inside; on a finite domain, all new and distinct. That many are left."""

    def _worth(self) -> np.ndarray:
        """The values by which points are compared, higher is better; NaN for one that does not count."""
        return np.array(self._values)

    def _is_new(self, points: np.ndarray) -> np.ndarray:
        """Which rows may be proposed: on a finite domain those not seen, the first of equals."""
        if not self.domain.finite:
            return np.ones(len(points), dtype=bool)
        keys = [row.tobytes() for row in np.ascontiguousarray(canonical(self.domain, points), dtype=self._kind())]
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

    def _sequence_new(self, sequence: Sequence, n: int) -> np.ndarray:
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

    def _inside(self, points: Any) -> np.ndarray:
        """Points given by a caller, `n x dimensions`, canonical and not the caller's own array."""
        given = list(points) if np.iterable(points) else [points]
        rows = [_row(point) for point in given]
        size = self.domain.dimensions
        fits = [row.shape == (size,) and row.dtype.kind in "biuf" for row in rows]
        if all(fits) and rows:
            fits = self.domain.contains(np.stack(rows)).tolist()
        if not all(fits):
            fault = given[fits.index(False)]
            fault = fault.tolist() if isinstance(fault, np.ndarray) else fault
            raise InvalidArgumentError(
                f"A point must be in the domain, but {fault} is not.",
                f"Points have {size} number{'s' * (size > 1)} here; `domain.contains` says which lie inside.",
            )
        return canonical(self.domain, self._rows(rows)) + 0  # + 0: one zero, not two

    def _kind(self) -> type:
        return np.float64 if self.domain.choices is None else np.int64

    def _rows(self, points: list[np.ndarray]) -> np.ndarray:
        return np.array(points, dtype=self._kind()).reshape(-1, self.domain.dimensions)


def _row(point: Any) -> np.ndarray:
    try:
        row = np.asarray(point)
        return row.astype(np.float64) if row.dtype == object else row
    except (TypeError, ValueError):  # no numbers, or parts of different lengths
        return np.asarray(None)
