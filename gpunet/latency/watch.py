"""A builder's watch over the reference, looked at every two seconds: what lies where it moved is measured again."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, TypeAlias, TypeVar

from gpunet.latency.records import LayerLatency, NetworkLatency
from gpunet.latency.reference import STRETCH_S, Course, ReferencePoint
from gpunet.runtime.measurement import MOVED_PERCENT
from gpunet.runtime.reference import Look

if TYPE_CHECKING:
    from gpunet.latency.layers.keys import LayerKey
    from gpunet.latency.meter import LayerMeter
    from gpunet.latency.table import LatencyTable

Measured: TypeAlias = "LayerKey | tuple[LayerKey, ...]"
_Figures = TypeVar("_Figures", LayerLatency, NetworkLatency)


class ReferenceMeter(Protocol):
    """What measures the reference: see `gpunet.latency.meter.LayerMeter`."""

    def reference(self) -> Look:
        """Measure its two networks."""
        ...


def at_median_speed(
    course: Course, meter: LayerMeter, networks: Sequence[Sequence[LayerKey]], rounds: int
) -> list[float]:
    """Latencies in ms of networks measured whole now, at the median speed of a table's course.

    Args:
        course: the table's; where it is empty, the speed of now counts.
        meter: under the table's conditions.
        networks: each as its keys, in network order.
        rounds: timed runs of each.
    """
    before = ReferencePoint(0.0, "", meter.reference())
    found = meter.networks(networks, rounds=rounds)
    both = course.continued((before, ReferencePoint(1.0, "", meter.reference())))
    return [each.latency_ms / both.factor(0.5, "", each.latency_ms, each.beside_ms) for each in found]


class Watch:
    """Of one builder.

    Args:
        table: keeps the course.
        meter: measures the reference.
        builder: its name.
        clock: seconds, monotonic.
    """

    def __init__(
        self, table: LatencyTable, meter: ReferenceMeter, builder: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._table, self._meter, self._builder, self._clock = table, meter, builder, clock
        self._stretch: list[Measured] = []  # but for what was measured in turn with the reference
        self._in_turn = self._noted = False
        self._again: set[Measured] = set()
        self._last: Look | None = None
        self._looked_s = clock()

    def timed(self, measure: Callable[[], _Figures]) -> _Figures:
        """Figures, with the time at which they were measured and by whom."""
        if self._last is None:
            self._look()
        began_s = self._table.now_s()
        figures = measure()
        self._in_turn = figures.beside_ms is not None
        return dataclasses.replace(figures, at_s=(began_s + self._table.now_s()) / 2, builder=self._builder)

    def note(self, what: Measured) -> list[Measured]:
        """Something was measured; what is to be measured again, once, as the reference moved meanwhile.

        A stretch ends with a network: what all sums are compared with is to be known at the speed of its moment.
        """
        self._noted = True
        if not self._in_turn:
            self._stretch.append(what)
        ends = isinstance(what, tuple) or self._clock() - self._looked_s >= STRETCH_S
        return self.end() if ends else []

    def end(self) -> list[Measured]:
        """Look at the reference now; what is to be measured again."""
        if not self._noted or self._last is None:
            return []
        before, stretch = self._last, self._stretch
        self._stretch, self._noted = [], False
        if self._look().moved_percent(before) <= MOVED_PERCENT:
            return []
        again = [each for each in dict.fromkeys(stretch) if each not in self._again]
        self._again.update(again)
        return again

    def _look(self) -> Look:
        began_s = self._table.now_s()
        look = self._meter.reference()
        self._table.add_reference(ReferencePoint((began_s + self._table.now_s()) / 2, self._builder, look))
        self._last, self._looked_s = look, self._clock()
        return look
