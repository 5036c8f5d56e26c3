from __future__ import annotations

import dataclasses
import gc
import json
import logging
import math
import os
import subprocess
import sys
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone

import numpy as np
import onnx
import pytest

from gpunet import runtime as runtimes
from gpunet.core.machine import processor_name, seconds_waited
from gpunet.errors import InvalidArgumentError
from gpunet.runtime import timing
from gpunet.runtime.timing import Measurement, NoisyMachineWarning, interleave, measure

IMAGES = np.zeros((4, 3, 8, 8), np.float32)


class Clock:
    """Seconds that pass only when a session lets them."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Played:
    """A session whose runs take the milliseconds given, the last of them for ever."""

    runtime, runtime_version, precision, threads, device = "played", "1.2", "fp32", 3, "cpu"
    input_shape = (None, 3, 8, 8)
    conditions = {"mode": "test"}  # noqa: RUF012

    def __init__(self, clock: Clock, times_ms: Iterable[float], log: list[str] | None = None, name: str = "") -> None:
        self.clock = clock
        self.times = list(times_ms)
        self.runs = 0
        self.collecting: set[bool] = set()
        self.log = log if log is not None else []
        self.name = name

    def run(self, images: np.ndarray) -> np.ndarray:
        self.clock.now += self.times[min(self.runs, len(self.times) - 1)] / 1000
        self.runs += 1
        self.collecting.add(gc.isenabled())
        self.log.append(self.name)
        return images


def _measured(times_ms: Iterable[float], **how: object) -> Measurement:
    """A measurement whose timed runs take exactly these times; the three untimed ones take a second each."""
    times = list(times_ms)
    clock = Clock()
    session = Played(clock, [1000, 1000, 1000, *times])
    how = {"warmup_s": 0, "min_repeats": len(times), "min_time_s": 0, **how}
    return measure(session, IMAGES, clock=clock, **how)  # type: ignore[arg-type]


def test_statistics_of_known_times() -> None:
    got = _measured([14, 10, 11, 13, 12], warn=False)
    assert got.latency_ms == pytest.approx(12)
    assert got.mean_ms == pytest.approx(12)
    assert got.min_ms == pytest.approx(10)
    assert got.p25_ms == pytest.approx(11)
    assert got.p90_ms == pytest.approx(13.6)
    assert got.p99_ms == pytest.approx(13.96)
    assert got.spread_percent == pytest.approx(100 * 2 / 12)
    assert (got.repeats, got.warmup) == (5, 3)
    assert got.batch_size == 4
    assert got.throughput_ips == pytest.approx(4000 / 12)


@pytest.mark.parametrize("seed", range(5))
def test_quantiles_are_numpys(seed: int) -> None:
    times = np.random.default_rng(seed).lognormal(2, 1, size=20 + seed)
    got = _measured(times, warn=False)
    found = [got.p25_ms, got.latency_ms, got.p90_ms, got.p99_ms]
    np.testing.assert_allclose(found, np.quantile(times, [0.25, 0.5, 0.9, 0.99]))


def test_one_repeat_is_every_quantile() -> None:
    got = _measured([7])
    assert (got.latency_ms, got.p99_ms, got.min_ms) == pytest.approx((7, 7, 7))
    assert got.spread_percent == 0


@pytest.mark.parametrize(
    ("warmup_s", "min_repeats", "min_time_s", "warmup", "repeats"),
    [
        (0, 5, 0, 3, 5),
        (0.2, 5, 0, 20, 5),  # 10 ms a run
        (0, 5, 1.0, 3, 100),
        (0, 200, 1.0, 3, 200),
    ],
)
def test_both_minima_are_reached(
    warmup_s: float, min_repeats: int, min_time_s: float, warmup: int, repeats: int
) -> None:
    clock = Clock()
    session = Played(clock, [10.0001])
    got = measure(session, IMAGES, warmup_s=warmup_s, min_repeats=min_repeats, min_time_s=min_time_s, clock=clock)
    assert (got.warmup, got.repeats) == (warmup, repeats)
    assert session.runs == warmup + repeats


@pytest.mark.parametrize(("run_ms", "repeats"), [(400, 20), (1000.1, 10), (60_000, 5)])
def test_a_slow_network_is_content_with_fewer_repeats(run_ms: float, repeats: int) -> None:
    clock = Clock()
    assert measure(Played(clock, [run_ms]), IMAGES, clock=clock).repeats == repeats


def test_conditions_say_what_was_measured() -> None:
    said = _measured([5], conditions={"model": "x"}).conditions
    assert said["processor"] == processor_name()
    wanted = {"runtime": "played", "runtime_version": "1.2", "precision": "fp32", "threads": 3, "batch_size": 4,
              "input_shape": [4, 3, 8, 8], "mode": "test", "model": "x"}  # fmt: skip
    assert {key: said[key] for key in wanted} == wanted
    assert {"machine", "system", "waited_percent", "gpunet_version"} <= set(said)
    age = datetime.now(timezone.utc) - datetime.fromisoformat(said["date"])
    assert timedelta(seconds=-2) < age < timedelta(minutes=5)


def test_no_garbage_is_collected_meanwhile() -> None:
    assert gc.isenabled()
    clock = Clock()
    session = Played(clock, [10])
    measure(session, IMAGES, clock=clock)
    interleave({"a": session}, IMAGES, rounds=2, clock=clock)
    assert session.collecting == {False}
    assert gc.isenabled()
    gc.disable()
    try:
        measure(session, IMAGES, clock=clock)
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_garbage_collection_comes_back_after_a_failure() -> None:
    with pytest.raises(ZeroDivisionError):
        measure(Played(Clock(), _failing()), IMAGES, clock=Clock())
    assert gc.isenabled()


def _failing() -> list[float]:
    class Zero(float):
        def __truediv__(self, other: object) -> float:
            raise ZeroDivisionError

    return [Zero()]


# ---------------------------------------------------------------------- noise

STEADY = [100] * 10 + [107] * 10
RESTLESS = [100] * 10 + [140] * 10


def test_a_restless_machine_is_warned_of() -> None:
    said = "not quiet: the middle half of 20 repeats lies between 100 and 140 ms, 33 % of the median of 120 ms, the "
    with pytest.warns(NoisyMachineWarning, match=said) as caught:
        got = _measured(RESTLESS)
    assert got.noisy
    assert issubclass(NoisyMachineWarning, UserWarning)
    assert len(caught) == 1
    assert caught[0].filename == __file__


def test_a_median_far_above_the_least_is_warned_of_too() -> None:
    """Another program computes nearly all the time: the repeats are slow, but alike."""
    with pytest.warns(NoisyMachineWarning, match="0 % of the median of 140 ms, the least is 100 ms"):
        _measured([100] + [140] * 19)
    assert not _measured([100] + [130] * 19).noisy


@pytest.mark.parametrize(("waited_percent", "noisy"), [(60, True), (10.1, True), (9, False), (0, False), (None, False)])
def test_threads_that_wait_for_a_processor_are_noise(waited_percent: float | None, noisy: bool) -> None:
    quiet = _measured([100] * 20)
    assert dataclasses.replace(quiet, conditions={"waited_percent": waited_percent}).noisy == noisy


@pytest.mark.skipif(seconds_waited() is None, reason="this system does not say how long threads wait")
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system cannot bind a process to processors")
def test_a_competitor_that_never_stops_is_noticed() -> None:
    """Both on one processor: every repeat is slow alike, but half of the time is spent waiting."""
    code = """
