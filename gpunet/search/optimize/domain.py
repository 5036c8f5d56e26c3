"""Where an optimiser may look: one protocol, and the three domains that need nothing else.

A point is a row of numbers. Notation:

    n, m        number of points
    dimensions  length of a point
    unit        points encoded to the unit cube, `n x encoded_dimensions`

Points of a lattice-like domain (`choices` is not None) are int64 vectors of choice indices, 0 to choices - 1 a digit;
points of the others are float64.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike

from gpunet.core.arguments import checked_integer
from gpunet.errors import InvalidArgumentError

STEP = 0.1  # standard deviation of a step in a box, as a part of the range
NEAREST = 32  # neighbours of a pool's point
MOST_CHOICES = 2**31  # of a digit
_LARGE = 1e300  # greater values than this would overflow in differences


@runtime_checkable
class Domain(Protocol):
    """What an optimiser asks of the set it searches."""

    @property
    def dimensions(self) -> int:
        """Length of a point."""

    @property
    def finite(self) -> bool:
        """Whether its points can be exhausted."""

    @property
    def size(self) -> int | None:
        """Number of points; None if continuous or unknown."""

    @property
    def choices(self) -> tuple[int, ...] | None:
        """Choices a digit, of a lattice-like domain."""

    @property
    def categorical(self) -> tuple[bool, ...] | None:
        """Which digits have choices without an order, of a lattice-like domain."""

    def draw(self, count: int, generator: np.random.Generator) -> np.ndarray:
        """`count x dimensions` random points inside, repeats allowed."""

    def contains(self, points: np.ndarray) -> np.ndarray:
        """Which of the `n x dimensions` points lie inside, n bools."""

    def neighbours(self, point: np.ndarray, generator: np.random.Generator, count: int | None = None) -> np.ndarray:
        """`m x dimensions` points inside, one step from `point`: all of them, or at most `count` at random."""

    def encode(self, points: np.ndarray) -> np.ndarray:
        """Points to the unit cube, `n x encoded_dimensions`."""

    def decode(self, unit: np.ndarray) -> np.ndarray:
        """The points nearest to rows of the unit cube; `decode(encode(p))` is `p`."""


class Box:
    """All points between two corners, the bounds included.

    Args:
        low: least value of each dimension.
        high: greatest value of each dimension.

    Raises:
        InvalidArgumentError: the corners have different lengths, or a range is empty or not finite.
    """

    finite = False
    size = None
    choices = None
    categorical = None

    def __init__(self, low: ArrayLike, high: ArrayLike) -> None:
        self.low, self.high = np.atleast_1d(numbers("low", low)), np.atleast_1d(numbers("high", high))
        if self.low.ndim != 1 or self.low.shape != self.high.shape or self.low.size == 0:
            raise InvalidArgumentError(
                f"low and high must be vectors of one length, but have shapes {self.low.shape} and {self.high.shape}.",
                "Give one number each for every dimension: Box(low=[0, 0], high=[1, 5]).",
            )
        for number, (least, greatest) in enumerate(zip(self.low.tolist(), self.high.tolist(), strict=True)):
            if not (math.isfinite(greatest - least) and least < greatest):
                raise InvalidArgumentError(
                    "low < high must hold, with a finite range, but dimension "
                    f"{number} has low={least!r}, high={greatest!r}.",
                    "Leave a dimension with one value out, and search the logarithm of what has no bounds.",
                )
        self.dimensions = len(self.low)

    def draw(self, count: int, generator: np.random.Generator) -> np.ndarray:
        """Uniform points."""
        return self.decode(generator.random((count, self.dimensions)))

    def contains(self, points: np.ndarray) -> np.ndarray:
        """Which points lie between the corners."""
        points = np.asarray(points, dtype=np.float64)
        return np.all((points >= self.low) & (points <= self.high), axis=1)

    def neighbours(self, point: np.ndarray, generator: np.random.Generator, count: int | None = None) -> np.ndarray:
        """Points a small Gaussian step away in one dimension; two a dimension if `count` is not given."""
        wanted = 2 * self.dimensions if count is None else count
        unit = np.repeat(self.encode(np.atleast_2d(point)), wanted, axis=0)
        moved = (
            np.arange(wanted) % self.dimensions if count is None else generator.integers(self.dimensions, size=wanted)
        )
        rows = np.arange(wanted)
        unit[rows, moved] = np.clip(unit[rows, moved] + STEP * generator.standard_normal(wanted), 0, 1)
        return self.decode(unit)

    def encode(self, points: np.ndarray) -> np.ndarray:
        """The low corner to 0, the high corner to 1."""
        return (np.asarray(points, dtype=np.float64) - self.low) / (self.high - self.low)

    def decode(self, unit: np.ndarray) -> np.ndarray:
        """Back, clipped to the box."""
        unit = np.asarray(unit, dtype=np.float64)
        return np.clip(self.low + unit * (self.high - self.low), self.low, self.high)


class Lattice:
    """All vectors of choice indices.

    Args:
        choices: number of choices of each digit.
        categorical: which digits have choices without an order (default: none); a surrogate treats any two different
            choices of such a digit as equally far apart.

    Raises:
        InvalidArgumentError: a digit has no choice or more than 2^31, or `categorical` has another length than
            `choices`.
    """

    finite = True

    def __init__(self, choices: Sequence[int], categorical: Sequence[bool] | None = None) -> None:
        given = list(choices) if np.iterable(choices) else []
        if not given:
            raise InvalidArgumentError(
                f"choices must be the number of choices of each digit, at least one, but got {choices!r}.",
                "Lattice([3, 4]) has a digit of three choices and one of four.",
            )
        self.choices = tuple(
            checked_integer(f"choices[{digit}]", count, 1, MOST_CHOICES) for digit, count in enumerate(given)
        )
        self.categorical = (
            (False,) * len(self.choices) if categorical is None else tuple(bool(each) for each in categorical)
        )
        if len(self.categorical) != len(self.choices):
            raise InvalidArgumentError(
                f"categorical must say yes or no for each digit, but has {len(self.categorical)} values for "
                f"{len(self.choices)} digits.",
                "Leave it out where all choices have an order.",
            )
        self.dimensions = len(self.choices)
        self.size = math.prod(self.choices)
        self._counts = np.array(self.choices)

    def draw(self, count: int, generator: np.random.Generator) -> np.ndarray:
        """Uniform points."""
        return generator.integers(self._counts, size=(count, self.dimensions))

    def contains(self, points: np.ndarray) -> np.ndarray:
        """Which points are whole numbers within each digit's choices."""
        points = np.asarray(points)
        return np.all((points >= 0) & (points < self._counts) & (points == np.floor(points)), axis=1)

    def neighbours(self, point: np.ndarray, generator: np.random.Generator, count: int | None = None) -> np.ndarray:
        """Points that differ in one digit: by one step where digits are ordered, by any choice where they are not."""
        point = np.asarray(point, dtype=np.int64)
        others = []
        for digit, (choices, categorical) in enumerate(zip(self.choices, self.categorical, strict=True)):
            now = point[digit]
            values = range(choices) if categorical else (now - 1, now + 1)
            for value in values:
                if value != now and 0 <= value < choices:
                    other = point.copy()
                    other[digit] = value
                    others.append(other)
        found = np.array(others, dtype=np.int64).reshape(-1, self.dimensions)
        return some(found, count, generator)

    def encode(self, points: np.ndarray) -> np.ndarray:
        """Index 0 to 0, the last index to 1, one column a digit; a digit of one choice to 0."""
        return np.asarray(points) / np.maximum(self._counts - 1, 1)

    def decode(self, unit: np.ndarray) -> np.ndarray:
        """The nearest indices."""
        nearest = np.rint(np.asarray(unit) * (self._counts - 1))
        return np.clip(nearest, 0, self._counts - 1).astype(np.int64)


