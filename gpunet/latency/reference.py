"""The reference's course over a table: by how much a machine was slower or faster at a time than in the median.

A figure counts as c / f, what it would have been at the machine's median speed, with f(c) of `gpunet.runtime.reference`
between the looks at its time and their medians over the course; or, where the small network was timed in turn with it,

    f(b, c)   (b / B)^(1 - w + w g): a machine may be slowed by a half for less than a second
    b, B      latency of the small one, timed in turn with the figure, and the median of those of all figures, in ms
    g         slope of log l over log s in the course: how much the large one is slowed when the small one is

Raw figures and the course are kept, so that nothing is hidden by it.
"""

from __future__ import annotations

import bisect
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gpunet.latency.layers.convolutional import keys_from_spec
from gpunet.latency.layers.keys import LayerKey
from gpunet.model.reference_networks import REFERENCE_NETWORKS
from gpunet.runtime.measurement import MOVED_PERCENT
from gpunet.runtime.reference import Look, median_look

STRETCH_S = 2.0  # of work between two looks at the reference, which cost a fiftieth of it
_SMOOTHED = 5  # looks whose median counts: one that a neighbour disturbed is not the machine's speed


def reference_networks() -> tuple[list[LayerKey], list[LayerKey]]:
    """The small and the large network, as their keys in network order."""
    small, large = (keys_from_spec(spec, num_classes=classes) for spec, classes in REFERENCE_NETWORKS)
    return small, large


@dataclass(frozen=True)
class ReferencePoint:
    """A look at the reference, and when.

    Args:
        at_s: seconds since the epoch.
        builder: who took it; a course is one builder's.
        look: the latencies.
    """

    at_s: float
    builder: str
    look: Look


class Course:
    """The reference over time.

    Args:
        points: of one builder or of several, in any order.
        median: S and L; None for those of these points.
        beside_ms: b of all figures.
    """

    def __init__(
        self, points: Iterable[ReferencePoint], median: Look | None = None, *, beside_ms: Sequence[float] = ()
    ) -> None:
        self._beside_ms = statistics.median(beside_ms) if beside_ms else None
        self.points = sorted(points, key=lambda point: (point.builder, point.at_s))
        self.by_builder: dict[str, list[ReferencePoint]] = {}
        for point in self.points:
            self.by_builder.setdefault(point.builder, []).append(point)
        self.median = _median(self.points) if median is None else median
        self._slope = _slope(self.points, self.median)
        self._logs = {builder: _smoothed(own, self.median) for builder, own in self.by_builder.items()}

    def continued(self, points: Iterable[ReferencePoint]) -> Course:
        """Other points, beside the medians of this course."""
        beside_ms = () if self._beside_ms is None else (self._beside_ms,)
        found = Course(points, self.median if self.points else None, beside_ms=beside_ms)
        found._slope = self._slope
        return found

    def factor(self, at_s: float | None, builder: str, cost_ms: float, beside_ms: float | None = None) -> float:
        """By how much a graph of `cost_ms` was slowed, 1 for the machine's median speed, or where nobody looked."""
        if beside_ms is not None and self._beside_ms is not None:
            small = math.log(beside_ms / self._beside_ms)
            large = self._slope * small
        elif at_s is None or not (logs := self._logs.get(builder)):
            return 1.0
        else:
            small, large = _between(logs, at_s)
        weight = self.median.weight_of_large(cost_ms)
        return math.exp((1.0 - weight) * small + weight * large)

    def moved(self, at_s: float | None, builder: str) -> bool:
        """Whether the reference moved between the looks before and after."""
        own = self.by_builder.get(builder, [])
        if at_s is None or not own:
            return False
        after = min(len(own) - 1, bisect.bisect_left(own, at_s, key=lambda point: point.at_s))
        return own[max(0, after - 1)].look.moved_percent(own[after].look) > MOVED_PERCENT

    @property
    def spread_percent(self) -> float:
        """From the fastest tenth of the course to its slowest, as the large network felt it."""
        if len(self.points) < 2:
            return 0.0
        ordered = sorted(point.look.large_ms for point in self.points)
        tenth = len(ordered) // 10
        return 100.0 * (ordered[-1 - tenth] / ordered[tenth] - 1.0)


def _median(points: Sequence[ReferencePoint]) -> Look:
    return median_look(each.look for each in points) if points else Look(1.0, 1.0)


def _slope(points: Sequence[ReferencePoint], median: Look) -> float:
    """g: of looks that lie apart by less than 3 % in the mean nothing can be said, and both are taken to slow alike."""
    logs = [
        (math.log(each.look.small_ms / median.small_ms), math.log(each.look.large_ms / median.large_ms))
        for each in points
    ]
    square = math.fsum(small * small for small, _ in logs)
    if square <= len(logs) * 0.03**2:
        return 1.0
    return min(1.5, max(0.5, math.fsum(small * large for small, large in logs) / square))


_Logs = list[tuple[float, float, float]]


def _smoothed(points: Sequence[ReferencePoint], median: Look) -> _Logs:
    """Time, and log of small and large over their medians, each the median of some looks around it."""
    found: _Logs = []
    for number, point in enumerate(points):
        reach = min(_SMOOTHED // 2, number, len(points) - 1 - number)
        near = points[number - reach : number + reach + 1]
        found.append((
            point.at_s,
            math.log(statistics.median(each.look.small_ms for each in near) / median.small_ms),
            math.log(statistics.median(each.look.large_ms for each in near) / median.large_ms),
        ))  # fmt: skip
    return found


def _between(logs: _Logs, at_s: float) -> tuple[float, float]:
    """Interpolated in time; beyond the ends, the nearest."""
    after = bisect.bisect_left(logs, (at_s,))
    if after in (0, len(logs)):
        return logs[min(after, len(logs) - 1)][1:]
    (start_s, *before), (end_s, *behind) = logs[after - 1], logs[after]
    part = (at_s - start_s) / (end_s - start_s) if end_s > start_s else 0.0
    small, large = ((1.0 - part) * one + part * other for one, other in zip(before, behind, strict=True))
    return small, large