import os, subprocess, sys
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
import numpy as np
from gpunet.runtime.timing import measure

class Busy:
    runtime, runtime_version, precision, threads, device = "busy", "1", "fp32", 1, "cpu"
    input_shape, conditions = (None, 3, 8, 8), {}

    def run(self, images):
        sum(range(300_000))

competitor = subprocess.Popen([sys.executable, "-c", "while True: pass"])
try:
    got = measure(Busy(), np.zeros((1, 3, 8, 8), np.float32), min_time_s=0.5, warn=False)
finally:
    competitor.kill()
    competitor.wait()
print(got.conditions["waited_percent"] > 20, got.noisy)
"""
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "True True\n"
    )


def test_a_steady_machine_is_not() -> None:
    assert not _measured(STEADY).noisy  # a warning would be an error here


def test_the_warning_can_be_left_out() -> None:
    assert _measured(RESTLESS, warn=False).noisy


def test_rare_outliers_do_not_touch_the_figure() -> None:
    got = _measured([10] * 18 + [90] * 2)
    assert got.latency_ms == pytest.approx(10)
    assert not got.noisy
    assert got.p99_ms > 80


def test_the_figure_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="gpunet.runtime.timing"):
        _measured([12.5])
    assert caplog.messages == ["measured 12.5 ms (median of 1, spread 0 %), batch 4, fp32, played 1.2"]


# ----------------------------------------------------------------------- JSON


def test_json_both_ways() -> None:
    got = _measured([14, 10, 11, 13, 12], warn=False)
    again = Measurement.from_json(got.to_json())
    assert again == got
    assert again.conditions == got.conditions
    assert json.loads(got.to_json())["measurement_version"] == 1
    assert len({got, again}) == 1


GOOD = {
    "measurement_version": 1,
    "latency_ms": 2.0,
    "mean_ms": 2.0,
    "min_ms": 1.0,
    "p25_ms": 1.5,
    "p90_ms": 3.0,
    "p99_ms": 4,
    "spread_percent": 5.0,
    "repeats": 20,
    "warmup": 3,
    "conditions": {"batch_size": 1},
}


def test_a_file_of_version_1_stays_readable() -> None:
    assert Measurement.from_dict(GOOD).p25_ms == 1.5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"measurement_version": 2},
            r"measurement_version: 2 is not 1\nA newer gpunet wrote this measurement: upgrade",
        ),
        ({"measurement_version": None}, "measurement_version: None is not 1"),
        ({"median": 2}, "measurement: median is unknown"),
        ({"latency_ms": "fast"}, "latency_ms must be a finite number of 0 or more, but got 'fast'"),
        ({"min_ms": -1}, "min_ms must be a finite number of 0 or more, but got -1"),
        ({"p99_ms": math.inf}, "p99_ms must be a finite number of 0 or more, but got inf"),
        ({"mean_ms": math.nan}, "mean_ms must be a finite number of 0 or more, but got nan"),
        ({"repeats": True}, "repeats must be a finite number of 0 or more, but got True"),
        ({"conditions": [1]}, r"conditions must be an object, but got \[1\]"),
    ],
)
def test_a_wrong_measurement_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        Measurement.from_dict(GOOD | change)


def test_what_is_no_measurement_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="measurement: warmup is missing"):
        Measurement.from_dict({key: value for key, value in GOOD.items() if key != "warmup"})
    with pytest.raises(InvalidArgumentError, match="measurement: 3 is not an object"):
        Measurement.from_dict(3)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match="measurement: not JSON: Expecting value"):
        Measurement.from_json("nonsense")


# -------------------------------------------------------------------- in turn


def test_sessions_take_turns_and_the_order_moves_on() -> None:
    clock, log = Clock(), []
    sessions = {name: Played(clock, [10], log, name) for name in "abc"}
    got = interleave(sessions, IMAGES, rounds=3, runs_per_round=2, warmup_s=0, clock=clock)
    assert "".join(log) == "aaabbbccc" + "aaabbbccc" + "bbbcccaaa" + "cccaaabbb"
    assert list(got) == ["a", "b", "c"]
    assert {(each.repeats, each.warmup) for each in got.values()} == {(6, 3 + 3)}
    assert got["a"].conditions["interleaved_with"] == ["a", "b", "c"]


def test_a_disturbance_of_all_leaves_the_low_end_alone() -> None:
    """From the third round on the machine is three times slower, for both alike."""
    clock = Clock()
    slow = {"warm-up and two rounds": 3 + 2 * 2}
    sessions = {
        name: Played(clock, [ms] * slow["warm-up and two rounds"] + [3 * ms]) for name, ms in {"a": 10, "b": 20}.items()
    }
    got = interleave(sessions, IMAGES, rounds=5, runs_per_round=1, warmup_s=0, clock=clock)
    assert got["a"].latency_ms == pytest.approx(30)
    assert got["a"].p25_ms / got["b"].p25_ms == pytest.approx(0.5)
    assert got["a"].min_ms == pytest.approx(10)


def test_each_may_have_its_own_images() -> None:
    clock = Clock()
    sessions = {"a": Played(clock, [10]), "b": Played(clock, [10])}
    got = interleave(sessions, {"a": IMAGES, "b": IMAGES[:1]}, rounds=1, clock=clock)
    assert (got["a"].batch_size, got["b"].batch_size) == (4, 1)


# --------------------------------------------------------------- wrong numbers


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"warmup_s": -1}, "warmup_s must be a finite number of 0 or more, but got -1"),
        ({"min_time_s": math.inf}, "min_time_s must be a finite number of 0 or more, but got inf"),
        ({"min_time_s": "1"}, "min_time_s must be a finite number of 0 or more, but got '1'"),
        ({"min_repeats": 0}, "min_repeats must be an integer of 1 or more, but got 0"),
        ({"min_repeats": 2.5}, "min_repeats must be an integer of 1 or more, but got 2.5"),
    ],
)
def test_minima_out_of_range_are_refused(how: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        measure(Played(Clock(), [1]), IMAGES, **how)  # type: ignore[arg-type]


def test_interleave_refuses_what_it_cannot_do() -> None:
    session = Played(Clock(), [1])
    with pytest.raises(InvalidArgumentError, match="needs at least one session, but got none"):
        interleave({}, IMAGES)
    with pytest.raises(InvalidArgumentError, match="there are none for 'b'"):
        interleave({"a": session, "b": session}, {"a": IMAGES})
    with pytest.raises(InvalidArgumentError, match="rounds must be an integer of 1 or more, but got 0"):
        interleave({"a": session}, IMAGES, rounds=0)
    with pytest.raises(InvalidArgumentError, match="runs_per_round must be an integer of 1 or more, but got -1"):
        interleave({"a": session}, IMAGES, runs_per_round=-1)


# -------------------------------------------------------------------- for real


def test_a_real_session_is_timed(network: onnx.ModelProto, images: np.ndarray) -> None:
    session = runtimes.get("onnxruntime").load(network, threads=1)
    got = measure(session, images, warmup_s=0.01, min_repeats=30, min_time_s=0.01, warn=False)
    assert 0 < got.min_ms <= got.p25_ms <= got.latency_ms <= got.p90_ms <= got.p99_ms < 1000
    assert got.repeats >= 30
    assert got.conditions["provider"] == "CPUExecutionProvider"


def test_defaults_are_those_documented() -> None:
    assert (timing.MAX_TIME_S, timing.LEAST_REPEATS) == (10, 5)
    assert (timing.WARMUP_S, timing.WARMUP_RUNS, timing.MIN_REPEATS, timing.MIN_TIME_S) == (0.2, 3, 20, 1.0)


class OnDevice(Played):
    """A session that times itself, as one on a GPU does."""

    def measure(self, images: np.ndarray, **how: object) -> tuple[int, dict[str, object]]:
        return len(images), how


def test_a_session_that_times_itself_is_asked() -> None:
    said = measure(OnDevice(Clock(), [1.0]), IMAGES, warmup_s=0.1, conditions={"model": "m"})
    how = {"warm_up_ms": 100.0, "min_iterations": 20, "min_duration_s": 1.0, "conditions": {"model": "m"}}
    assert said == (4, how)
