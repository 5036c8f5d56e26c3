"""Latencies of networks that have not run, predicted from those that have.

A latency is predicted as a sum, with weights that are never negative, of what is known of a network before it runs:
multiply-adds, activations, parameters and a constant. The weights are fitted to what has been measured, in relative
errors. Predictions are off by a factor of two and more, and alike within a family: each family has its own error.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

ANCHORS = 10
_FAMILY = re.compile(r"(?:tf_)?([a-z]+?(?:v\d)?)(?=[_\d@.]|$)")
_PRIOR_SPREAD, _PRIOR_COUNT = 0.3, 2  # of the logarithm of measured/predicted, before a family has been measured much


@dataclass(frozen=True)
class Floors:
    """How much faster than the fastest yet, beside their predictions, networks are thought possible.

    Args:
        family: of the lowest measured/predicted of a family.
        other: of the lowest of all, for families of which none is measured.
        last: the same, once nothing else is left.
    """

    family: float = 0.8
    other: float = 0.7
    last: float = 0.5


USUAL, THOROUGH = Floors(), Floors(0.5, 0.45, 0.3)


@dataclass(frozen=True)
class Work:
    """What is known of a network that has not run.

    Args:
        name: of the network.
        top1_percent: its accuracy.
        multiply_adds_billions, activations_millions, parameters_millions: for one image.
    """

    name: str
    top1_percent: float
    multiply_adds_billions: float
    activations_millions: float
    parameters_millions: float

    @property
    def family(self) -> str:
        """Networks of one kind, which a prediction is wrong about alike: 'resnet' of 'resnet50', of 'resnet101', ..."""
        found = _FAMILY.match(self.name)
        return found[1] if found else self.name

    @property
    def terms(self) -> tuple[float, ...]:
        """What a prediction is a weighted sum of."""
        return self.multiply_adds_billions, self.activations_millions, self.parameters_millions, 1.0


def anchors(networks: Sequence[Work], count: int) -> list[Work]:
    """Networks spread evenly over the ranks of their multiply-adds, the smallest first."""
    by_size = sorted(networks, key=lambda each: (each.multiply_adds_billions, each.name))
    if count < 2 or len(by_size) <= count:
        return by_size[: max(count, 0)]
    return [by_size[round(place * (len(by_size) - 1) / (count - 1))] for place in range(count)]


class Prediction:
    """Latencies in ms of any networks, by those of some.

    Args:
        measured: networks with their latencies in ms.
    """

    def __init__(self, measured: Iterable[tuple[Work, float]]) -> None:
        known = list(measured)
        self._weights = fitted([each.terms for each, _ in known], [latency_ms for _, latency_ms in known])
        errors: dict[str, list[float]] = {}
        for each, latency_ms in known:
            errors.setdefault(each.family, []).append(latency_ms / (self.plain_ms(each) or latency_ms))
        self._lowest = {family: min(some) for family, some in errors.items()}
        logs = {family: [math.log(each) for each in some] for family, some in errors.items()}
        self._means = {family: math.fsum(some) / len(some) for family, some in logs.items()}
        self._spreads = {family: _spread(some) for family, some in logs.items()}
        everything = [each for some in logs.values() for each in some]
        self._mean, self._spread = (math.fsum(everything) / len(everything) if everything else 0.0), _spread(everything)

    def plain_ms(self, work: Work) -> float:
        """By the weights alone."""
        return _sum(self._weights, work.terms)

    def likely_ms(self, work: Work) -> float:
        """As far from the weights' prediction as its family is on average."""
        return self.plain_ms(work) * math.exp(self._means.get(work.family, 0.0))

    def floor(self, work: Work, floors: Floors, *, last: bool = False) -> float:
        """What of the plain prediction is the least that is thought possible."""
        if not last and work.family in self._lowest:
            return floors.family * self._lowest[work.family]
        return (floors.last if last else floors.other) * min(self._lowest.values(), default=1.0)

    def knows(self, work: Work) -> bool:
        """Whether one of its family has been measured."""
        return work.family in self._lowest

    def chance_within(self, work: Work, max_ms: float) -> float:
        """How likely it keeps a budget, where logarithms of errors are normally distributed."""
        known = self.knows(work)
        mean = self._means[work.family] if known else self._mean
        spread = self._spreads[work.family] if known else math.hypot(self._spread, _PRIOR_SPREAD)
        expected_ms = self.plain_ms(work) * math.exp(mean)
        if expected_ms <= 0:
            return 1.0
        return 0.5 * math.erfc(math.log(expected_ms / max_ms) / spread / math.sqrt(2))


def _spread(logs: Sequence[float]) -> float:
    """The standard deviation of errors' logarithms, for the next of them, with a prior that counts as two errors."""
    mean = math.fsum(logs) / len(logs) if logs else 0.0
    count = len(logs) + _PRIOR_COUNT
    squares = math.fsum((each - mean) ** 2 for each in logs) + _PRIOR_COUNT * _PRIOR_SPREAD**2
    return math.sqrt(squares / count * (1 + 1 / max(len(logs), 1)))


def _sum(weights: Sequence[float], terms: Sequence[float]) -> float:
    return sum(weight * term for weight, term in zip(weights, terms, strict=True))


def fitted(rows: Sequence[Sequence[float]], latencies_ms: Sequence[float]) -> list[float]:
    """Weights of the terms, none below 0, with the least sum of squared relative errors.

    Four terms have fifteen subsets: the least squares of each are solved, and the best without a negative weight is it.

    Args:
        rows: terms of each network.
        latencies_ms: of each.
    """
    scaled = [[term / latency_ms for term in row] for row, latency_ms in zip(rows, latencies_ms, strict=True)]
    count = len(scaled[0]) if scaled else 4
    best, least = [0.0] * count, float(len(scaled))
    products = [[sum(row[i] * row[j] for row in scaled) for j in range(count)] for i in range(count)]
    totals = [sum(row[i] for row in scaled) for i in range(count)]
    for size in range(1, count + 1):
        for chosen in itertools.combinations(range(count), size):
            solution = _solved([[products[i][j] for j in chosen] for i in chosen], [totals[i] for i in chosen])
            if solution is None or min(solution) < 0:
                continue
            weights = [0.0] * count
            for place, value in zip(chosen, solution, strict=True):
                weights[place] = value
            error = sum((_sum(weights, row) - 1) ** 2 for row in scaled)
            if error < least:
                best, least = weights, error
    return best


def _solved(matrix: list[list[float]], right: list[float]) -> list[float] | None:
    """The solution of a small system by elimination with pivots; None where it has none."""
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    size = len(rows)
    for column in range(size):
        pivot = max(range(column, size), key=lambda row: abs(rows[row][column]))
        if abs(rows[pivot][column]) < 1e-12 * (1 + abs(matrix[column][column])):
            return None
        rows[column], rows[pivot] = rows[pivot], rows[column]
        rows[column] = [value / rows[column][column] for value in rows[column]]
        for row in range(size):
            if row != column:
                factor = rows[row][column]
                rows[row] = [value - factor * own for value, own in zip(rows[row], rows[column], strict=True)]
    return [row[size] for row in rows]
