"""What every storage of studies promises behind `StudyStorage`: made once, taken once, ended once, whatever fails."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable
from typing import Any

import optuna
import pytest
import sqlalchemy
from optuna.trial import FrozenTrial, TrialState

from gpunet.search.storage.storage import StudyStorage

__all__ = ["LOCKED", "FailingStorage", "StorageContract", "trial_to_make"]

LOCKED = sqlalchemy.exc.OperationalError("INSERT", {}, sqlite3.OperationalError("database is locked"))
_NUMBERS = itertools.count(1)


def trial_to_make(key: str = "key", state: TrialState = TrialState.RUNNING) -> FrozenTrial:
    """What `StudyStorage.create` makes a trial of."""
    return FrozenTrial(
        number=-1, trial_id=-1, state=state, value=None, datetime_start=None, datetime_complete=None, params={},
        distributions={}, user_attrs={"assignment": key}, system_attrs={}, intermediate_values={},
    )  # fmt: skip


class FailingStorage:
    """A storage of Optuna's, some calls of which fail: before they have done anything, or with their answer lost.

    Args:
        raw: the storage.
        call: the method that fails; '' for none.
        errors: raised by its first calls, one each.
        answer_lost: the call is done before it fails.
    """

    def __init__(self, raw: Any, call: str, *errors: BaseException, answer_lost: bool = False) -> None:
        self._raw, self._call, self._errors, self._answer_lost = raw, call, list(errors), answer_lost
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        known = getattr(self._raw, name)
        if name != self._call:
            return known

        def failing(*arguments: Any, **options: Any) -> Any:
            self.calls += 1
            if self._errors:
                if self._answer_lost:
                    known(*arguments, **options)
                raise self._errors.pop(0)
            return known(*arguments, **options)

        return failing


class StorageContract:
    """The promises of a storage; give what opens it as the fixture `open_storage`.

    It is called with the options of `StudyStorage`, and each time gives one of its own before the same database, as
    another process would have.
    """

    @pytest.fixture
    def open_storage(self) -> Callable[..., StudyStorage]:
        """What opens the storage to test."""
        raise NotImplementedError("Give what opens the storage to test as the fixture `open_storage`.")

    @pytest.fixture
    def study_name(self) -> str:
        """A name that no study there has."""
        return f"contract-{next(_NUMBERS)}"

    def test_a_study_is_made_once_and_found_by_its_name(
        self, open_storage: Callable[..., StudyStorage], study_name: str
    ) -> None:
        one, other = open_storage(), open_storage()
        assert one.study_id(study_name) is None
        made, mine = one.made_study(study_name)
        assert mine
        assert other.made_study(study_name) == (made, False)
        assert other.study_id(study_name) == made
        assert study_name in other.study_names()
        one.set_study_attr(made, "note", {"a": [1, 2.5, None]})
        assert other.study_attrs(made) == {"note": {"a": [1, 2.5, None]}}

    def test_a_trial_is_taken_requeued_and_ended_once(
        self, open_storage: Callable[..., StudyStorage], study_name: str
    ) -> None:
        one, other = open_storage(), open_storage()
        study, _ = one.made_study(study_name)
        trial = one.create(study, trial_to_make(state=TrialState.WAITING), "key")._trial_id
        assert [each._trial_id for each in other.trials(study)] == [trial]
        assert other.trial_id(study, 0) == trial
        assert one.take(trial)
        assert not other.take(trial)
        assert one.requeue(trial)
        assert other.take(trial)
        other.set_attr(trial, "who", "other")
        other.set_system_attr(trial, "rung", 1)
        other.report(trial, 1, 12.5)
        assert other.finish(trial, TrialState.COMPLETE, 50.0)
        assert not one.finish(trial, TrialState.FAIL)
        assert not one.take(trial)
        assert not one.requeue(trial)
        ended = one.trial(trial)
        assert (ended.state, ended.value, ended.intermediate_values) == (TrialState.COMPLETE, 50.0, {1: 12.5})
        assert ended.user_attrs["who"] == "other"
        assert ended.system_attrs["rung"] == 1
        assert one.trials(study, (TrialState.RUNNING, TrialState.WAITING)) == []
        for late in (lambda: one.set_attr(trial, "who", "one"), lambda: one.report(trial, 2, 1.0)):
            with pytest.raises(optuna.exceptions.UpdateFinishedTrialError):
                late()  # type: ignore[no-untyped-call]

    def test_what_is_not_there_is_an_answer_and_nothing_to_wait_for(
        self, open_storage: Callable[..., StudyStorage], study_name: str
    ) -> None:
        storage = open_storage(patience_s=0.0)
        study, _ = storage.made_study(study_name)
        with pytest.raises(KeyError):
            storage.trial_id(study, 7)
        with pytest.raises(KeyError):
            storage.study_attrs(10**6)

    @pytest.mark.parametrize("lost", [False, True])
    def test_parameters_are_set_once_by_whoever_holds_the_trial(
        self, lost: bool, open_storage: Callable[..., StudyStorage], study_name: str
    ) -> None:
        study, _ = open_storage().made_study(study_name)
        trial = open_storage().create(study, trial_to_make(), "key")._trial_id
        depth, kind = (
            optuna.distributions.IntDistribution(1, 3),
            optuna.distributions.CategoricalDistribution(("a", "b")),
        )
        holder = open_storage(sleep=lambda seconds: None)  # it has not read the trial
        holder.raw = FailingStorage(holder.raw, "set_trial_param", LOCKED, answer_lost=lost)
        if not lost:
            holder.set_params(study, trial, {"depth": (2.0, depth)})
        holder.trials(study)
        holder.set_params(study, trial, {"depth": (2.0, depth), "kind": (1.0, kind)})
        holder.set_params(study, trial, {"depth": (3.0, depth), "kind": (0.0, kind)})
        assert open_storage().trial(trial).params == {"depth": 2, "kind": "b"}
        holder.finish(trial, TrialState.COMPLETE, 50.0)
        with pytest.raises(optuna.exceptions.UpdateFinishedTrialError):
            holder.set_params(study, trial, {"late": (1.0, depth)})

    @pytest.mark.parametrize("lost", [False, True])
    def test_a_trial_is_made_once_though_the_answer_was_lost(
        self, open_storage: Callable[..., StudyStorage], study_name: str, lost: bool
    ) -> None:
        storage = open_storage(sleep=lambda _: None)
        study, _ = storage.made_study(study_name)
        storage.raw = FailingStorage(storage.raw, "create_new_trial", LOCKED, answer_lost=lost)
        made = storage.create(study, trial_to_make(), "key")._trial_id
        assert storage.raw.calls == (1 if lost else 2)
        assert [each._trial_id for each in open_storage().trials(study)] == [made]

    def test_of_a_trial_that_was_made_twice_the_first_stays(
        self, open_storage: Callable[..., StudyStorage], study_name: str
    ) -> None:
        storage = open_storage()
        study, _ = storage.made_study(study_name)

        def twice(study_id: int, made: FrozenTrial) -> int:
            inner.create_new_trial(study_id, made)
            return int(inner.create_new_trial(study_id, made))

        inner, storage.raw = storage.raw, FailingStorage(storage.raw, "")
        storage.raw.create_new_trial = twice
        made = storage.create(study, trial_to_make(), "key")._trial_id
        states = {each._trial_id: each.state for each in open_storage().trials(study)}
        assert made == min(states)
        assert list(states.values()) == [TrialState.RUNNING, TrialState.FAIL]

    def test_an_end_is_told_though_its_answer_was_lost(
        self, open_storage: Callable[..., StudyStorage], study_name: str
    ) -> None:
        storage = open_storage(sleep=lambda _: None)
        study, _ = storage.made_study(study_name)
        trial = storage.create(study, trial_to_make(), "key")._trial_id
        raw = storage.raw
        storage.raw = FailingStorage(raw, "set_trial_state_values", LOCKED, answer_lost=True)
        assert storage.finish(trial, TrialState.COMPLETE, 50.0)
        storage.raw = FailingStorage(raw, "set_trial_state_values", LOCKED, answer_lost=False)
        assert not storage.finish(trial, TrialState.FAIL)

    def test_a_study_is_made_once_though_the_answer_was_lost(
        self, open_storage: Callable[..., StudyStorage], study_name: str
    ) -> None:
        storage = open_storage(sleep=lambda _: None)
        storage.raw = FailingStorage(storage.raw, "create_new_study", LOCKED, answer_lost=True)
        made, _ = storage.made_study(study_name)
        assert storage.study_id(study_name) == made
        assert storage.study_names().count(study_name) == 1