class Pool:
    """A finite set of vectors; repeats count once.

    Args:
        vectors: `n x dimensions`; their order does not matter.

    Raises:
        InvalidArgumentError: there is no vector, a value is not finite, or the range of a column is not.
    """

    finite = True
    choices = None
    categorical = None

    def __init__(self, vectors: ArrayLike) -> None:
        given = np.atleast_2d(numbers("vectors", vectors))
        if given.ndim != 2 or given.size == 0 or not np.isfinite(given).all():
            raise InvalidArgumentError(
                f"A pool must be one or more vectors of finite numbers, but got an array of shape {given.shape}"
                f"{'' if np.isfinite(given).all() else ' with NaN or infinite values'}.",
                "Give a row a candidate, `n x dimensions`.",
            )
        with np.errstate(over="ignore"):
            endless = np.flatnonzero(np.isinf(np.ptp(given, axis=0)))
        if len(endless):
            raise InvalidArgumentError(
                f"The range of a pool's column must be finite, but that of column {endless[0]} is not in floats.",
                "Divide the column by a constant.",
            )
        self.vectors = np.unique(given + 0.0, axis=0)  # + 0.0: one zero, not two
        self.size, self.dimensions = self.vectors.shape
        self._low = self.vectors.min(axis=0)
        ranges = self.vectors.max(axis=0) - self._low
        self._range = np.where(ranges > 0, ranges, 1.0)
        self._unit = self.encode(self.vectors)
        self._rows = {row.tobytes() for row in self.vectors}

    def draw(self, count: int, generator: np.random.Generator) -> np.ndarray:
        """Uniform points."""
        return self.vectors[generator.integers(self.size, size=count)]

    def contains(self, points: np.ndarray) -> np.ndarray:
        """Which points are in the set, to the last bit."""
        points = np.asarray(points, dtype=np.float64) + 0.0
        return np.array([row.tobytes() in self._rows for row in points], dtype=bool)

    def neighbours(self, point: np.ndarray, generator: np.random.Generator, count: int | None = None) -> np.ndarray:
        """The nearest other vectors, 32 or all there are."""
        distances = np.square(self._unit - self.encode(np.atleast_2d(point))).sum(axis=1)
        distances[(self.vectors == np.asarray(point)).all(axis=1)] = np.inf
        nearest = np.argsort(distances, kind="stable")[:NEAREST]
        return some(self.vectors[nearest[np.isfinite(distances[nearest])]], count, generator)

    def encode(self, points: np.ndarray) -> np.ndarray:
        """Each column's least value to 0, its greatest to 1; a column of one value to 0."""
        return (np.asarray(points, dtype=np.float64) - self._low) / self._range

    def decode(self, unit: np.ndarray) -> np.ndarray:
        """The nearest vectors of the set."""
        unit = np.atleast_2d(np.asarray(unit, dtype=np.float64))
        nearest = [int(np.square(self._unit - row).sum(axis=1).argmin()) for row in unit]
        return self.vectors[nearest]


