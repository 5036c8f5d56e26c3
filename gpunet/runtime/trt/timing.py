"""Timing on the GPU as trtexec does it: CUDA events around the enqueue, two queries in flight.

While one query runs, the next is already queued behind it, so that the span between its two events is what the GPU
needs, not what the host needs to launch it. Source of the loop, its warm-up and its minima: trtexec
(sampleInference.cpp).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Protocol

from gpunet.core.arguments import checked_number
from gpunet.errors import InvalidArgumentError
from gpunet.runtime.trt.library import version_numbers

WARM_UP_MS, MIN_ITERATIONS, MIN_DURATION_S = 200.0, 10, 3.0


@dataclass(frozen=True)
class Switches:
    """The three switches of trtexec that move its figures. Figures taken under different ones are not comparable.

    Args:
        cuda_graph: launch the whole network at once, captured as a CUDA graph.
        spin_wait: the host waits for the GPU by spinning, not by sleeping.
        transfers: copy the input to the GPU and the output back with every query.

    The defaults are those of trtexec 8 and 10, under which the figures of NVIDIA and the paper were taken.
    """

    cuda_graph: bool = False
    spin_wait: bool = False
    transfers: bool = True

    @classmethod
    def of_trtexec(cls, version: str) -> Switches:
        """What trtexec of a TensorRT version does when no switch is given: from 11 on, the opposite of before."""
        numbers = version_numbers(version)
        if not numbers:
            raise InvalidArgumentError(f"a TensorRT version is a number such as 10.4, but got {version!r}.")
        return cls(cuda_graph=True, spin_wait=True, transfers=False) if numbers[0] >= 11 else cls()

    def to_dict(self) -> dict[str, bool]:
        """Plain JSON types."""
        return asdict(self)


@dataclass(frozen=True)
class Trace:
    """One query on the GPU's clock, in milliseconds since the trace began.

    Args:
        start_ms, end_ms: from the input's copy to the output's; the computation's where nothing is copied.
        compute_start_ms, compute_end_ms: around the enqueue.
        enqueue_ms: how long the host took to enqueue it.
    """

    start_ms: float
    compute_start_ms: float
    compute_end_ms: float
    end_ms: float
    enqueue_ms: float

    @property
    def compute_ms(self) -> float:
        """GPU compute time."""
        return self.compute_end_ms - self.compute_start_ms


class TimedQuery(Protocol):
    """A place for one query in flight."""

    def enqueue(self) -> None:
        """Put a query behind those that are queued; do not wait."""

    def finish(self) -> Trace:
        """Wait for the query that was enqueued last here."""


def collect(
    queries: Sequence[TimedQuery],
    *,
    warm_up_ms: float = WARM_UP_MS,
    min_iterations: int = MIN_ITERATIONS,
    min_duration_s: float = MIN_DURATION_S,
) -> tuple[list[Trace], int]:
    """Run queries, as many in flight as there are places, until both minima are reached.

    Args:
        queries: places; trtexec has two.
        warm_up_ms: queries that start earlier are not counted.
        min_iterations: least number of queries that count.
        min_duration_s: least time that they span, on the GPU's clock.

    Returns:
        The traces that count, and how many warmed up.

    Raises:
        InvalidArgumentError: (a ValueError) a minimum is out of range.
    """
    for name, value, least in (
        ("warm_up_ms", warm_up_ms, 0), ("min_iterations", min_iterations, 1), ("min_duration_s", min_duration_s, 0),
    ):  # fmt: skip
        checked_number(name, value, least)
    traces: list[Trace] = []
    active = [False] * len(queries)
    place = counted = 0
    clock_ms = 0.0
    while counted < min_iterations or clock_ms < warm_up_ms + 1000.0 * min_duration_s:
        queries[place].enqueue()
        active[place] = True
        place = (place + 1) % len(queries)
        if active[place]:
            traces.append(queries[place].finish())
            active[place] = False
            clock_ms = max(clock_ms, traces[-1].compute_start_ms)
            counted += traces[-1].compute_start_ms >= warm_up_ms
    for offset in range(len(queries)):
        each = (place + offset) % len(queries)
        if active[each]:
            traces.append(queries[each].finish())
    kept = [trace for trace in traces if trace.compute_start_ms >= warm_up_ms]
    return kept, len(traces) - len(kept)
