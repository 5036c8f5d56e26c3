"""The reference: two fixed networks, measured beside everything else, so that a machine's drift is seen and taken out.

    s(t), l(t)   latency of the small and of the large one at time t, in ms
    S, L         their medians over a table's whole course
    f(t, c)      (s / S)^(1 - w) (l / L)^w, by how much a graph of c ms is slowed at time t
    w            log(c / S) / log(L / S), held within 0 and 1: a graph is slowed as the network is that is like it

    b, B         latency of the small one, timed in turn with a figure, and the median of those of all figures
    f(b, c)      (b / B)^(1 - w + w g), where there is a b: a machine may be slowed by a half for less than a second
    g            slope of log l over log s in the course: how much the large one is slowed when the small one is

Clocks, heat and neighbours move a machine by a third within minutes. A figure counts as c / f: what it would have been
at the machine's median speed. Raw figures and the course are kept, so that nothing is hidden by it.
"""

from __future__ import annotations

import bisect
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gpunet.latency.layers.convolutional import keys_from_spec
from gpunet.latency.layers.keys import LayerKey
from gpunet.model.parts import HeadSpec, StageSpec, StemSpec
from gpunet.model.small import SMALL
from gpunet.model.spec import NetworkSpec

STRETCH_S = 2.0  # of work between two looks at the reference, which cost a fiftieth of it
MOVED_PERCENT = 5.0
_SMOOTHED = 5  # looks whose median counts: one that a neighbour disturbed is not the machine's speed

LARGE = NetworkSpec(
    160,
    StemSpec(32, activation="swish"),
    (
        StageSpec("conv", 32, activation="swish"),
        StageSpec("fused_irb", 48, stride=2, expansion=4, activation="swish"),
        StageSpec("irb", 96, layers=2, stride=2, expansion=4, activation="swish", squeeze_excitation=True),
        StageSpec("irb", 160, layers=2, stride=2, expansion=4, activation="swish", squeeze_excitation=True),
    ),
    HeadSpec(640),
)
"""Some milliseconds on one thread. Neither network is ever changed: tables are joined by them."""


def reference_networks() -> tuple[list[LayerKey], list[LayerKey]]:
    """The small and the large network, as their keys in network order."""
    return keys_from_spec(SMALL, num_classes=10), keys_from_spec(LARGE)


@dataclass(frozen=True)
class Look:
    """Latencies of the two networks, in ms."""

    small_ms: float
    large_ms: float

    def moved_percent(self, other: Look) -> float:
        """By how much the one of them differs that differs more."""
        pairs = ((self.small_ms, other.small_ms), (self.large_ms, other.large_ms))
        return 100.0 * max(max(pair) / min(pair) - 1.0 for pair in pairs)


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
        low_ms, high_ms = sorted((self.median.small_ms, self.median.large_ms))
        span = math.log(high_ms / low_ms)
        weight = min(1.0, max(0.0, math.log(max(cost_ms, 1e-9) / low_ms) / span)) if span > 0 else 0.5
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
    if not points:
        return Look(1.0, 1.0)
    return Look(
        statistics.median(each.look.small_ms for each in points),
        statistics.median(each.look.large_ms for each in points),
    )


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
