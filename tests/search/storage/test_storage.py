from __future__ import annotations

import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy
from helpers.studies import Place, Time
from helpers.unprivileged import refused_in_a_read_only_folder

from gpunet.errors import StudyError, StudyUnavailableError
from gpunet.search.storage.backends import file_of, full_url, shown
from gpunet.search.storage.faults import passing_reason
from gpunet.search.storage.proxy import serve
from gpunet.search.storage.storage import WORKERS, StudyStorage
from gpunet.testing.servers import HANG_GUARD_S, PostgreSQL, Proxy, free_port
from gpunet.testing.storages import LOCKED, FailingStorage, StorageContract, trial_to_make


class TestEveryStorage(StorageContract):
    @pytest.fixture
    def open_storage(self, place: Place) -> Callable[..., StudyStorage]:
        return place.storage


def test_of_two_that_make_one_study_at_once_the_later_finds_it(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = place.storage(), place.storage(patience_s=0.0)
    made, _ = one.made_study(place.name)
    looked = iter([None])  # before the other had made it
    found = other.study_id
    monkeypatch.setattr(other, "study_id", lambda name: next(looked, made) and found(name))
    assert other.made_study(place.name) == (made, False)


# ------------------------------------------------------------------------- patience


def test_a_call_that_fails_is_repeated_until_it_goes_through_and_is_told_of_once(database: Place) -> None:
    time, told = Time(), []
    storage = database.storage(clock=time, sleep=time.sleep, on_wait=told.append)
    study, _ = storage.made_study(database.name)
    assert storage.recovered_s < 0
    storage.raw = FailingStorage(storage.raw, "get_study_user_attrs", *[LOCKED] * 5)
    assert storage.study_attrs(study) == {}
    assert time.slept == 5
    assert storage.recovered_s == time.now_s > 0
    assert told == [f"waiting for the study's storage {database.url}: database is locked"]
    storage.raw = FailingStorage(storage.raw, "get_study_user_attrs", LOCKED)
    storage.study_attrs(study)
    assert len(told) == 2


def test_a_call_that_took_long_has_waited_too(database: Place) -> None:
    time = Time()
    storage = database.storage(clock=time)
    inner = storage.raw.get_all_studies

    def slow() -> Any:
        time.now_s += 20
        return inner()

    storage.raw = FailingStorage(storage.raw, "")
    storage.raw.get_all_studies = slow
    storage.study_names()
    assert storage.recovered_s == 20


def test_when_patience_ends_the_error_says_what_to_do_and_the_same_call_goes_on(database: Place) -> None:
    time = Time()
    storage = database.storage(clock=time, sleep=time.sleep, patience_s=60)
    raw = storage.raw
    storage.raw = FailingStorage(raw, "get_all_studies", *[LOCKED] * 1000)
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
    storage.raw = FailingStorage(storage.raw, "get_all_studies", TypeError("a bug"))
    with pytest.raises(TypeError, match="a bug"):
        storage.study_names()


# ------------------------------------------------------------------- faults of SQLite


@contextmanager
def locked(path: str) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    try:
        yield connection
    finally:
        connection.close()


def test_a_locked_file_is_waited_for(file_place: Place) -> None:
    told: list[str] = []
    with locked(file_place.url) as lock:

        def sleep(seconds: float) -> None:
            if len(told) == 1:
                lock.rollback()

        storage = file_place.storage(on_wait=told.append, sleep=sleep, wait_s=0.1)
        assert storage.made_study(file_place.name)[1]
    assert told == [f"waiting for the study's storage {file_place.url}: database is locked"]


def test_a_storage_that_refuses_at_the_door_is_not_waited_for_and_one_that_is_locked_is(file_place: Place) -> None:
    time = Time()
    with pytest.raises(StudyUnavailableError, match="does not serve"):
        StudyStorage(
            f"grpc://127.0.0.1:{free_port()}", refused_s=1.0, wait_s=0.1, clock=time, sleep=time.sleep
        )  # fmt: skip
    assert time.now_s <= 1.0
    told: list[str] = []
    with locked(file_place.url) as lock:

        def sleep(seconds: float) -> None:
            time.now_s += 100
            if time.now_s > 300:
                lock.rollback()

        file_place.storage(refused_s=1.0, patience_s=600, wait_s=0.1, on_wait=told.append, clock=time, sleep=sleep)
    assert told == [f"waiting for the study's storage {file_place.url}: database is locked"]


def test_a_file_locked_for_too_long(file_place: Place) -> None:
    storage = file_place.storage(patience_s=0.3, wait_s=0.1)
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


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    attempt = "from gpunet.search import StudyStorage; StudyStorage(folder / 'search.sqlite').close()"
    name, message, hint = refused_in_a_read_only_folder(attempt, tmp_path)
    assert name == "StudyUnavailableError"
    assert "search.sqlite cannot be made" in message
    assert hint == "Give a folder that can be written."


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(StudyUnavailableError, match=r"search\.sqlite cannot be made") as caught:
        StudyStorage(tmp_path / "file" / "search.sqlite")
    assert caught.value.hint == "Give a folder that can be written."


def test_a_file_that_cannot_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    with closing(socket.socket(socket.AF_UNIX)) as other:
        other.bind("a-socket")
        for options in ({"reading": True}, {"make": False}, {}):
            with pytest.raises(StudyUnavailableError, match=r"a-socket cannot be opened: No such device") as caught:
                StudyStorage("a-socket", **options)
            assert caught.value.hint == "Give a file that can be read: --study FILE"


def test_a_file_of_something_else_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "table.sqlite"
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("CREATE TABLE layers (key TEXT)")
    before = path.read_bytes()
    with pytest.raises(StudyError, match="is a SQLite file of something else: it has the tables layers"):
        StudyStorage(path)
    with pytest.raises(StudyError, match="is a folder"):
        StudyStorage(tmp_path)
    assert path.read_bytes() == before
    assert sorted(each.name for each in tmp_path.iterdir()) == ["table.sqlite"]
    (tmp_path / "empty.sqlite").touch()
    assert StudyStorage(tmp_path / "empty.sqlite").study_names() == []


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


def _cut_connections(server: PostgreSQL, name: str) -> None:
    server.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")


def test_a_postgresql_that_is_read_only(server_place: Place, postgresql: PostgreSQL) -> None:
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


def test_a_postgresql_whose_disk_is_full(server_place: Place, postgresql: PostgreSQL) -> None:
    """By the error that PostgreSQL then raises."""
    name = server_place.url.rpartition("/")[2]
    storage = server_place.storage(patience_s=0.5)
    study, _ = storage.made_study(server_place.name)
    trial = storage.create(study, trial_to_make(), "key")._trial_id
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


def test_a_table_of_postgresql_that_is_locked(server_place: Place) -> None:
    import psycopg

    told: list[str] = []
    storage = server_place.storage(on_wait=told.append, wait_s=0.1)
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


def test_postgresql_is_stopped_and_started(postgresql: PostgreSQL, tmp_path: Path) -> None:
    told: list[str] = []
    storage = StudyStorage(postgresql.url(postgresql.new_database()))
    study, _ = storage.made_study("restarted")
    trial = storage.create(study, trial_to_make(), "key")._trial_id
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


def test_postgresql_comes_back_while_a_worker_waits(postgresql: PostgreSQL) -> None:
    storage = StudyStorage(postgresql.url(postgresql.new_database()), patience_s=HANG_GUARD_S)
    study, _ = storage.made_study("restarted")
    postgresql.stop()

    def sleep(_: float) -> None:
        if not storage.url.endswith("/started"):
            postgresql.start()
            storage.url += "/started"

    storage.sleep = sleep
    try:
        trial = storage.create(study, trial_to_make(), "key")._trial_id
    finally:
        if not storage.url.endswith("/started"):
            postgresql.start()
    assert [each._trial_id for each in storage.trials(study)] == [trial]
    storage.close()


def test_a_database_that_is_not_there(postgresql: PostgreSQL) -> None:
    time = Time()
    with pytest.raises(StudyUnavailableError, match='database "nowhere" does not exist'):
        StudyStorage(postgresql.url("nowhere"), clock=time, sleep=time.sleep)
    assert time.slept == 0


def test_a_proxy_is_killed_and_started_again(database: Place, tmp_path: Path) -> None:
    pytest.importorskip("grpc")
    told: list[str] = []
    with Proxy(database.url, tmp_path / "log") as running:
        storage = StudyStorage(running.url, patience_s=HANG_GUARD_S, on_wait=told.append)
        study, _ = storage.made_study(database.name)
        trial = storage.create(study, trial_to_make(), "key")._trial_id
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


@pytest.mark.parametrize("place", ["proxy"], indirect=True)
def test_a_proxy_lists_no_registry_of_workers(place: Place) -> None:
    storage = StudyStorage(place.url)
    storage.made_study(place.name)
    registry, _ = storage.made_study(place.name + WORKERS)
    names = [each.study_name for each in optuna.get_all_study_summaries(storage.raw)]
    assert place.name in names
    assert not [each for each in names if each.endswith(WORKERS)]
    assert storage.study_id(place.name + WORKERS) == registry
    storage.close()


@pytest.mark.parametrize("content", ["text", "sqlite", "old"])
def test_nothing_is_left_beside_a_file_that_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    if content == "text":
        path.write_text("no database\n", encoding="utf-8")
    else:
        with closing(sqlite3.connect(path)) as made:
            made.execute(f"PRAGMA journal_mode = {'WAL' if content == 'sqlite' else 'DELETE'}")
            for table in ("other",) if content == "sqlite" else ("studies", "version_info"):
                made.execute(f"CREATE TABLE {table} (x)")
    for how in ({}, {"reading": True}):
        with pytest.raises(
            (StudyError, StudyUnavailableError), match=r"not a database|something else|no study|no such"
        ):
            StudyStorage(path, patience_s=HANG_GUARD_S, **how)
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


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
    with Proxy(database.url, tmp_path / "log") as running:
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
    assert "--port" in caught.value.hint


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


@pytest.mark.parametrize(
    "name", ["what?.sqlite", "50%25.sqlite", "100%.sqlite", "a b.sqlite", "a#b.sqlite", "é.sqlite"]
)
def test_a_files_name_means_itself(name: str, tmp_path: Path):
    path = tmp_path / name
    url = full_url(path)
    assert (full_url(url), shown(url), file_of(url)) == (url, str(path), path)
    optuna.create_study(storage=url, study_name="some")
    assert [each.name for each in tmp_path.iterdir() if each.suffix == ".sqlite"] == [name]


@pytest.mark.parametrize("password", ["secret", "se/cret", "se@cret", "se:cr@et/x", "se?cr#et", "sec%2Fret"])
def test_a_password_is_never_shown(password: str):
    for scheme in ("postgresql", "postgresql+psycopg"):
        url = f"{scheme}://worker:{password}@db/gpunet"
        assert shown(url) == "postgresql://worker:***@db/gpunet"
        try:
            said = full_url(url)
        except StudyError as error:
            said = str(error)
            assert not any(part in said for part in re.split(r"\W+", password) if len(part) > 2)
    assert "cret" not in shown("postgresql://worker:secret")
    assert shown("postgresql://worker@db:5432/gpunet") == "postgresql://worker@db:5432/gpunet"
