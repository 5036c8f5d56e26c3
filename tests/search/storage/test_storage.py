from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy
from helpers.servers import HANG_GUARD_S, Cluster, free_port, proxy
from helpers.studies import Place, Time
from optuna.trial import FrozenTrial, TrialState

from gpunet.errors import StudyError, StudyUnavailableError
from gpunet.search.storage.backends import file_of, full_url, shown
from gpunet.search.storage.faults import passing_reason
from gpunet.search.storage.proxy import serve
from gpunet.search.storage.storage import StudyStorage

LOCKED = sqlalchemy.exc.OperationalError("INSERT", {}, sqlite3.OperationalError("database is locked"))


def template(key: str = "key", state: TrialState = TrialState.RUNNING) -> FrozenTrial:
    return FrozenTrial(
        number=-1, trial_id=-1, state=state, value=None, datetime_start=None, datetime_complete=None, params={},
        distributions={}, user_attrs={"assignment": key}, system_attrs={}, intermediate_values={},
    )  # fmt: skip


class Failing:
    """A storage of Optuna's, some calls of which fail: before they have done anything, or with their answer lost."""

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


# -------------------------------------------------------------- what all storages do


def test_a_study_is_made_once_and_found_by_its_name(place: Place) -> None:
    one, other = place.storage(), place.storage()
    assert one.study_id(place.name) is None
    made, mine = one.made_study(place.name)
    assert mine
    assert other.made_study(place.name) == (made, False)
    assert other.study_id(place.name) == made
    assert place.name in other.study_names()
    one.set_study_attr(made, "note", {"a": [1, 2.5, None]})
    assert other.study_attrs(made) == {"note": {"a": [1, 2.5, None]}}


