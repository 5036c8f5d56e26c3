"""Latency against accuracy: the Pareto frontier.

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
