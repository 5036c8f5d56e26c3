"""Where studies are kept: SQLite, PostgreSQL or Optuna's gRPC proxy, each behind Optuna's storage, and with patience.

A storage that is locked, restarted, full or read-only for a while is waited for; calls that may be repeated are. What
must happen once (a trial that is made, a state that is taken) is asked after before it is repeated.
"""

from __future__ import annotations

import contextlib
import math
import random
import time
from collections.abc import Callable, Container, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from gpunet.core.files import require
from gpunet.errors import FAILED_EXIT_CODE, StudyError, StudyUnavailableError
from gpunet.search.storage.backends import backend_of, full_url, shown
from gpunet.search.storage.faults import advice, is_busy, is_damaged, is_hopeless, passing_reason
from gpunet.search.storage.grpc import experimental_is_fine

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial, TrialState

PATIENCE_S = 600.0
WORKERS = "/workers"  # what the name of a registry of workers ends with: it is a study of the storage too
_PURPOSE = "to keep a study"
_WAIT_S = 30.0
_FIRST_WAIT_S, _MOST_WAIT_S = 0.05, 5.0  # between two tries
_SLOW_S = 5.0  # a call that takes longer has waited inside
_Result = TypeVar("_Result")


class StudyStorage:
    """Optuna's storage at a URL; every call waits out what passes.

    Args:
        url: a SQLite file ('search.sqlite', 'sqlite:///search.sqlite'), 'postgresql://USER@HOST/DATABASE', or
            'grpc://HOST:PORT' of `gpunet search proxy`.
        reading: only read: a SQLite file need not be writable.
        make: make a SQLite file, or Optuna's tables in it, where they are not there.
        patience_s: how long a call goes on trying.
        refused_s: how long one that refuses to be opened is tried, where it is not just busy; None for `patience_s`.
        wait_s: how long a try may wait for a lock before the next one.
        on_wait: told once, of each time of waiting, what is waited for.
        clock, sleep: seconds; tests pass their own.

    Raises:
        StudyError: (a ValueError) the URL is none of these, or the file is not there and not made.
        StudyUnavailableError: (a RuntimeError) the storage does not answer.
        MissingDependencyError: (an ImportError) Optuna, or what the URL needs, is not installed.
    """

    def __init__(
        self,
        url: str | Path,
        *,
        reading: bool = False,
        make: bool = True,
        patience_s: float = PATIENCE_S,
        refused_s: float | None = None,
        wait_s: float = _WAIT_S,
        on_wait: Callable[[str], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.optuna: Any = require("optuna", "search", purpose=_PURPOSE)
        self.url, self.reading, self.patience_s = full_url(url), reading, patience_s
        self._backend = backend_of(self.url)
        self.on_wait, self.clock, self.sleep = on_wait, clock, sleep
        self.recovered_s = -math.inf  # by the clock, when a call last went through that had to wait
        self.raw: Any = self._patiently(
            lambda: self._backend.open(
                self.optuna,
                self.url,
                reading=reading,
                make=make and not reading,
                wait_s=min(wait_s, max(patience_s, 0.1)),
            ),
            refused_s=refused_s,
        )

    # ------------------------------------------------------------------- calls

    def study_id(self, name: str) -> int | None:
        """The id of a study; None if there is none of that name."""
        try:
            return self._patiently(lambda: self.raw.get_study_id_from_name(name))
        except KeyError:
            return None

    def made_study(self, name: str) -> tuple[int, bool]:
        """The id of a study of one objective to maximise, made if it is not there; and whether this call made it."""
        directions = [self.optuna.study.StudyDirection.MAXIMIZE]
        while True:
            known = self.study_id(name)
            if known is not None:
                return known, False
            with contextlib.suppress(self.optuna.exceptions.DuplicatedStudyError):
                return self._patiently(lambda: self.raw.create_new_study(directions, name)), True

    def study_names(self) -> list[str]:
        """Names of all studies."""
        return [each.study_name for each in self._patiently(self.raw.get_all_studies)]

    def name_metric(self, study_name: str, metric: str) -> None:
        """Say what a study's value is, for who opens it with Optuna's own tools."""
        with experimental_is_fine():
            study = self._patiently(lambda: self.optuna.load_study(study_name=study_name, storage=self.raw))
            self._patiently(lambda: study.set_metric_names([metric]))

    def study_attrs(self, study_id: int) -> dict[str, Any]:
        """The user attributes of a study.

        Raises:
            StudyError: (a ValueError) they are no JSON.
        """
        try:
            return self._patiently(lambda: self.raw.get_study_user_attrs(study_id))
        except (ValueError, RecursionError) as error:
            raise StudyError(
                f"{shown(self.url)} holds a study whose attributes cannot be read: {error}.",
                "The record is damaged; restore the database from a copy.", exit_code=FAILED_EXIT_CODE,
            ) from None  # fmt: skip

    def set_study_attr(self, study_id: int, key: str, value: Any) -> None:
        """Set one of them."""
        self._patiently(lambda: self.raw.set_study_user_attr(study_id, key, value))

    def trials(self, study_id: int, states: Container[TrialState] | None = None) -> list[FrozenTrial]:
        """All trials in the order of their numbers, not to be changed."""
        return self._patiently(lambda: self.raw.get_all_trials(study_id, deepcopy=False, states=states))

    def trial(self, trial_id: int) -> FrozenTrial:
        """One trial."""
        return self._patiently(lambda: self.raw.get_trial(trial_id))

    def trial_id(self, study_id: int, number: int) -> int:
        """The id of the trial of a number."""
        return self._patiently(lambda: self.raw.get_trial_id_from_study_id_trial_number(study_id, number))

    def set_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Set a user attribute of a trial that has not ended."""
        self._patiently(lambda: self.raw.set_trial_user_attr(trial_id, key, value))

    def set_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Set an attribute that Optuna reads."""
        self._patiently(lambda: self.raw.set_trial_system_attr(trial_id, key, value))

    def set_params(self, study_id: int, trial_id: int, params: Mapping[str, tuple[float, BaseDistribution]]) -> None:
        """Set parameters of a trial that has not ended; those that it has are left.

        Args:
            study_id: of the trial's study.
            trial_id: of the trial.
            params: by name, the value as Optuna's storages keep it, and the distribution.
        """
        known = self.trial(trial_id).params
        for name, (value, distribution) in params.items():

            def put(again: bool, name: str = name, value: float = value, of: BaseDistribution = distribution) -> None:
                # A parameter that is there is refused: the answer to our own first try may have been lost.
                if not again or name not in self.raw.get_trial(trial_id).params:
                    self.raw.set_trial_param(trial_id, name, value, of)

            if name in known:
                continue
            try:
                self._patiently(put, told=True)
            except KeyError:  # Optuna, here or in a proxy that was started anew, has not read this trial yet
                self.trials(study_id)
                self._patiently(put, told=True)

    def report(self, trial_id: int, step: int, value: float) -> None:
        """Set an intermediate value."""
        self._patiently(lambda: self.raw.set_trial_intermediate_value(trial_id, step, value))

    @property
    def at_once(self) -> int:
        """Calls that one process may make at a time, to gain by it."""
        return self._backend.at_once

    def create(self, study_id: int, template: FrozenTrial, key: str) -> FrozenTrial:
        """Make a trial, once: one that has `key` among its user attributes' "assignment" is not made again."""
        return self._first(study_id, self.made_trial(study_id, template, key), key)

    def made_trial(self, study_id: int, template: FrozenTrial, key: str) -> int:
        """The id of a trial, made in a third of the calls: Optuna, when a database fails it, may have made two."""

        def before(again: bool) -> int | None:
            if not again:
                return None
            trials = self.raw.get_all_trials(study_id, deepcopy=False)
            return next((each._trial_id for each in trials if each.user_attrs.get("assignment") == key), None)

        def make(again: bool) -> int:
            made = before(again)
            return self.raw.create_new_trial(study_id, template) if made is None else made

        return self._patiently(make, told=True)

    def _first(self, study_id: int, trial_id: int, key: str) -> FrozenTrial:
        """The trial, or the one before it if that is the same: Optuna repeats what failed, though it may be there."""
        made = self.trial(trial_id)
        if made.number == 0:
            return made
        earlier = self.trial(self.trial_id(study_id, made.number - 1))
        if earlier.user_attrs.get("assignment") != key:
            return made
        self.finish(trial_id, self.optuna.trial.TrialState.FAIL)
        return earlier

    def take(self, trial_id: int) -> bool:
        """WAITING to RUNNING; False if another was faster, or the trial does not wait."""
        running = self.optuna.trial.TrialState.RUNNING
        try:
            return self._patiently(lambda: self.raw.set_trial_state_values(trial_id, running))
        except self.optuna.exceptions.UpdateFinishedTrialError:
            return False

    def requeue(self, trial_id: int) -> bool:
        """RUNNING to WAITING; False if the trial has ended."""
        return self.finish(trial_id, self.optuna.trial.TrialState.WAITING)

    def finish(self, trial_id: int, state: TrialState, value: float | None = None) -> bool:
        """End a trial; False if it had ended before, by another's hand."""
        values = None if value is None else [value]

        def end(again: bool) -> bool:
            try:
                return bool(self.raw.set_trial_state_values(trial_id, state, values))
            except self.optuna.exceptions.UpdateFinishedTrialError:
                # The answer to our own first try may have been lost.
                return again and self.raw.get_trial(trial_id).state == state

        return self._patiently(end, told=True)

    def close(self) -> None:
        """Let go of connections."""
        self._backend.close(self.raw)

    # ------------------------------------------------------------------ patience

    def _patiently(self, call: Callable[..., _Result], told: bool = False, refused_s: float | None = None) -> _Result:
        """The result of a call, tried until it goes through or patience ends; `told`: it is told if it is repeated."""
        began_s, wait_s, again = self.clock(), _FIRST_WAIT_S, False
        while True:
            try:
                result = call(again) if told else call()
                ended_s = self.clock()
                if again or ended_s - began_s > _SLOW_S:
                    self.recovered_s = ended_s
                return result
            except Exception as error:
                reason = passing_reason(error)
                if reason is None:
                    raise
                most_s = self.patience_s if refused_s is None or is_busy(reason) else min(refused_s, self.patience_s)
                if is_hopeless(reason) or self.clock() - began_s + wait_s > most_s:
                    raise StudyUnavailableError(
                        f"the study's storage {shown(self.url)} does not serve: {reason}",
                        advice(reason),
                        exit_code=FAILED_EXIT_CODE if is_damaged(reason) else None,
                    ) from error
                if not again and self.on_wait is not None:
                    self.on_wait(f"waiting for the study's storage {shown(self.url)}: {reason}")
            self.sleep(wait_s * (0.5 + random.random() / 2))
            wait_s, again = min(2 * wait_s, _MOST_WAIT_S), True