def test_of_two_that_make_one_study_at_once_the_later_finds_it(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = place.storage(), place.storage(patience_s=0.0)
    made, _ = one.made_study(place.name)
    looked = iter([None])  # before the other had made it
    found = other.study_id
    monkeypatch.setattr(other, "study_id", lambda name: next(looked, made) and found(name))
    assert other.made_study(place.name) == (made, False)


def test_a_trial_is_taken_laid_back_and_ended_once(place: Place) -> None:
    one, other = place.storage(), place.storage()
    study, _ = one.made_study(place.name)
    trial = one.create(study, template(state=TrialState.WAITING), "key")._trial_id
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
            late()


def test_what_is_not_there_is_an_answer_and_nothing_to_wait_for(place: Place) -> None:
    storage = place.storage(patience_s=0.0)
    study, _ = storage.made_study(place.name)
    with pytest.raises(KeyError):
        storage.trial_id(study, 7)
    with pytest.raises(KeyError):
        storage.study_attrs(10**6)


# ------------------------------------------------------------------------- patience


def test_a_call_that_fails_is_repeated_until_it_goes_through_and_is_told_of_once(database: Place) -> None:
    time, told = Time(), []
    storage = database.storage(clock=time, sleep=time.sleep, on_wait=told.append)
    study, _ = storage.made_study(database.name)
    assert storage.recovered_s < 0
    storage.raw = Failing(storage.raw, "get_study_user_attrs", *[LOCKED] * 5)
    assert storage.study_attrs(study) == {}
    assert time.slept == 5
    assert storage.recovered_s == time.now_s > 0
    assert told == [f"waiting for the study's storage {database.url}: database is locked"]
    storage.raw = Failing(storage.raw, "get_study_user_attrs", LOCKED)
    storage.study_attrs(study)
    assert len(told) == 2


def test_a_call_that_took_long_has_waited_too(database: Place) -> None:
    time = Time()
    storage = database.storage(clock=time)
    inner = storage.raw.get_all_studies

    def slow() -> Any:
        time.now_s += 20
        return inner()

    storage.raw = Failing(storage.raw, "")
    storage.raw.get_all_studies = slow
    storage.study_names()
    assert storage.recovered_s == 20


def test_when_patience_ends_the_error_says_what_to_do_and_the_same_call_goes_on(database: Place) -> None:
    time = Time()
    storage = database.storage(clock=time, sleep=time.sleep, patience_s=60)
    raw = storage.raw
    storage.raw = Failing(raw, "get_all_studies", *[LOCKED] * 1000)
    with pytest.raises(StudyUnavailableError, match=r"storage .* does not serve: database is locked") as caught:
        storage.study_names()
    assert caught.value.hint == "When it answers again, run the same command: everything recorded is kept."
    assert 30 < time.now_s <= 60
    storage.raw = raw
    assert storage.study_names() == []


@pytest.mark.parametrize(("call", "reason"), [
    ("malformed", "database disk image is malformed"), ("text", "file is not a database")])  # fmt: skip
def test_no_waiting_mends_a_damaged_file(call: str, reason: str, file_place: Place, tmp_path: Path) -> None:
    path = Path(file_place.url)
    if call == "text":
        path.write_text("no database at all, but a long enough text " * 200, encoding="utf-8")
    else:
        content = bytearray(path.read_bytes())
        content[4096:] = b"\xa5" * (len(content) - 4096)
        path.write_bytes(content)
    time = Time()
    for reading in (False, True):
        with pytest.raises(StudyUnavailableError, match=reason) as caught:
            StudyStorage(path, clock=time, sleep=time.sleep, reading=reading).study_names()
        assert caught.value.hint == "The file is damaged or something else; restore it from a copy."
    assert time.slept == 0


def test_an_error_that_is_none_of_the_storage_passes_at_once(database: Place) -> None:
    storage = database.storage()
    storage.raw = Failing(storage.raw, "get_all_studies", TypeError("a bug"))
    with pytest.raises(TypeError, match="a bug"):
        storage.study_names()


# ---------------------------------------------------------- once, whatever is repeated


@pytest.mark.parametrize("lost", [False, True])
def test_a_trial_is_made_once_though_the_answer_was_lost(lost: bool, place: Place) -> None:
    time = Time()
    storage = place.storage(clock=time, sleep=time.sleep)
    study, _ = storage.made_study(place.name)
    raw = storage.raw
    storage.raw = Failing(raw, "create_new_trial", LOCKED, answer_lost=lost)
    made = storage.create(study, template(), "key")._trial_id
    assert storage.raw.calls == (1 if lost else 2)
    assert [each._trial_id for each in place.storage().trials(study)] == [made]


def test_of_a_trial_that_optuna_made_twice_the_first_stays(place: Place) -> None:
    storage = place.storage()
    study, _ = storage.made_study(place.name)

    def twice(study_id: int, made: FrozenTrial) -> int:
        inner.create_new_trial(study_id, made)
        return inner.create_new_trial(study_id, made)

    inner, storage.raw = storage.raw, Failing(storage.raw, "")
    storage.raw.create_new_trial = twice
    made = storage.create(study, template(), "key")._trial_id
    states = {each._trial_id: each.state for each in place.storage().trials(study)}
    assert made == min(states)
    assert list(states.values()) == [TrialState.RUNNING, TrialState.FAIL]


def test_an_end_is_told_though_its_answer_was_lost(place: Place) -> None:
    time = Time()
    storage = place.storage(clock=time, sleep=time.sleep)
    study, _ = storage.made_study(place.name)
    trial = storage.create(study, template(), "key")._trial_id
    raw = storage.raw
    storage.raw = Failing(raw, "set_trial_state_values", LOCKED, answer_lost=True)
    assert storage.finish(trial, TrialState.COMPLETE, 50.0)
    storage.raw = Failing(raw, "set_trial_state_values", LOCKED, answer_lost=False)
    assert not storage.finish(trial, TrialState.FAIL)


def test_a_study_is_made_once_though_the_answer_was_lost(place: Place) -> None:
    time = Time()
    storage = place.storage(clock=time, sleep=time.sleep)
    storage.raw = Failing(storage.raw, "create_new_study", LOCKED, answer_lost=True)
    made, _ = storage.made_study(place.name)
    assert storage.study_id(place.name) == made
    assert storage.study_names().count(place.name) == 1


# ------------------------------------------------------------------- faults of SQLite


@contextmanager
def locked(path: str) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    try:
        yield connection
    finally:
        connection.close()


def test_a_locked_file_is_waited_for(file_place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpunet.search.storage.sqlite._TIMEOUT_S", 0.1)
    told: list[str] = []
    with locked(file_place.url) as lock:

        def sleep(seconds: float) -> None:
            if len(told) == 1:
                lock.rollback()

        storage = file_place.storage(on_wait=told.append, sleep=sleep)
        assert storage.made_study(file_place.name)[1]
    assert told == [f"waiting for the study's storage {file_place.url}: database is locked"]


def test_a_file_locked_for_too_long(file_place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpunet.search.storage.sqlite._TIMEOUT_S", 0.1)
    storage = file_place.storage(patience_s=0.3)
    study, _ = storage.made_study(file_place.name)
    with locked(file_place.url), pytest.raises(StudyUnavailableError, match="does not serve: database is locked"):
        storage.set_study_attr(study, "note", 1)
    storage.set_study_attr(study, "note", 1)
    assert storage.study_attrs(study) == {"note": 1}


def _for_every_connection(storage: StudyStorage, statement: str) -> None:
    engine = storage.raw._backend.engine
    sqlalchemy.event.listen(engine, "connect", lambda connection, _: connection.execute(statement))
    engine.dispose()


def test_a_file_that_is_read_only(file_place: Place) -> None:
    storage = file_place.storage(patience_s=0.2)
    study, _ = storage.made_study(file_place.name)
    engine = storage.raw._backend.engine
    _for_every_connection(storage, "PRAGMA query_only = ON")
    with pytest.raises(StudyUnavailableError, match="attempt to write a readonly database") as caught:
        storage.set_study_attr(study, "note", 1)
    assert caught.value.hint == "Make it writable and run the same command again: everything recorded is kept."
    sqlalchemy.event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA query_only = OFF"))
    engine.dispose()
    storage.set_study_attr(study, "note", 1)
    assert storage.study_attrs(study) == {"note": 1}


def test_a_disk_that_is_full_and_then_has_room(file_place: Place) -> None:
    storage = file_place.storage(patience_s=0.2)
    study, _ = storage.made_study(file_place.name)
    storage.set_study_attr(study, "small", 1)
    engine = storage.raw._backend.engine
    _for_every_connection(storage, "PRAGMA max_page_count = 1")  # as many as there are
    with pytest.raises(StudyUnavailableError, match="database or disk is full") as caught:
        storage.set_study_attr(study, "large", "x" * 100_000)
    assert caught.value.hint == "Make room on its disk and run the same command again: everything recorded is kept."
    assert storage.study_attrs(study) == {"small": 1}
    sqlalchemy.event.listen(engine, "connect", lambda c, _: c.execute("PRAGMA max_page_count = 1000000"))
    engine.dispose()
    storage.set_study_attr(study, "large", "x" * 100_000)
    assert len(storage.study_attrs(study)["large"]) == 100_000


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root writes anywhere")
def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StudyUnavailableError, match=r"search\.sqlite cannot be made") as caught:
        StudyStorage(tmp_path / "search.sqlite")
    assert caught.value.hint == "Give a folder that can be written."


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(StudyUnavailableError, match=r"search\.sqlite cannot be made") as caught:
        StudyStorage(tmp_path / "file" / "search.sqlite")
    assert caught.value.hint == "Give a folder that can be written."


def test_reading_makes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "search.sqlite"
    with pytest.raises(StudyError, match=r"search\.sqlite: there is no such file") as caught:
        StudyStorage(path, reading=True)
    assert caught.value.hint == "gpunet search create makes a study."
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE layers (key TEXT)")
    other.close()
    before = path.read_bytes()
    with pytest.raises(StudyError, match=r"search\.sqlite holds no study") as caught:
        StudyStorage(path, reading=True)
    assert caught.value.hint == "gpunet search create makes one."
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_a_file_is_read_from_a_folder_that_is_written_by_others(file_place: Place, tmp_path: Path) -> None:
    writing = file_place.storage()
    writing.made_study("one")
    copy = tmp_path / "copy" / "search.sqlite"
    copy.parent.mkdir()
    shutil.copy(file_place.url, copy)
    copy.chmod(0o400)
    copy.parent.chmod(0o500)
    try:
        reading = StudyStorage(copy, reading=True)
        assert reading.study_names() == ["one"]
        reading.close()
        assert [each.name for each in copy.parent.iterdir()] == [copy.name]
    finally:
        copy.parent.chmod(0o700)


def test_workers_that_read_and_then_write_do_not_lock_each_other_out(database: Place) -> None:
    one, other = database.storage(patience_s=0.0), database.storage(patience_s=0.0)
    study, _ = one.made_study(database.name)
    code = (
        "import sys; from gpunet.search.storage.storage import StudyStorage\n"
        "storage = StudyStorage(sys.argv[1], patience_s=60)\n"
        "for number in range(30): storage.set_study_attr(int(sys.argv[2]), f'{sys.argv[3]}/{number}', number)"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", code, database.url, str(study), name]) for name in ("one", "other")
    ]
    assert [each.wait(timeout=HANG_GUARD_S) for each in running] == [0, 0]
    assert len(other.study_attrs(study)) == 60


# --------------------------------------------------------------- faults of PostgreSQL


def _cut_connections(server: Cluster, name: str) -> None:
    server.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")


def test_a_postgresql_that_is_read_only(server_place: Place, postgresql: Cluster) -> None:
    """As a replica is, that was left when its primary went."""
    name = server_place.url.rpartition("/")[2]
    storage = server_place.storage(patience_s=0.5)
    study, _ = storage.made_study(server_place.name)
    storage.set_study_attr(study, "note", 1)
    postgresql.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    _cut_connections(postgresql, name)
    with pytest.raises(StudyUnavailableError, match="in a read-only transaction") as caught:
        storage.set_study_attr(study, "note", 2)
    assert caught.value.hint == "Make it writable and run the same command again: everything recorded is kept."
    reading = server_place.storage(reading=True)
    assert reading.study_attrs(reading.study_id(server_place.name) or 0) == {"note": 1}
    postgresql.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = off")
    _cut_connections(postgresql, name)
    storage.set_study_attr(study, "note", 2)
    assert storage.study_attrs(study) == {"note": 2}


def test_a_postgresql_whose_disk_is_full(server_place: Place, postgresql: Cluster) -> None:
    """By the error that PostgreSQL then raises."""
    name = server_place.url.rpartition("/")[2]
    storage = server_place.storage(patience_s=0.5)
    study, _ = storage.made_study(server_place.name)
    trial = storage.create(study, template(), "key")._trial_id
    storage.report(trial, 1, 10.0)
    postgresql.execute(
        "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION "
        "'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$", name,
    )  # fmt: skip
    postgresql.execute(
        "CREATE TRIGGER full_disk BEFORE INSERT ON trial_intermediate_values EXECUTE FUNCTION full_disk()", name
    )
    with pytest.raises(StudyUnavailableError, match="No space left on device") as caught:
        storage.report(trial, 2, 20.0)
    assert caught.value.hint == "Make room on its disk and run the same command again: everything recorded is kept."
    postgresql.execute("DROP TRIGGER full_disk ON trial_intermediate_values", name)
    storage.report(trial, 2, 20.0)
    assert storage.trial(trial).intermediate_values == {1: 10.0, 2: 20.0}


def test_a_table_of_postgresql_that_is_locked(
    server_place: Place, postgresql: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psycopg

    monkeypatch.setattr("gpunet.search.storage.postgresql._LOCK_S", 0.1)
    told: list[str] = []
    storage = server_place.storage(on_wait=told.append)
    study, _ = storage.made_study(server_place.name)
    with psycopg.connect(server_place.url) as connection:
        connection.execute("LOCK TABLE study_user_attributes IN ACCESS EXCLUSIVE MODE")
        storage.patience_s = 0.5
        with pytest.raises(StudyUnavailableError, match="lock timeout"):
            storage.set_study_attr(study, "note", 1)
        storage.patience_s, storage.sleep = HANG_GUARD_S, lambda _: connection.rollback()
        storage.set_study_attr(study, "note", 1)
    assert storage.study_attrs(study) == {"note": 1}
    assert told == [f"waiting for the study's storage {server_place.url}: canceling statement due to lock timeout"] * 2


# -------------------------------------------------------------------- servers that go


def test_postgresql_is_stopped_and_started(postgresql: Cluster, tmp_path: Path) -> None:
    told: list[str] = []
    storage = StudyStorage(postgresql.url(postgresql.new_database()))
    study, _ = storage.made_study("restarted")
    trial = storage.create(study, template(), "key")._trial_id
    postgresql.stop()
    try:
        storage.patience_s, storage.on_wait = 0.5, told.append
        with pytest.raises(StudyUnavailableError, match=r"storage postgresql.*does not serve: ") as caught:
            storage.report(trial, 1, 10.0)
        assert caught.value.hint == "When it answers again, run the same command: everything recorded is kept."
        assert len(told) == 1
    finally:
        postgresql.start()
    storage.patience_s = HANG_GUARD_S
    storage.report(trial, 1, 10.0)
    assert storage.trial(trial).intermediate_values == {1: 10.0}
    storage.close()


def test_postgresql_comes_back_while_a_worker_waits(postgresql: Cluster) -> None:
    storage = StudyStorage(postgresql.url(postgresql.new_database()), patience_s=HANG_GUARD_S)
    study, _ = storage.made_study("restarted")
    postgresql.stop()

    def sleep(_: float) -> None:
        if not storage.url.endswith("/started"):
            postgresql.start()
            storage.url += "/started"

    storage.sleep = sleep
    try:
        trial = storage.create(study, template(), "key")._trial_id
    finally:
        if not storage.url.endswith("/started"):
            postgresql.start()
    assert [each._trial_id for each in storage.trials(study)] == [trial]
    storage.close()


def test_a_database_that_is_not_there(postgresql: Cluster) -> None:
    time = Time()
    with pytest.raises(StudyUnavailableError, match='database "nowhere" does not exist'):
        StudyStorage(postgresql.url("nowhere"), clock=time, sleep=time.sleep)
    assert time.slept == 0


def test_a_proxy_is_killed_and_started_again(database: Place, tmp_path: Path) -> None:
    pytest.importorskip("grpc")
    told: list[str] = []
    with proxy(database.url, tmp_path / "log") as running:
        storage = StudyStorage(running.url, patience_s=HANG_GUARD_S, on_wait=told.append)
        study, _ = storage.made_study(database.name)
        trial = storage.create(study, template(), "key")._trial_id
        running.stop()
        storage.patience_s = 0.5
        with pytest.raises(StudyUnavailableError, match=r"storage grpc://127\.0\.0\.1:\d+ does not serve: unavailable"):
            storage.report(trial, 1, 10.0)
        assert len(told) == 1
        running.start()
        storage.patience_s = HANG_GUARD_S
        storage.report(trial, 1, 10.0)
        assert storage.trial(trial).intermediate_values == {1: 10.0}
        storage.close()


FORKING = """
import multiprocessing, sys, threading
from gpunet.search.storage.storage import StudyStorage

ended = threading.Event()

def call():
    while not ended.is_set():
        storage = StudyStorage(sys.argv[1])
        storage.study_names()
        storage.close()

threads = [threading.Thread(target=call) for _ in range(3)]
for each in threads:
    each.start()
children = []
for _ in range(200):
    child = multiprocessing.get_context("fork").Process(target=int)
    child.start()
    child.join()
    children.append(child.exitcode)
ended.set()
for each in threads:
    each.join()
print(*children)
"""


def test_a_process_that_speaks_to_a_proxy_forks_in_peace(database: Place, tmp_path: Path) -> None:
    """As a data loader's workers are made; with gRPC's own handlers about one child in thirty crashes."""
    pytest.importorskip("grpc")
    database.storage().made_study(database.name)
    with proxy(database.url, tmp_path / "log") as running:
        ran = subprocess.run(
            [sys.executable, "-c", FORKING, running.url, database.name], capture_output=True, text=True,
            timeout=HANG_GUARD_S, env={k: v for k, v in os.environ.items() if k != "GRPC_ENABLE_FORK_SUPPORT"},
        )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split() == ["0"] * 200


def test_a_proxy_that_is_not_there() -> None:
    pytest.importorskip("grpc")
    with pytest.raises(StudyUnavailableError, match=r"storage grpc://127\.0\.0\.1:\d+ does not serve: GRPC connection"):
        StudyStorage(f"grpc://127.0.0.1:{free_port()}", patience_s=0.1)


def test_what_a_proxy_cannot_serve(file_place: Place) -> None:
    pytest.importorskip("grpc")
    with pytest.raises(StudyError, match="grpc://host:1 is a proxy itself") as caught:
        serve("grpc://host:1", "127.0.0.1", 1)
    assert caught.value.hint == "Give the database's URL."
    with pytest.raises(StudyError, match=r"no-such-host\.invalid:1 cannot be listened on") as caught:
        serve(file_place.url, "no-such-host.invalid", 1)
    assert caught.value.hint == "Choose another port: --port"


# ------------------------------------------------------------------------------- URLs


def test_urls_in_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    here = f"sqlite:///{tmp_path}/search.sqlite"
    assert full_url("search.sqlite") == full_url(Path("search.sqlite")) == here
    assert full_url("sqlite:///search.sqlite") == full_url(here) == here
    assert file_of(here) == tmp_path / "search.sqlite"
    assert full_url("postgresql://me@host/db") == full_url("postgres://me@host/db") == "postgresql+psycopg://me@host/db"
    assert full_url("postgresql+psycopg://me@host/db") == "postgresql+psycopg://me@host/db"
    assert full_url("grpc://host:13000") == "grpc://host:13000"
    assert file_of("grpc://host:13000") is None


@pytest.mark.parametrize(("url", "message", "hint"), [
    ("", "storage must be named", "search.sqlite"),
    ("mysql://host/db", "mysql:// is no storage that gpunet knows", "postgresql://USER@HOST/DATABASE"),
    ("grpc://host", "grpc://host names no host and port", "grpc://storage-host:13000"),
    ("grpc://:13000", "names no host and port", "grpc://storage-host:13000"),
    ("grpc://host:many", "names no host and port", "grpc://storage-host:13000"),
    ("sqlite://", "sqlite:// names no file", "sqlite:///search.sqlite"),
    ("sqlite:///:memory:", "names no file", "sqlite:///search.sqlite"),
])  # fmt: skip
def test_urls_that_name_no_storage(url: str, message: str, hint: str) -> None:
    with pytest.raises(StudyError, match=message) as caught:
        full_url(url)
    assert hint in caught.value.hint


def test_a_password_is_not_shown() -> None:
    assert shown("postgresql+psycopg://me:secret@host/db") == "postgresql://me:***@host/db"
    assert shown("postgresql+psycopg://:se@cret@host/db") == "postgresql://:***@host/db"
    assert shown("postgresql+psycopg://me@host/db?a=b&password=secret&c=d").endswith("?a=b&password=***&c=d")
    assert shown("sqlite:////data/search.sqlite") == "/data/search.sqlite"


def test_a_port_that_is_none() -> None:
    with pytest.raises(StudyError, match=r"postgresql://me:\*\*\*@host:abc/db is no URL") as caught:
        full_url("postgresql://me:secret@host:abc/db")
    assert "secret" not in str(caught.value)


def test_what_passes_and_what_is_an_answer() -> None:
    def chained(outer: BaseException, inner: BaseException, *, explicitly: bool) -> BaseException:
        if explicitly:
            outer.__cause__ = inner
        else:
            outer.__context__ = inner
        return outer

    internal = optuna.exceptions.StorageInternalError("commit")
    assert passing_reason(chained(internal, LOCKED, explicitly=True)) == "database is locked"
    duplicated = chained(optuna.exceptions.DuplicatedStudyError(), LOCKED, explicitly=False)
    assert passing_reason(duplicated) is None
    assert passing_reason(ConnectionError("no answer")) == "no answer"
    assert passing_reason(ValueError("a bug")) is None
