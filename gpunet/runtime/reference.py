"""The reference: two fixed networks, timed beside every figure, so that a machine's drift is seen and taken out.

    s, l     latency of the small and of the large one, in ms, at some time
    S, L     the same when the machine ran at the speed that is compared with
    f(c)     (s / S)^(1 - w) (l / L)^w, by how much a graph of c ms is slowed
    w        log(c / S) / log(L / S), held within 0 and 1: a graph is slowed as the network is that is like it

Clocks, heat and neighbours move a machine by a third within minutes. Two figures of different times can be compared
where each carries its reference: what f explains is the machine's, the rest is the network's.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpunet.runtime.timing import no_garbage_collection, noise

if TYPE_CHECKING:
    import numpy as np

    from gpunet.runtime.base import Session

VERSION = 1  # of the two networks: looks at others are no looks at these
_REPEATS = (20, 5)  # of the small network and of the large one: some 0.06 s together on one thread
_LEAST_MS = 1e-6  # what a clock that stood still is taken for
_MOST_S = 0.1  # of timed runs of one of them, on a slow or a busy machine


@dataclass(frozen=True)
class Look:
    """Latencies of the two networks, in ms."""

    small_ms: float
    large_ms: float

    def moved_percent(self, other: Look) -> float:
        """By how much the one of them differs that differs more."""
        pairs = ((self.small_ms, other.small_ms), (self.large_ms, other.large_ms))
        return 100.0 * max(max(pair) / min(pair) - 1.0 for pair in pairs)

    def weight_of_large(self, cost_ms: float) -> float:
        """How much like the large network a graph of `cost_ms` is, 0 to 1: w above."""
        low_ms, high_ms = sorted((self.small_ms, self.large_ms))
        span = math.log(high_ms / low_ms)
        return min(1.0, max(0.0, math.log(max(cost_ms, 1e-9) / low_ms) / span)) if span > 0 else 0.5

    def slowed(self, normal: Look, cost_ms: float) -> float:
        """By how much a graph of `cost_ms` is slowed at this look, beside another: f above; 1.1 is a tenth slower."""
        weight = normal.weight_of_large(cost_ms)
        small, large = self.small_ms / normal.small_ms, self.large_ms / normal.large_ms
        return math.exp((1.0 - weight) * math.log(small) + weight * math.log(large))


def median_look(looks: Iterable[Look]) -> Look:
    """The median of each of the two; ValueError for no look."""
    found = list(looks)
    return Look(statistics.median(each.small_ms for each in found), statistics.median(each.large_ms for each in found))


class Reference:
    """The two networks, loaded: see `gpunet.exporters.reference.reference_for`.

    Args:
        small, large: each with the shape of its image.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        small: tuple[Session, tuple[int, ...]],
        large: tuple[Session, tuple[int, ...]],
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._networks = [(session, noise(shape)) for session, shape in (small, large)]
        self._clock = clock

    def look(self) -> Look:
        """Time both, now: the least of some runs, since whatever else runs only ever adds time."""
        with no_garbage_collection():
            return Look(*(self._least_ms(*each) for each in zip(self._networks, _REPEATS, strict=True)))

    def _least_ms(self, network: tuple[Session, np.ndarray], repeats: int) -> float:
        session, images = network
        session.run(images)
        times_s: list[float] = []
        while len(times_s) < repeats and sum(times_s) < _MOST_S:
            start = self._clock()
            session.run(images)
            times_s.append(self._clock() - start)
        return max(1000.0 * min(times_s), _LEAST_MS)
