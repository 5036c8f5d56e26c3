"""Queries on a CUDA stream, timed by CUDA events; the copies have streams of their own, as in trtexec."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gpunet.runtime.trt.timing import Switches, Trace

if TYPE_CHECKING:
    import numpy as np


class Bench:
    """What the queries of one measurement share: streams, tensors and the zero of the clock.

    Args:
        torch: the module.
        compute: the stream of the engine.
        launch: enqueues the engine on it.
        images: the input, on the host.
        source, result: the engine's input and output, on the GPU.
        switches: see Switches; CUDA graphs are the launch's matter.
    """

    def __init__(
        self,
        torch: Any,
        compute: Any,
        launch: Callable[[], None],
        images: np.ndarray,
        source: Any,
        result: Any,
        switches: Switches,
    ) -> None:
        self.torch, self.compute, self.launch, self.switches = torch, compute, launch, switches
        self.copy_in, self.copy_out = torch.cuda.Stream(), torch.cuda.Stream()
        self.source, self.result = source, result
        self.host_source = torch.from_numpy(images.copy()).to(source.dtype).pin_memory()
        self.host_result = torch.empty(result.shape, dtype=result.dtype).pin_memory()
        source.copy_(self.host_source)
        torch.cuda.synchronize()
        self.zero = self.event()
        self.zero.record(compute)

    def event(self) -> Any:
        """A CUDA event that keeps time, waited for as the switches say."""
        return self.torch.cuda.Event(enable_timing=True, blocking=not self.switches.spin_wait)

    def slot(self) -> Slot:
        """A new place for one query in flight."""
        return Slot(self)


class Slot:
    """A place for one query in flight: see `gpunet.runtime.trt.timing.TimedQuery`."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._begin, self._copied, self._start, self._end, self._done = (bench.event() for _ in range(5))
        self._enqueue_ms = 0.0

    def enqueue(self) -> None:
        """See `TimedQuery.enqueue`."""
        bench = self._bench
        if bench.switches.transfers:
            self._begin.record(bench.copy_in)
            with bench.torch.cuda.stream(bench.copy_in):
                bench.source.copy_(bench.host_source, non_blocking=True)
            self._copied.record(bench.copy_in)
            bench.compute.wait_event(self._copied)
        self._start.record(bench.compute)
        self._enqueue_ms = timed_ms(bench.launch)
        self._end.record(bench.compute)
        if bench.switches.transfers:
            bench.copy_out.wait_event(self._end)
            with bench.torch.cuda.stream(bench.copy_out):
                bench.host_result.copy_(bench.result, non_blocking=True)
            self._done.record(bench.copy_out)

    def finish(self) -> Trace:
        """See `TimedQuery.finish`."""
        begin, done = (self._begin, self._done) if self._bench.switches.transfers else (self._start, self._end)
        done.synchronize()
        events = (begin, self._start, self._end, done)
        start, compute_start, compute_end, end = (float(self._bench.zero.elapsed_time(event)) for event in events)
        return Trace(start, compute_start, compute_end, end, self._enqueue_ms)


def timed_ms(action: Callable[[], object]) -> float:
    """Milliseconds that the host spends in `action`."""
    start = time.perf_counter()
    action()
    return 1000.0 * (time.perf_counter() - start)
