"""Latency against accuracy: the Pareto frontier, and whether a baseline is beaten.

A point dominates another when it is at least as fast and at least as accurate, and better in one of the two.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Point:
    """A network as a point of the picture: latency_ms to the right, top1_percent upwards."""

    name: str
    latency_ms: float
    top1_percent: float
    baseline: bool = False

    def dominates(self, other: Point) -> bool:
        """Whether this point is no worse than `other` in both figures and better in one."""
        no_worse = self.latency_ms <= other.latency_ms and self.top1_percent >= other.top1_percent
        return no_worse and (self.latency_ms, self.top1_percent) != (other.latency_ms, other.top1_percent)


def dominator(point: Point, points: Iterable[Point]) -> Point | None:
    """The fastest of the points that dominate `point`; None where it is on the frontier."""
    return min(
        (other for other in points if other.dominates(point)),
        key=lambda other: (other.latency_ms, -other.top1_percent, other.name),
        default=None,
    )


def frontier(points: Sequence[Point]) -> list[Point]:
    """The points that no other dominates, the fastest first."""
    return sorted((point for point in points if dominator(point, points) is None), key=lambda p: (p.latency_ms, p.name))


@dataclass(frozen=True)
class Verdict:
    """What became of the paper's claim for one baseline: a GPUNet at least as accurate that is faster.

    Args:
        baseline: the network compared with.
        rival: the fastest network of the zoo with at least the baseline's accuracy; None where there is none.
    """

    baseline: Point
    rival: Point | None

    @property
    def speedup(self) -> float | None:
        """The baseline's latency over the rival's: above 1 where the rival is faster."""
        return None if self.rival is None else self.baseline.latency_ms / self.rival.latency_ms

    @property
    def holds(self) -> bool | None:
        """Whether the rival is faster; None where nothing as accurate was compared."""
        return None if self.speedup is None else self.speedup > 1

    @property
    def words(self) -> str:
        """The verdict as the tables print it."""
        return {True: "holds", False: "DOES NOT HOLD", None: "nothing as accurate"}[self.holds]


def verdicts(points: Sequence[Point]) -> list[Verdict]:
    """A verdict for each baseline among the points, in their order."""
    return [
        Verdict(
            point,
            min(
                (other for other in points if not other.baseline and other.top1_percent >= point.top1_percent),
                key=lambda other: other.latency_ms,
                default=None,
            ),
        )
        for point in points
        if point.baseline
    ]


def swapped(published: Sequence[Point], here: Sequence[Point]) -> list[tuple[Point, Point]]:
    """Pairs of networks, baselines left out, that were published as (faster, slower) and are the other way round here.

    Returns:
        The published points of each pair.
    """
    latency_ms = {point.name: point.latency_ms for point in here}
    known = [point for point in published if point.name in latency_ms and not point.baseline]
    return [
        (one, other)
        for one in known
        for other in known
        if one.latency_ms < other.latency_ms and latency_ms[one.name] > latency_ms[other.name]
    ]