def numbers(name: str, values: ArrayLike) -> np.ndarray:
    """An array of the caller's numbers, theirs no more."""
    try:
        given = np.array(values)
    except ValueError:  # rows of different lengths
        given = np.array(None)
    if given.dtype.kind not in "biuf":
        raise InvalidArgumentError(
            f"{name} must be numbers, in rows of one length, but got {values!r:.200}.", "Turn them into numbers first."
        )
    return given.astype(np.float64)


def as_float(value: Any) -> float:
    """A value as a float that differences do not overflow; NaN for a failure.

    Raises:
        InvalidArgumentError: it is no number.
    """
    if value is None:
        return math.nan
    try:
        if isinstance(value, str):
            raise TypeError
        number = float(value)
    except OverflowError:  # an integer beyond them
        number = _LARGE if value > 0 else -_LARGE
    except (TypeError, ValueError):
        raise InvalidArgumentError(
            f"A value must be a number, or None for an evaluation that failed, but got {value!r}."
        ) from None
    return min(max(number, -_LARGE), _LARGE) if math.isfinite(number) else math.nan


def some(points: np.ndarray, count: int | None, generator: np.random.Generator) -> np.ndarray:
    """All rows, or at most `count` of them at random and in random order."""
    if count is None:
        return points
    return points[generator.permutation(len(points))[:count]]


def canonical(domain: Domain, points: np.ndarray) -> np.ndarray:
    """Points inside, the same vector for all that stand for one (a tier has many vectors of one network)."""
    if domain.choices is None or not len(points):
        return points
    return domain.decode(domain.encode(points))


def every_point(domain: Domain, limit: int) -> np.ndarray | None:
    """All points of a pool, or of a lattice-like domain among at most `limit` vectors; None where there are more."""
    if isinstance(domain, Pool):
        return domain.vectors if len(domain.vectors) <= limit else None
    if domain.choices is None or math.prod(domain.choices) > limit:
        return None
    vectors = np.indices(domain.choices).reshape(domain.dimensions, -1).T.astype(np.int64)
    return np.unique(canonical(domain, vectors[domain.contains(vectors)]), axis=0)
