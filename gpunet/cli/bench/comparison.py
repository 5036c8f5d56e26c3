"""Latency against accuracy: whether a baseline is beaten, and what changed its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gpunet.core.frontier import Point


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


def verdicts(points: Sequence[Point], datasets: Mapping[str, str | None] | None = None) -> list[Verdict]:
    """A verdict for each baseline among the points, in their order.

    Args:
        points: networks.
        datasets: what the accuracies are of, by the networks' names: only equal ones are compared.
    """
    of = (datasets or {}).get
    return [
        Verdict(
            point,
            min(
                (
                    other
                    for other in points
                    if not other.baseline
                    and other.top1_percent >= point.top1_percent
                    and of(other.name) == of(point.name)
                ),
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
