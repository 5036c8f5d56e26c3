"""The SQLite file of a latency table: its schema, version by version, and how it is opened.

Every step of `MIGRATIONS` takes a file from one version to the next; an empty file has version 0. A step that has been
released is never changed. WAL lets readers read while a builder writes, and makes a killed builder's last commit whole.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from gpunet.core.versions import other_version
from gpunet.errors import ABSENT_EXIT_CODE, FAILED_EXIT_CODE, TableError

MIGRATIONS = (
    """
    CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
    CREATE TABLE layers (
        key TEXT PRIMARY KEY, latency_ms REAL NOT NULL, context_ms REAL NOT NULL, border_ms REAL NOT NULL,
        lone_ms REAL, spread_percent REAL NOT NULL, repeats INTEGER NOT NULL, measured_at TEXT NOT NULL);
    CREATE TABLE networks (
        keys TEXT PRIMARY KEY, latency_ms REAL NOT NULL, median_ms REAL NOT NULL, repeats INTEGER NOT NULL,
        measured_at TEXT NOT NULL);
    CREATE TABLE failures (key TEXT PRIMARY KEY, reason TEXT NOT NULL, attempts INTEGER NOT NULL, at TEXT NOT NULL);
    CREATE TABLE claims (key TEXT PRIMARY KEY, owner TEXT NOT NULL, expires_s REAL NOT NULL);
    """,
    """
    ALTER TABLE layers ADD COLUMN at_s REAL;
    ALTER TABLE layers ADD COLUMN builder TEXT NOT NULL DEFAULT '';
    ALTER TABLE networks ADD COLUMN at_s REAL;
    ALTER TABLE networks ADD COLUMN builder TEXT NOT NULL DEFAULT '';
    CREATE TABLE reference (
        at_s REAL NOT NULL, builder TEXT NOT NULL, small_ms REAL NOT NULL, large_ms REAL NOT NULL,
        PRIMARY KEY (builder, at_s));
    """,
    """
    ALTER TABLE layers ADD COLUMN beside_ms REAL;
    ALTER TABLE networks ADD COLUMN beside_ms REAL;
    """,
)
SCHEMA_VERSION = len(MIGRATIONS)
APPLICATION_ID = 0x67_70_75_6E  # 'gpun': tells a latency table from any other SQLite file
BUSY_TIMEOUT_S = 60.0
DAMAGED_HINT = "Save what can be read of it: gpunet table merge NEW.sqlite DAMAGED.sqlite"
_WRITABLE = "Name a file in a folder that you can write to."


def connect(path: Path, *, readonly: bool) -> sqlite3.Connection:
    """A connection to the table at `path`, at the current schema version.

    Args:
        path: the file; one that is not there is made unless `readonly`.
        readonly: never write, but to bring a file of an older version up.

    Raises:
        TableError: (a RuntimeError) it is not there, cannot be opened, is damaged, no latency table, or of a newer
            version.
    """
    if path.is_dir():
        raise TableError(f"{path}: it is a folder.", "Name a file.")
    if readonly and not path.is_file():
        raise TableError(
            f"{path}: there is no such file.", "gpunet table build makes a latency table.", exit_code=ABSENT_EXIT_CODE
        )
    with speaking(path):
        if not readonly:
            path.parent.mkdir(parents=True, exist_ok=True)
        uri = reading_uri(path) if readonly else f"{path.absolute().as_uri()}?mode=rwc"
        connection = sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None)
        try:
            check_identity(connection, path, readonly=readonly)
            if not readonly:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = FULL")
                _migrate(connection, path)
            elif (version := _version(connection)) < SCHEMA_VERSION:
                if not os.access(path, os.W_OK):
                    raise TableError(
                        f"{path}: its schema is version {version}, older than {SCHEMA_VERSION}, and it cannot be "
                        "written to bring it up.",
                        "Read it once where it can be, or a copy of it.",
                    )
                connection.close()
                connect(path, readonly=False).close()
                return connect(path, readonly=True)
        except BaseException:
            connection.close()
            raise
    return connection


def reading_uri(path: Path) -> str:
    """The address of a file that is only read, for SQLite.

    In a folder that cannot be written, a file in WAL mode can be read only if nobody writes it, and so is told.
    """
    uri = f"{path.absolute().as_uri()}?mode=ro"
    alone = not os.access(path.parent, os.W_OK) and not Path(f"{path}-wal").exists()
    return f"{uri}&immutable=1" if alone else uri


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def check_identity(connection: sqlite3.Connection, path: Path, *, readonly: bool) -> None:
    """Raise unless the file is a latency table that this version can read, or empty where it may be written."""
    names = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    identity = connection.execute("PRAGMA application_id").fetchone()[0]
    if names and identity != APPLICATION_ID:
        raise TableError(f"{path}: it is an SQLite file, but no latency table.", "Name another file.")
    if readonly and not names:
        raise TableError(f"{path}: it is empty, no latency table.", "gpunet table build fills one.")
    if _version(connection) > SCHEMA_VERSION:
        raise TableError(
            f"{path}: its schema is version {_version(connection)}, newer than {SCHEMA_VERSION}.",
            other_version("table", _version(connection), SCHEMA_VERSION),
        )


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Bring a file up to the current version, one transaction a step; another process may do it at the same time."""
    while _version(connection) < SCHEMA_VERSION:
        connection.execute("BEGIN IMMEDIATE")
        try:
            version = _version(connection)
            if version < SCHEMA_VERSION:
                for statement in MIGRATIONS[version].split(";"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {version + 1}")
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise


@contextlib.contextmanager
def speaking(path: Path) -> Iterator[None]:
    """SQLite's and the system's errors as TableErrors that name the file and say what to do; nothing stored is lost."""
    try:
        yield
    except sqlite3.Error as error:
        hint = _hint(error)
        damaged = DAMAGED_HINT in hint
        raise TableError(f"{path}: {error}.", hint, exit_code=FAILED_EXIT_CODE if damaged else None) from error
    except OSError as error:
        message = f"{path}: {error.strerror or error}."
        raise TableError(message, _WRITABLE, exit_code=ABSENT_EXIT_CODE) from error


def _hint(error: sqlite3.Error) -> str:
    said = str(error)
    if "disk is full" in said:
        return "Make room and run the same command again: every layer that was measured before is in the table."
    if "locked" in said:
        return f"Another process has held it for {BUSY_TIMEOUT_S:.0f} s. Run the same command again when it is done."
    if "readonly" in said or "unable to open" in said:
        return _WRITABLE
    if "not a database" in said:
        return f"If it was a latency table, it is damaged. {DAMAGED_HINT}"
    if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError):
        return f"The file is damaged. {DAMAGED_HINT}"
    return "gpunet table verify FILE looks into it."
