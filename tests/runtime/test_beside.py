"""Figures beside the machine's own speed: what is measured again, what each carries, what a difference is made of."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from helpers.machine import Machine

from gpunet.core import gpu as asked
from gpunet.core.gpu import GpuClocks
from gpunet.runtime.beside import beside_looks, change, look_of, measure_beside
from gpunet.runtime.measurement import Measurement
from gpunet.runtime.reference import Look
from gpunet.runtime.timing import NoisyMachineWarning

IMAGES = np.zeros((1, 3, 8, 8), np.float32)
MINIMA: dict[str, Any] = {"warmup_s": 0, "min_repeats": 20, "min_time_s": 0}


def measured(machine: Machine, *ms: float, **how: Any) -> Measurement:
    return measure_beside(
        machine.session(*ms or (10.0,)), IMAGES, machine.reference(), clock=machine.clock, **MINIMA, **how
    )


def test_a_figure_carries_its_reference() -> None:
    machine = Machine(lambda looks: 1.0)
    found = measured(machine, conditions={"model": "m"})
    assert found.latency_ms == pytest.approx(10)
    assert found.conditions["reference"] == {
        "version": 1,
        "small_ms": pytest.approx(0.1),
        "large_ms": pytest.approx(10),
    }
    assert (found.conditions["moved_percent"], found.moved, machine.looks) == (0.0, False, 2)
    assert look_of(Measurement.from_json(found.to_json())) == look_of(found)
    assert found.conditions["model"] == "m"


def test_what_was_measured_while_the_machine_moved_is_measured_again() -> None:
    machine = Machine(lambda looks: 1.0 if looks < 2 else 1.3)
    found = measured(machine)
    assert (machine.looks, found.moved) == (4, False)
    assert found.latency_ms == pytest.approx(13)
    assert found.conditions["reference"]["large_ms"] == pytest.approx(13)


def test_a_machine_that_moves_on_is_marked_and_warned_of() -> None:
    machine = Machine(lambda looks: 1.2**looks)
    with pytest.warns(NoisyMachineWarning, match=r"time, and the machine's speed moved by 20 %\. The figure is uncert"):
        found = measured(machine)
    assert machine.looks == 4
    assert (found.moved, found.noisy, found.conditions["moved_percent"]) == (True, True, 20.0)
    assert found.latency_ms == pytest.approx(12)  # the lower of the two


@pytest.mark.parametrize(("noise_too", "looks"), [(False, 2), (True, 4)])
def test_other_noise_is_measured_again_where_that_is_asked_for(noise_too: bool, looks: int) -> None:
    machine = Machine(lambda looks: 1.0)
    measured(machine, 5.0, 20.0, noise_too=noise_too, warn=False)
    assert machine.looks == looks


def test_a_network_is_moved_as_the_one_is_that_is_like_it() -> None:
    looks = [Look(0.1, 10.0), Look(0.13, 10.0)]
    assert beside_looks(figure(20.0), looks).moved is False
    assert beside_looks(figure(0.1), looks).conditions["moved_percent"] == 30.0
    steady = [Look(0.1, 10.0)] * 18
    assert beside_looks(figure(20.0), [*steady, Look(0.1, 15.0)]).moved is False  # one that a neighbour disturbed


def test_without_a_reference_it_is_measured_all_the_same() -> None:
    machine = Machine(lambda looks: 1.0)
    found = measure_beside(machine.session(5.0), IMAGES, None, clock=machine.clock, **MINIMA)
    assert (found.latency_ms, look_of(found)) == (pytest.approx(5), None)


# ------------------------------------------------------------------------ GPUs


@pytest.mark.parametrize(("after_mhz", "asked_for", "moved_percent"), [(1980, 2, 0.0), (1500, 4, 32.0)])
def test_a_gpus_clocks_stand_beside_its_figure(
    monkeypatch: pytest.MonkeyPatch, after_mhz: int, asked_for: int, moved_percent: float
) -> None:
    answers = [f"{mhz}, 2619, 1980, 0x{bits:016x}" for mhz, bits in ((1980, 2), (after_mhz, 4))] * 2
    queries: list[list[str]] = []

    def answer(command: list[str]) -> str:
        if "clocks.sm" not in command[1]:
            return "NVIDIA H200, 9.0, 143771"
        queries.append(command)
        return answers[len(queries) - 1]

    monkeypatch.setattr(asked, "output_of", answer)
    machine = Machine(lambda looks: 1.0)
    session = machine.session(1.0, device="gpu")
    found = measure_beside(session, IMAGES, None, clock=machine.clock, warn=False, **MINIMA)
    assert len(queries) == asked_for
    assert found.conditions["moved_percent"] == moved_percent
    assert found.conditions["processor"] == "NVIDIA H200"
    assert found.conditions["gpu_clocks"] == {
        "sm_mhz": after_mhz, "memory_mhz": 2619, "sm_max_mhz": 1980, "held": False, "slowed_by": ["power cap"],
    }  # fmt: skip
    json.loads(found.to_json())


# ----------------------------------------------------------------- comparisons


def figure(ms: float, **conditions: Any) -> Measurement:
    return Measurement(ms, ms, ms, ms, ms, ms, 1.0, 20, 3, conditions)


def reference(small_ms: float, large_ms: float, version: int = 1) -> dict[str, Any]:
    return {"reference": {"version": version, "small_ms": small_ms, "large_ms": large_ms}}


def test_a_difference_is_the_machines_and_what_is_left() -> None:
    found = change(figure(12.0, **reference(0.1, 10.9)), figure(10.0, **reference(0.1, 10.0)))
    assert (found.total_percent, found.machine_percent) == (pytest.approx(20), pytest.approx(9))
    assert found.left_percent == pytest.approx(100 * (1.2 / 1.09 - 1))
    assert json.loads(json.dumps(found.to_dict())) == found.to_dict()


def test_by_a_gpus_clocks() -> None:
    now, then = (figure(ms, gpu_clocks={"sm_mhz": mhz}) for ms, mhz in ((11.0, 1000), (10.0, 1100)))
    assert change(now, then).machine_percent == pytest.approx(10)


@pytest.mark.parametrize("broken", [{}, reference(0.1, 10.0, version=2), reference(0.0, 1.0), {"reference": 3},
                                    {"reference": {"version": 1, "small_ms": "1", "large_ms": 2.0}}])  # fmt: skip
def test_a_figure_without_a_reference_says_nothing_of_the_machine(broken: dict[str, Any]) -> None:
    found = change(figure(12.0, **reference(0.1, 10.0)), figure(10.0, **broken))
    assert (found.total_percent, found.machine_percent, found.left_percent) == (pytest.approx(20.0), None, None)


def test_clocks_are_asked_of_old_drivers_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(command: list[str]) -> str:
        return "" if "clocks_event_reasons" in command[1] else "1410, 1215, 1410, Not Supported"

    monkeypatch.setattr(asked, "output_of", answer)
    assert asked.gpu_clocks() == GpuClocks(1410, 1215, 1410, None)
