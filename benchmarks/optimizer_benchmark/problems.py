"""Test functions with a known best, shifted at random so that it sits at no centre, corner or other telling place.

Surjanovic and Bingham, "Virtual Library of Simulation Experiments: Test Functions and Datasets". All are minimised, and
are 0 at their best.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gpunet.errors import InvalidArgumentError
from gpunet.search.optimize.domain import Box
from gpunet.search.optimize.mixed import Mixed

MIXED = "mixed"  # the name of MixedStudy's problem
MARGIN = 0.1  # of the range, kept between a bound and the best


@dataclass(frozen=True)
class Function:
    """A function of `n x dimensions` rows, and where it is 0 unshifted: one coordinate for all dimensions, or each.

    Attributes:
        formula: of the unshifted rows.
        low, high: the range of every dimension.
        best: where it is 0.
        dimensions: how many it has; 0 for any number.
    """

    formula: Callable[[np.ndarray], np.ndarray]
    low: float
    high: float
    best: float | tuple[float, ...]
    dimensions: int = 0


def ackley(rows: np.ndarray) -> np.ndarray:
    """A funnel with ripples."""
    funnel = 20 * np.exp(-0.2 * np.sqrt(np.mean(rows**2, axis=1)))
    return 20 + np.e - funnel - np.exp(np.mean(np.cos(2 * np.pi * rows), axis=1))


def griewank(rows: np.ndarray) -> np.ndarray:
    """A bowl with ripples."""
    return 1 + np.sum(rows**2, axis=1) / 4000 - np.prod(np.cos(rows / np.sqrt(np.arange(1, rows.shape[1] + 1))), axis=1)


def levy(rows: np.ndarray) -> np.ndarray:
    """A bowl with deep waves."""
    w = 1 + (rows - 1) / 4
    inner = (w[:, :-1] - 1) ** 2 * (1 + 10 * np.sin(np.pi * w[:, :-1] + 1) ** 2)
    last = (w[:, -1] - 1) ** 2 * (1 + np.sin(2 * np.pi * w[:, -1]) ** 2)
    return np.sin(np.pi * w[:, 0]) ** 2 + inner.sum(axis=1) + last


def rastrigin(rows: np.ndarray) -> np.ndarray:
    """A bowl with a pit at each whole number."""
    return np.sum(rows**2 - 10 * np.cos(2 * np.pi * rows) + 10, axis=1)


def rosenbrock(rows: np.ndarray) -> np.ndarray:
    """A curved valley."""
    return np.sum(100 * (rows[:, 1:] - rows[:, :-1] ** 2) ** 2 + (1 - rows[:, :-1]) ** 2, axis=1)


def styblinski_tang(rows: np.ndarray) -> np.ndarray:
    """Two pits a dimension, one deeper."""
    return np.sum(rows**4 - 16 * rows**2 + 5 * rows, axis=1) / 2 + 39.16616570377142 * rows.shape[1]


_WEIGHTS = np.array([1.0, 1.2, 3.0, 3.2])
_WIDTHS = np.array([[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14],
                    [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]])  # fmt: skip
_CENTERS = 1e-4 * np.array([[1312, 1696, 5569, 124, 8283, 5886], [2329, 4135, 8307, 3736, 1004, 9991],
                            [2348, 1451, 3522, 2883, 3047, 6650], [4047, 8828, 8732, 5743, 1091, 381]])  # fmt: skip


def hartmann6(rows: np.ndarray) -> np.ndarray:
    """Four Gaussian pits in six dimensions."""
    away = np.sum(_WIDTHS * (rows[:, None] - _CENTERS) ** 2, axis=2)
    return 3.322368011415515 - np.exp(-away) @ _WEIGHTS


FUNCTIONS = {
    "ackley": Function(ackley, -5, 10, 0.0),
    "griewank": Function(griewank, -600, 600, 0.0),
    "hartmann6": Function(hartmann6, 0, 1, (0.20168952, 0.15001069, 0.47687398, 0.27533243, 0.31165162, 0.65730054), 6),
    "levy": Function(levy, -10, 10, 1.0),
    "rastrigin": Function(rastrigin, -5.12, 5.12, 0.0),
    "rosenbrock": Function(rosenbrock, -5, 10, 1.0),
    "styblinski_tang": Function(styblinski_tang, -5, 5, -2.903534027771177),
}


class ShiftedFunction:
    """A test function whose best was moved to a random place, a tenth of the range from the bounds at least.

    A function of fewer dimensions than asked for depends on as many of them, chosen at random.

    Args:
        name: of `FUNCTIONS`.
        dimensions: of the domain.
        seed: of the shift.

    Raises:
        InvalidArgumentError: there is no such function, or it has more dimensions.
    """

    def __init__(self, name: str, dimensions: int, seed: int) -> None:
        if name not in FUNCTIONS:
            raise InvalidArgumentError(f"There is no function {name!r}.", f"There are: {', '.join(FUNCTIONS)}.")
        function = FUNCTIONS[name]
        used = function.dimensions or dimensions
        if used > dimensions:
            raise InvalidArgumentError(f"{name} has {used} dimensions, more than the {dimensions} asked for.")
        self.domain = Box(np.full(dimensions, function.low), np.full(dimensions, function.high))
        generator = np.random.default_rng([seed, dimensions])
        width = function.high - function.low
        self.best = function.low + width * generator.uniform(MARGIN, 1 - MARGIN, dimensions)
        self._columns = np.sort(generator.permutation(dimensions)[:used])
        self._shift = self.best[self._columns] - np.asarray(function.best)
        self._formula = function.formula

    def __call__(self, point: np.ndarray) -> float:
        """The value at one point."""
        return float(self._formula(np.asarray(point)[None, self._columns] - self._shift)[0])


class MixedStudy:
    """What a hyperparameter study is like: rates, sizes and kinds, 0 at its best.

    Four continuous columns, three ordered ones of 5, 8 and 12 values, and categories of 2, 3 and 5. Continuous and
    ordered ones lie in bowls of random widths with a ripple; a category costs something of its own, and moves the best
    of one continuous column, as another optimiser has another best rate.

    Args:
        seed: of the constants.
    """

    def __init__(self, seed: int) -> None:
        generator = np.random.default_rng([seed, 7])
        self.domain = Mixed([0, 0, 0, 0, 5, 8, 12, 2, 3, 5], [False] * 7 + [True] * 3)
        counts = self.domain.counts
        self._weights = generator.gamma(2.0, 1.0, 7)
        self._best = np.concatenate(
            [generator.uniform(0.1, 0.9, 4), generator.integers(counts[4:7]) / (counts[4:7] - 1)]
        )
        self._costs = [np.append(0.0, generator.gamma(2.0, 0.3, count - 1)) for count in counts[7:]]
        self._costs = [generator.permutation(each) for each in self._costs]
        self._moves = [np.where(each > 0, generator.uniform(-0.4, 0.4, len(each)), 0.0) for each in self._costs]

        free = [int(each.argmin()) / (len(each) - 1) for each in self._costs]
        self.best = np.concatenate([self._best, free])

    def __call__(self, point: np.ndarray) -> float:
        """The value at one point."""
        kinds = np.rint(point[7:] * (self.domain.counts[7:] - 1)).astype(int)
        best = self._best.copy()
        for column, (moves, kind) in enumerate(zip(self._moves, kinds, strict=True)):
            best[column] = np.clip(best[column] + moves[kind], 0, 1)
        away = point[:7] - best
        bowls = 3 * np.square(away) + 0.03 * (1 - np.cos(4 * np.pi * away))
        return float(bowls @ self._weights) + sum(
            float(costs[kind]) for costs, kind in zip(self._costs, kinds, strict=True)
        )
