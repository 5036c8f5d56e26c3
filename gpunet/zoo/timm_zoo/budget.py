"""The most accurate of many networks within a latency budget, by measuring few of them.

A latency is predicted as a sum, with weights that are never negative, of what is known of a network before it runs:
multiply-adds, activations, parameters and a constant. The weights are fitted to what has been measured, in relative
errors, anew after each measurement. Predictions are off by a factor of two and more, so that networks predicted to be
too slow are measured too, as far as the worst prediction yet says that they might fit.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

ANCHORS = 10
_MOST = 64  # measurements
_FAMILY_FLOOR = 0.8  # of the lowest measured/predicted of a family
_FLOOR, _LAST_FLOOR = 0.7, 0.5  # of the lowest of all, for families of which none is measured
_FAMILY = re.compile(r"(?:tf_)?([a-z]+?(?:v\d)?)(?=[_\d@.]|$)")
_HOPELESS = 4.0  # an anchor this many times over the budget: larger ones are not measured


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


def most_accurate_within(
    networks: Iterable[Work],
    max_ms: float,
    measure: Callable[[str], float | None],
    known_ms: Mapping[str, float] | None = None,
) -> str | None:
    """The name of the most accurate network found to keep a budget; ties go to the faster. None where none does.

    Ten anchors, spread over multiply-adds; then, of the networks more accurate than the best found, the most accurate
    that is predicted to fit, with what is known of its family's error; then such as fit if the prediction is as wrong
    as the worst of the family yet, or of all, and somewhat more; last those of families not seen yet. It ends where
    none is left, or after 64 measurements.

    Args:
        networks: to choose from.
        max_ms: the budget; infinite for none, where the most accurate that runs is the answer.
        measure: the latency of a network in ms, None where it does not run.
        known_ms: what has been measured before.
    """
    left = {each.name: each for each in networks}
    measured: dict[str, tuple[Work, float]] = {}

    def take(each: Work, latency_ms: float | None) -> None:
        del left[each.name]
        if latency_ms is not None:
            measured[each.name] = each, latency_ms

    known = dict(known_ms or {})
    for name in [each for each in known if each in left]:
        take(left[name], known[name])
    count, anchors = 0, 0 if max_ms == math.inf else ANCHORS - len(measured)  # without a budget there is none to learn
    for each in _anchors(list(left.values()), anchors):
        count += 1
        take(each, latency_ms := measure(each.name))
        if latency_ms is not None and latency_ms > _HOPELESS * max_ms:
            break
    while True:
        fits = [(-each.top1_percent, latency_ms, name) for name, (each, latency_ms) in measured.items()
                if latency_ms <= max_ms]  # fmt: skip
        found = min(fits, default=None)
        better = [each for each in left.values() if found is None or each.top1_percent > -found[0]]
        chosen = _next(better, list(measured.values()), max_ms) if count < _MOST else None
        if chosen is None:
            return None if found is None else found[2]
        take(chosen, measure(chosen.name))
        count += 1


def _anchors(networks: Sequence[Work], count: int) -> list[Work]:
    """Networks spread evenly over the ranks of their multiply-adds, the smallest first."""
    by_size = sorted(networks, key=lambda each: (each.multiply_adds_billions, each.name))
    if count < 2 or len(by_size) <= count:
        return by_size[: max(count, 0)]
    return [by_size[round(place * (len(by_size) - 1) / (count - 1))] for place in range(count)]


def _next(networks: Sequence[Work], measured: Sequence[tuple[Work, float]], max_ms: float) -> Work | None:
    """The network to measure next; None where none could fit."""
    weights = fitted([each.terms for each, _ in measured], [latency_ms for _, latency_ms in measured])
    predicted = {each.name: _sum(weights, each.terms) for each in networks}
    errors: dict[str, list[float]] = {}  # measured/predicted, by family
    for each, latency_ms in measured:
        errors.setdefault(each.family, []).append(latency_ms / (_sum(weights, each.terms) or latency_ms))
    lowest = min((min(some) for some in errors.values()), default=1.0)
    means = {family: math.exp(sum(map(math.log, some)) / len(some)) for family, some in errors.items()}
    floors = {family: _FAMILY_FLOOR * min(some) for family, some in errors.items()}

    def fitting(of_family: Mapping[str, float], otherwise: float) -> list[Work]:
        return [each for each in networks
                if predicted[each.name] * of_family.get(each.family, otherwise) <= max_ms]  # fmt: skip

    likely = fitting(means, 1.0) or fitting(floors, _FLOOR * lowest)
    if likely:
        return max(likely, key=lambda each: (each.top1_percent, -predicted[each.name], each.name))
    unknown = [each for each in fitting({}, _LAST_FLOOR * lowest) if each.family not in errors]
    return min(unknown, key=lambda each: (predicted[each.name], each.name), default=None)


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
