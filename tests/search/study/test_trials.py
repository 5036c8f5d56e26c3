from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import FrozenTrial, TrialState

from gpunet.search.study.trials import TrialRecord, folder_name, is_trial, latency_ms, pareto, ranked, record_of


def frozen(state: TrialState, **changes: Any) -> FrozenTrial:
    options: dict[str, Any] = {
        "number": 7, "trial_id": 70, "state": state, "value": None, "datetime_start": None,
        "datetime_complete": None, "params": {}, "distributions": {}, "system_attrs": {},
        "user_attrs": {"vector": [1, 0, 2], "estimated_ms": 0.5}, "intermediate_values": {},
    }  # fmt: skip
    return FrozenTrial(**{**options, **changes})


def record(number: int, top1_percent: float | None, estimated_ms: float, **changes: Any) -> TrialRecord:
    state = "failed" if top1_percent is None else "complete"
    made = TrialRecord(number, state, (number,), None, estimated_ms, top1_percent)
    return dataclasses.replace(made, **changes)


def test_what_optuna_kept_is_read() -> None:
    attrs = {
        "vector": [1, 0, 2], "estimated_ms": 0.5, "spec": {"a": 1}, "tries": [{"end": "lost"}],
        "trained": {"weights": "m", "seconds": 9.0}, "session": 4,
    }  # fmt: skip
    read = record_of(frozen(TrialState.COMPLETE, value=60.0, user_attrs=attrs, intermediate_values={2: 55.0, 1: 50.0}))
    assert read.state == "complete"
    assert read.ended
    assert (read.vector, read.spec, read.top1_percent) == ((1, 0, 2), {"a": 1}, 60.0)
    assert list(read.curve.items()) == [(1, 50.0), (2, 55.0)]
    assert (read.epochs, read.folder, read.weights, read.session, read.seconds) == (2, "trial-00007", "m", 4, 9.0)
    assert read.tries == ({"end": "lost"},)


@pytest.mark.parametrize(("state", "curve", "name", "top1"), [
    (TrialState.RUNNING, {1: 50.0}, "running", None), (TrialState.WAITING, {}, "waiting", None),
    (TrialState.PRUNED, {1: 50.0, 2: 40.0}, "pruned", 40.0), (TrialState.PRUNED, {}, "pruned", None),
    (TrialState.FAIL, {1: 50.0}, "failed", None),
])  # fmt: skip
def test_the_states(state: TrialState, curve: dict[int, float], name: str, top1: float | None) -> None:
    read = record_of(frozen(state, intermediate_values=curve))
    assert (read.state, read.top1_percent) == (name, top1)
    assert read.ended == (state.is_finished())


def test_what_others_added_by_hand_is_no_trial() -> None:
    assert is_trial(frozen(TrialState.RUNNING))
    assert not is_trial(frozen(TrialState.RUNNING, user_attrs={"mine": 1}))


def test_a_record_as_json() -> None:
    body = record(3, 60.0, 0.5, curve={1: 60.0}, measured={"latency_ms": 0.6, "conditions": {}}).to_dict()
    assert body["number"] == 3
    assert body["top1_percent"] == 60.0
    assert body["measured"] == {"latency_ms": 0.6, "conditions": {}}
    assert {str(key): value for key, value in body["curve"].items()} == {"1": 60.0}


def test_of_equals_the_fastest_is_the_best_and_measured_counts_more_than_estimated() -> None:
    slow, fast, failed, best = record(0, 60.0, 0.9), record(1, 60.0, 0.5), record(2, None, 0.1), record(3, 70.0, 2.0)
    pruned = record(4, 99.0, 0.1, state="pruned")
    assert ranked([slow, fast, failed, best, pruned]) == [best, fast, slow]
    measured = dataclasses.replace(slow, measured={"latency_ms": 0.2, "conditions": {}})
    assert latency_ms(measured) == 0.2
    assert ranked([measured, fast]) == [measured, fast]
    assert ranked([]) == []


figures = st.lists(st.tuples(st.integers(0, 5), st.integers(1, 5)), max_size=12)


@given(figures)
def test_the_front_is_what_nothing_beats(pairs: list[tuple[int, int]]) -> None:
    trials = [record(number, float(top1), float(ms)) for number, (top1, ms) in enumerate(pairs)]
    front = {each.number for each in pareto(trials)}

    def beaten(one: TrialRecord) -> bool:
        return any(
            (other.top1_percent, -other.estimated_ms) != (one.top1_percent, -one.estimated_ms)
            and other.top1_percent >= one.top1_percent
            and other.estimated_ms <= one.estimated_ms
            for other in trials
        )

    assert not any(beaten(each) for each in trials if each.number in front)
    kept = {(each.top1_percent, each.estimated_ms) for each in trials if each.number in front}
    assert len(kept) == len(front)
    assert kept == {(each.top1_percent, each.estimated_ms) for each in trials if not beaten(each)}


def test_folders_sort_as_numbers_do() -> None:
    assert sorted(folder_name(number) for number in (10, 2, 99999)) == ["trial-00002", "trial-00010", "trial-99999"]
