"""Networks that ran in turn, at one speed of the machine: times and intervals of a machine that is data."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.machine import Machine

from gpunet.cli.bench.turns import Turns
from gpunet.runtime.timing import interleave

IMAGES = np.zeros((1, 3, 8, 8), np.float32)


def ran(machine: Machine, own_ms: float, rounds: int = 10, *, looked: bool = True) -> Turns:
    """'a' takes 10 ms and 'b' `own_ms`, of which the machine makes more."""
    references = {"played": machine.reference()} if looked else {}
    turns = Turns(references, {"a": "played", "b": "played"}, machine.clock)
    sessions = {"a": machine.session(10.0), "b": machine.session(own_ms)}
    interleave(sessions, IMAGES, rounds=rounds, warmup_s=0, clock=machine.clock, on_turn=turns.add)
    turns.look()
    return turns


def test_a_steady_machine_gives_the_ratio_and_a_narrow_interval() -> None:
    turns = ran(Machine(lambda looks: 1.0), 14.0)
    assert str(turns.ratio("b", "a")) == "1.40 (1.40 to 1.40)"
    assert turns.low_ms("b") == pytest.approx(14)
    assert ("a" in turns, "c" in turns) == (True, False)


@pytest.mark.parametrize(("looked", "low_ms"), [(True, 300.0), (False, 200.0)])
def test_what_the_machine_did_is_taken_out(low_ms: float, *, looked: bool) -> None:
    """It is slowed by a half for most of the time: its median speed is the slow one, its lower quartile the quick."""
    machine = Machine(lambda looks: 1.0)
    machine.slowness = lambda looks: 1.5 if machine.now_s < 13.0 else 1.0
    assert ran(machine, 200.0, rounds=20, looked=looked).low_ms("b") == pytest.approx(low_ms, rel=0.05)


@pytest.mark.parametrize(("rounds", "known"), [(2, False), (5, False), (6, True), (10, True)])
def test_an_interval_takes_six_rounds(rounds: int, *, known: bool) -> None:
    found = ran(Machine(lambda looks: 1.0), 14.0, rounds).ratio("b", "a")
    assert (found.low is not None) is known
    assert (str(found) == "1.40") is not known
