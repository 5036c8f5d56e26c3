"""Each of the storages that a study can be kept in, for tests that must hold in all of them."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpunet.errors import InvalidArgumentError
from gpunet.testing.servers import PostgreSQL, Proxy, postgresql_programs
from helpers.studies import Place

DATABASES = ("sqlite", "postgresql")
STORAGES = (*DATABASES, "proxy")
_NUMBERS = itertools.count(1)


def postgresql_or_skip() -> None:
    """Skip a test where PostgreSQL is not installed; in CI it must be."""
    pytest.importorskip("psycopg")
    try:
        postgresql_programs()
    except InvalidArgumentError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(error.message)
        pytest.skip(error.message)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """A server for all tests."""
    postgresql_or_skip()
    with PostgreSQL() as running:
        yield running


@pytest.fixture(scope="session")
def _tables_in_postgresql(postgresql: PostgreSQL) -> str:
    """A database to copy: Optuna takes long to make its tables."""
    from gpunet.search.storage.storage import StudyStorage

    name = postgresql.new_database()
    StudyStorage(postgresql.url(name)).close()
    return name


@pytest.fixture(scope="session")
def _tables_in_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from gpunet.search.storage.storage import StudyStorage

    path = tmp_path_factory.mktemp("tables") / "search.sqlite"
    StudyStorage(path).close()
    return path


@pytest.fixture(scope="session")
def _proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """A proxy before one SQLite file for all tests: each has a study of its own there."""
    pytest.importorskip("grpc")
    folder = tmp_path_factory.mktemp("proxy")
    with Proxy(str(folder / "search.sqlite"), folder / "log") as running:
        yield running


@pytest.fixture(params=STORAGES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Where a study can be made, in each kind of storage in turn."""
    made = place_in(request, request.param, tmp_path)
    yield made
    made.close()


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """The same in the databases alone, for what a proxy has no part in."""
    made = place_in(request, request.param, tmp_path)
    yield made
    made.close()


@pytest.fixture
def file_place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """The same in a SQLite file, for what is of files."""
    made = place_in(request, "sqlite", tmp_path)
    yield made
    made.close()


@pytest.fixture
def server_place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """The same in PostgreSQL, for what is of a server."""
    made = place_in(request, "postgresql", tmp_path)
    yield made
    made.close()


def place_in(request: pytest.FixtureRequest, kind: str, tmp_path: Path) -> Place:
    name, folder = f"study-{next(_NUMBERS)}", tmp_path / "trials"
    if kind == "sqlite":
        path = tmp_path / "search.sqlite"
        shutil.copy(request.getfixturevalue("_tables_in_sqlite"), path)
        return Place(kind, str(path), name, folder)
    if kind == "postgresql":
        server: PostgreSQL = request.getfixturevalue("postgresql")
        database = server.new_database(request.getfixturevalue("_tables_in_postgresql"))
        return Place(kind, server.url(database), name, folder)
    return Place(kind, request.getfixturevalue("_proxy").url, name, folder)
