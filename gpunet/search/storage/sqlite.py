"""Studies in a SQLite file: for one machine, and a few dozen workers."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import unquote

from gpunet.core.files import lock, require
from gpunet.errors import ABSENT_EXIT_CODE, StudyError, StudyUnavailableError
from gpunet.search.storage.faults import is_hopeless, passing_reason

_PREFIX = "sqlite:///"
_OPTUNAS = {"studies", "version_info", "alembic_version"}  # one who is being made has one of them


class Sqlite:
    """See `gpunet.search.storage.backends.Backend`."""

    at_once = 1  # a file takes one writer at a time

    def full_url(self, url: str) -> str:
        """See `Backend.full_url`: a path, or 'sqlite:///PATH'."""
        if not url:
            raise StudyError("a study's storage must be named.", "A SQLite file will do: search.sqlite")
        path = _file_of(url)
        if not path or "://" in path or path == ":memory:":
            raise StudyError(f"{url} names no file.", "E.g. sqlite:///search.sqlite")
        whole = str(Path(path).expanduser().absolute())
        return f"{_PREFIX}{whole.replace('%', '%25').replace('?', '%3F')}"

    def shown(self, url: str) -> str:
        """See `Backend.shown`: the file."""
        return _file_of(url)

    def path(self, url: str) -> Path | None:
        """See `Backend.path`."""
        return Path(_file_of(url))

    def open(self, optuna: ModuleType, url: str, *, reading: bool, make: bool, wait_s: float) -> Any:
        """See `Backend.open`."""
        path = Path(_file_of(url))
        if os.path.isdir(path):
            raise StudyError(f"{path} is a folder.", "Name a file in it: --study FOLDER/search.sqlite")
        if not make and not os.path.exists(path):
            raise StudyError(
                f"{path}: there is no such file.", "gpunet search create makes a study.", exit_code=ABSENT_EXIT_CODE
            )
        tables = _tables(path)  # Optuna would make its own in whatever file it is
        if not make and tables is not None and "studies" not in tables:
            raise StudyError(f"{path} holds no study.", "gpunet search create makes one.")
        if tables and not tables & _OPTUNAS:
            raise StudyError(
                f"{path} is a SQLite file of something else: it has the tables {', '.join(sorted(tables))}.",
                "Give the study a file of its own: --study search.sqlite",
            )

        def opened() -> Any:
            storage = optuna.storages.RDBStorage(url, engine_kwargs={"connect_args": {"timeout": wait_s}})
            if not reading:
                _begin_immediately(storage.engine)
            return optuna.storages.get_storage(storage)

        if reading:
            return opened()
        locked = Path(f"{path}.lock")
        known = locked.exists()
        try:
            with lock(path):  # several processes may make one file at once
                return opened()
        except OSError as error:
            raise StudyUnavailableError(
                f"{path} cannot be made: {error}", "Give a folder that can be written."
            ) from None
        except Exception as error:
            # Beside a file that nobody can use nothing is left; of one that may be used yet, others may hold the lock.
            if not known and is_hopeless(passing_reason(error) or ""):
                locked.unlink(missing_ok=True)
            raise

    def close(self, raw: Any) -> None:
        """See `Backend.close`."""
        close_engine(raw)


def _file_of(url: str) -> str:
    """The file of a URL, in which % and ? are written %25 and %3F, or a path, in which they mean themselves."""
    return unquote(url.removeprefix(_PREFIX)) if url.startswith(_PREFIX) else url


def close_engine(raw: Any) -> None:
    """Let go of the connections of one of Optuna's storages in a database."""
    inner = getattr(raw, "_backend", raw)
    inner.scoped_session.remove()
    inner.engine.dispose()


def _tables(path: Path) -> set[str] | None:
    """The tables of a file, none if there is no file; None of one that cannot be asked now.

    Raises:
        StudyUnavailableError: it may not be read.
    """
    if not os.path.exists(path):
        return set()
    try:
        with open(path, "rb"):
            pass
        # One that only reads would leave SQLite's own files beside a file of something else, where it may write.
        mode = "rw" if os.access(path, os.W_OK) and os.access(path.parent, os.W_OK) else "ro"
        with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode={mode}", uri=True)) as file:
            return {name for (name,) in file.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except OSError as error:
        raise StudyUnavailableError(
            f"{path} cannot be opened: {error.strerror or error}", "Give a file that can be read: --study FILE"
        ) from None
    except sqlite3.Error:
        return None


def _begin_immediately(engine: Any) -> None:
    """Let every SQLite transaction take the write lock at its beginning.

    Two that both read first and then write would each wait for the other, and SQLite lets one fail at once instead.
    """
    event: Any = require("sqlalchemy", "search", purpose="to keep a study").event

    def connected(connection: Any, _: Any) -> None:
        connection.isolation_level = None

    def begun(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    event.listen(engine, "connect", connected)
    event.listen(engine, "begin", begun)
    engine.dispose()  # connections made so far are of the other kind
