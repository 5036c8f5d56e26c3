"""What ran in turn, brought to one speed of the machine; and how many times as long one network takes as another."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from gpunet.latency.reference import STRETCH_S, Course, ReferencePoint
from gpunet.runtime.beside import beside_looks

if TYPE_CHECKING:
    from gpunet.runtime.measurement import Measurement
    from gpunet.runtime.reference import Reference

_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Ratio:
    """How many times as long a network takes as the one that it is compared with.

    Args:
        name, base: the network, and the other.
        times: the median over the rounds, each at the machine's median speed; of networks that did not run in turn,
            of their lower quartiles.
        low, high: where the true median lies with 95 % confidence; None where too few rounds say it.
    """

    name: str
    base: str
    times: float
    low: float | None = None
    high: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return f"{self.times:.2f}"
        return f"{self.times:.2f} ({self.low:.2f} to {self.high:.2f})"


class Turns:
    """Turns of `interleave`, with a look at the reference of each runtime before, after, and every two seconds.

    Args:
        references: by runtime; what has none is taken as it was timed.
        runtimes: that each network runs on, by name.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        references: Mapping[str, Reference],
        runtimes: Mapping[str, str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._references, self._runtimes, self._clock = references, runtimes, clock
        self._points: dict[str, list[ReferencePoint]] = {name: [] for name in references}
        self._turns: dict[str, list[tuple[float, list[float]]]] = {}
        self.look()

    def __contains__(self, name: object) -> bool:
        return name in self._turns

    def look(self) -> None:
        """Look at the references now."""
        for runtime, reference in self._references.items():
            self._points[runtime].append(ReferencePoint(self._clock(), runtime, reference.look()))
        self._looked_s = self._clock()

    def add(self, name: str, times_s: Sequence[float]) -> None:
        """A turn has ended: see `interleave`."""
        self._turns.setdefault(name, []).append((self._clock(), [1000.0 * each for each in times_s]))
        if self._clock() - self._looked_s >= STRETCH_S:
            self.look()

    def beside(self, name: str, measurement: Measurement) -> Measurement:
        """A network's measurement with the looks of its runtime among its conditions."""
        points = self._points.get(self._runtimes[name])
        return beside_looks(measurement, [each.look for each in points]) if points else measurement

    def low_ms(self, name: str) -> float:
        """Lower quartile of a network's times, at the machine's median speed."""
        times = [each for turn in self._at_one_speed(name) for each in turn]
        return statistics.quantiles(times, n=4, method="inclusive")[0] if len(times) > 1 else times[0]

    def ratio(self, name: str, base: str) -> Ratio:
        """How many times as long a network takes as another, round by round, the least of each turn."""
        pairs = zip(self._at_one_speed(name), self._at_one_speed(base), strict=True)
        found = sorted(min(own) / min(other) for own, other in pairs)
        place = _bound(len(found))
        if place is None:
            return Ratio(name, base, statistics.median(found))
        return Ratio(name, base, statistics.median(found), found[place], found[-1 - place])

    def _at_one_speed(self, name: str) -> list[list[float]]:
        runtime, turns = self._runtimes[name], self._turns[name]
        course = Course(self._points.get(runtime, ()))
        cost_ms = statistics.median(each for _, turn in turns for each in turn)
        return [[each / course.factor(at_s, runtime, cost_ms) for each in turn] for at_s, turn in turns]


def _bound(count: int) -> int | None:
    """How many of `count` ordered values lie outside on either side of what holds their median with 95 % confidence.

    It lies below the k-th value as often as of `count` tosses of a coin fewer than k fall heads; no value outside is 0,
    None that even all of them do not hold it surely enough.
    """
    below, outside = 0.0, None
    for number in range(count // 2):
        below += math.comb(count, number) / 2.0**count
        if 1.0 - 2.0 * below < _CONFIDENCE:
            break
        outside = number
    return outside
