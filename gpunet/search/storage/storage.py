"""Where studies are kept: SQLite, PostgreSQL or Optuna's gRPC proxy, each behind Optuna's storage, and with patience.

A storage that is locked, restarted, full or read-only for a while is waited for; calls that may be repeated are. What
must happen once (a trial that is made, a state that is taken) is asked after before it is repeated.
"""

from __future__ import annotations

import contextlib
import math
import random
import sqlite3
import time
from collections.abc import Callable, Container
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from gpunet.core.files import lock, require
from gpunet.errors import StudyError, StudyUnavailableError
from gpunet.search.storage.faults import advice, is_hopeless, passing_reason
from gpunet.search.storage.grpc import experimental_is_fine, require_grpc
from gpunet.search.storage.url import full_url, shown, sqlite_path

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial, TrialState

PATIENCE_S = 600.0
_PURPOSE = "to keep a study"
_SQLITE_TIMEOUT_S = 30.0
_POSTGRESQL_LOCK_S = 120.0  # without a limit, who waits for a locked table says nothing and never gives up
_FIRST_WAIT_S, _MOST_WAIT_S = 0.05, 5.0
_CALLS_AT_ONCE = 8
_SLOW_S = 5.0  # a call that takes longer has waited inside
# A server that vanished, with no word, is noticed within a minute or so.
_KEEPALIVES = {"connect_timeout": 10, "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3,
               "tcp_user_timeout": 60_000}  # fmt: skip
_POOL = 32  # connections that are kept once they were needed: SQLAlchemy's five let a proxy open one for most calls
_Result = TypeVar("_Result")


class StudyStorage:
    """Optuna's storage at a URL; every call waits out what passes.

    Args:
        url: a SQLite file ('search.sqlite', 'sqlite:///search.sqlite'), 'postgresql://USER@HOST/DATABASE', or
            'grpc://HOST:PORT' of `gpunet search proxy`.
        reading: only read: a SQLite file need not be writable.
        make: make a SQLite file, or Optuna's tables in it, where they are not there.
        patience_s: how long a call goes on trying.
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
        on_wait: Callable[[str], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.optuna: Any = require("optuna", "search", purpose=_PURPOSE)
        self.url, self.reading, self.patience_s = full_url(url), reading, patience_s
        self._make = make and not reading
        self.on_wait, self.clock, self.sleep = on_wait, clock, sleep
        self.recovered_s = -math.inf  # by the clock, when a call last went through that had to wait
        self.raw: Any = self._patiently(self._opened)

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
        """The user attributes of a study."""
        return self._patiently(lambda: self.raw.get_study_user_attrs(study_id))

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

    def report(self, trial_id: int, step: int, value: float) -> None:
        """Set an intermediate value."""
        self._patiently(lambda: self.raw.set_trial_intermediate_value(trial_id, step, value))

    @property
    def at_once(self) -> int:
        """Calls that one process may make at a time, to gain by it: a proxy has connections enough, a file only one."""
        return _CALLS_AT_ONCE if self.url.startswith("grpc://") else 1

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
        inner = getattr(self.raw, "_backend", self.raw)
        if hasattr(inner, "engine"):
            inner.scoped_session.remove()
            inner.engine.dispose()
        elif hasattr(inner, "close"):
            inner.close()

    # ------------------------------------------------------------------ opening

    def _opened(self) -> Any:
        if self.url.startswith("grpc://"):
            require_grpc("to reach a study through a proxy")
            parts = urlsplit(self.url)
            with experimental_is_fine():
                proxy = self.optuna.storages.GrpcStorageProxy(host=parts.hostname, port=parts.port)
            try:
                proxy.wait_server_ready(timeout=min(10.0, max(self.patience_s, 0.5)))
            except ConnectionError:
                proxy.close()
                raise
            return proxy
        path = sqlite_path(self.url)
        if path is None:
            require("psycopg", "cluster", purpose="to keep a study in PostgreSQL")
            return self.optuna.storages.get_storage(self._database())
        if not self._make and not path.is_file():
            raise StudyError(f"{path}: there is no such file.", "gpunet search create makes a study.")
        if not self._make and not _holds_studies(path):  # Optuna would make its tables in whatever file it is
            raise StudyError(f"{path} holds no study.", "gpunet search create makes one.")
        if self.reading:
            return self.optuna.storages.get_storage(self._database())
        try:
            with lock(path):  # several processes may make one file at once
                return self.optuna.storages.get_storage(self._database())
        except OSError as error:
            raise StudyUnavailableError(
                f"{path} cannot be made: {error}", "Give a folder that can be written."
            ) from None

    def _database(self) -> Any:
        path = sqlite_path(self.url)
        if path is None:
            made = self.optuna.storages.RDBStorage(
                self.url,
                engine_kwargs={"pool_pre_ping": True, "pool_size": _POOL, "connect_args": dict(_KEEPALIVES)},
            )
            _wait_for_locks(made.engine, min(_POSTGRESQL_LOCK_S, max(self.patience_s, 0.1)))
            return made
        storage = self.optuna.storages.RDBStorage(
            self.url, engine_kwargs={"connect_args": {"timeout": min(_SQLITE_TIMEOUT_S, max(self.patience_s, 0.1))}}
        )
        if not self.reading:
            _begin_immediately(storage.engine)
        return storage

    # ------------------------------------------------------------------ patience

    def _patiently(self, call: Callable[..., _Result], told: bool = False) -> _Result:
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
                if is_hopeless(reason) or self.clock() - began_s + wait_s > self.patience_s:
                    raise StudyUnavailableError(
                        f"the study's storage {shown(self.url)} does not serve: {reason}", advice(reason)
                    ) from error
                if not again and self.on_wait is not None:
                    self.on_wait(f"waiting for the study's storage {shown(self.url)}: {reason}")
            self.sleep(wait_s * (0.5 + random.random() / 2))
            wait_s, again = min(2 * wait_s, _MOST_WAIT_S), True


def _holds_studies(path: Path) -> bool:
    """Whether a file has Optuna's tables; one that cannot be asked may have."""
    try:
        with contextlib.closing(sqlite3.connect(path)) as file:
            return bool(file.execute("SELECT 1 FROM sqlite_master WHERE name = 'studies'").fetchall())
    except sqlite3.Error:
        return True


def _wait_for_locks(engine: Any, most_s: float) -> None:
    """Let PostgreSQL's transactions give up waiting for a lock after some time."""
    event: Any = require("sqlalchemy", "search", purpose=_PURPOSE).event

    def connected(connection: Any, _: Any) -> None:
        connection.execute(f"SET lock_timeout = {int(1000 * most_s)}")
        connection.commit()

    event.listen(engine, "connect", connected)
    engine.dispose()  # of connections made so far


def _begin_immediately(engine: Any) -> None:
    """Let every SQLite transaction take the write lock at its beginning.

    Two that both read first and then write would each wait for the other, and SQLite lets one fail at once instead.
    """
    event: Any = require("sqlalchemy", "search", purpose=_PURPOSE).event

    def connected(connection: Any, _: Any) -> None:
        connection.isolation_level = None

    def begun(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    event.listen(engine, "connect", connected)
    event.listen(engine, "begin", begun)
    engine.dispose()  # connections made so far are of the other kind
