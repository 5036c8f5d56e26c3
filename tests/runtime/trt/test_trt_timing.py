"""The loop that times queries, on a simulated GPU: a queue that works in order on a clock of its own."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpunet.errors import InvalidArgumentError
from gpunet.runtime.trt.timing import Switches, Trace, collect


@dataclass
class SimulatedGpu:
    """Host and GPU on one clock, in milliseconds: launching takes the host, working takes the GPU, in order."""

    launch_ms: float
    work_ms: float
    host_ms: float = 0.0
    free_ms: float = 0.0
    enqueued: int = 0
    finished: int = 0
    starts: list[float] = field(default_factory=list)


class Place:
    def __init__(self, gpu: SimulatedGpu) -> None:
        self._gpu = gpu
        self._start = self._end = -1.0

    def enqueue(self) -> None:
        gpu = self._gpu
        gpu.enqueued += 1
        # The event before the first kernel passes as soon as the queue is empty; the kernels wait for their launch.
        self._start = max(gpu.host_ms, gpu.free_ms)
        gpu.host_ms += gpu.launch_ms
        self._end = max(self._start, gpu.host_ms) + gpu.work_ms
        gpu.free_ms = self._end
        gpu.starts.append(self._start)

    def finish(self) -> Trace:
        self._gpu.finished += 1
        self._gpu.host_ms = max(self._gpu.host_ms, self._end)
        return Trace(self._start, self._start, self._end, self._end, self._gpu.launch_ms)


def test_two_queries_in_flight_hide_the_launch() -> None:
    gpu = SimulatedGpu(launch_ms=0.4, work_ms=1.0)
    traces, _ = collect([Place(gpu), Place(gpu)], warm_up_ms=10, min_duration_s=0.1)
    assert {round(trace.compute_ms, 9) for trace in traces} == {1.0}
    alone = SimulatedGpu(launch_ms=0.4, work_ms=1.0)
    traces, _ = collect([Place(alone)], warm_up_ms=10, min_duration_s=0.1)
    assert {round(trace.compute_ms, 9) for trace in traces} == {1.4}


@settings(max_examples=60, deadline=None)
@given(
    work_ms=st.floats(0.05, 30),
    launch_ms=st.floats(0, 5),
    warm_up_ms=st.floats(0, 60),
    iterations=st.integers(1, 40),
    duration_s=st.floats(0, 0.3),
    places=st.integers(1, 3),
)
def test_the_minima_hold_and_nothing_is_left_running(
    work_ms: float, launch_ms: float, warm_up_ms: float, iterations: int, duration_s: float, places: int
) -> None:
    gpu = SimulatedGpu(launch_ms, work_ms)
    traces, warmup = collect(
        [Place(gpu) for _ in range(places)], warm_up_ms=warm_up_ms, min_iterations=iterations, min_duration_s=duration_s
    )
    assert gpu.enqueued == gpu.finished == len(traces) + warmup
    assert len(traces) >= iterations
    assert all(trace.compute_start_ms >= warm_up_ms for trace in traces)
    assert warmup == sum(start < warm_up_ms for start in gpu.starts)
    assert max(trace.compute_start_ms for trace in traces) >= warm_up_ms + 1000 * duration_s
    starts = [trace.compute_start_ms for trace in traces]
    assert starts == sorted(starts)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"warm_up_ms": -1}, "warm_up_ms must be a finite number of 0 or more, but got -1"),
        ({"min_iterations": 0}, "min_iterations must be a finite number of 1 or more, but got 0"),
        ({"min_duration_s": float("inf")}, "min_duration_s must be a finite number of 0 or more, but got inf"),
        ({"warm_up_ms": "200"}, "warm_up_ms must be a finite number of 0 or more, but got '200'"),
    ],
)
def test_minima_out_of_range_are_refused(given: dict[str, float], message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        collect([Place(SimulatedGpu(0, 1))], **given)  # type: ignore[arg-type]


@pytest.mark.parametrize("version", ["8.0.1", "8.6", "10.4.0.26"])
def test_trtexec_up_to_10_has_all_switches_the_old_way(version: str) -> None:
    assert Switches.of_trtexec(version) == Switches(cuda_graph=False, spin_wait=False, transfers=True) == Switches()


@pytest.mark.parametrize("version", ["11", "11.4.0"])
def test_trtexec_11_turned_them_round(version: str) -> None:
    assert Switches.of_trtexec(version).to_dict() == {"cuda_graph": True, "spin_wait": True, "transfers": False}


def test_switches_of_no_version_are_refused() -> None:
    with pytest.raises(InvalidArgumentError, match=r"a TensorRT version is a number such as 10\.4, but got 'latest'"):
        Switches.of_trtexec("latest")
