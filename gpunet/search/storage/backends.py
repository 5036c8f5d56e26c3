"""Where a study can be kept: one backend a file, found by the scheme of a URL."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from gpunet.errors import StudyError

if TYPE_CHECKING:
    from types import ModuleType


class Backend(Protocol):
    """A kind of storage.

    Attributes:
        at_once: calls that one process may make at a time, to gain by it.
    """

    at_once: int

    def full_url(self, url: str) -> str:
        """A URL of this backend's, as SQLAlchemy or Optuna takes it, of one as users give it.

        Raises:
            StudyError: (a ValueError) it is none.
        """
        ...

    def shown(self, url: str) -> str:
        """A full URL to print: as users give it, without its password."""
        ...

    def path(self, url: str) -> Path | None:
        """The file that a full URL names; None where it names none."""
        ...

    def open(self, optuna: ModuleType, url: str, *, reading: bool, make: bool, wait_s: float) -> Any:
        """Optuna's storage at a full URL; called again where what it raises passes (gpunet.search.storage.faults).

        Args:
            optuna: the package.
            url: a full URL.
            reading: nothing will be written.
            make: make what is not there.
            wait_s: how long a call may wait inside, for a lock, before it fails.

        Raises:
            StudyError: (a ValueError) it is not there and not to be made.
            MissingDependencyError: (an ImportError) a package that it needs is not installed.
        """
        ...

    def close(self, raw: Any) -> None:
        """Let go of the connections of what `open` gave."""
        ...


# Scheme -> module and class; a path without a scheme is a SQLite file. A new backend is a file, and a line here.
_BACKENDS = {
    "sqlite": ("gpunet.search.storage.sqlite", "Sqlite"),
    "postgresql": ("gpunet.search.storage.postgresql", "PostgreSQL"),
    "postgres": ("gpunet.search.storage.postgresql", "PostgreSQL"),
    "postgresql+psycopg": ("gpunet.search.storage.postgresql", "PostgreSQL"),
    "grpc": ("gpunet.search.storage.grpc", "GrpcProxy"),
}


def register_backend(scheme: str, backend: type[Backend]) -> None:
    """Let URLs name a storage that is not gpunet's own; every process that works on one must have called this."""
    _BACKENDS[scheme] = (backend.__module__, backend.__qualname__)


def unregister_backend(scheme: str) -> None:
    """Forget a storage that was registered."""
    del _BACKENDS[scheme]


def backend_of(url: str) -> Backend:
    """The backend that a URL is of, full or as users give it.

    Raises:
        StudyError: (a ValueError) it is of no kind that is known.
    """
    scheme = url.partition("://")[0] if "://" in url else "sqlite"
    if scheme not in _BACKENDS:
        raise StudyError(
            f"{scheme}:// is no storage that gpunet knows.",
            "Give a SQLite file, postgresql://USER@HOST/DATABASE or grpc://HOST:PORT.",
        )
    module, class_name = _BACKENDS[scheme]
    found: Backend = getattr(importlib.import_module(module), class_name)()
    return found


def full_url(url: str | Path) -> str:
    """A URL as the backend takes it, of one as users give it.

    Raises:
        StudyError: (a ValueError) it is of no kind that is known.
    """
    return backend_of(str(url)).full_url(str(url))


def shown(url: str) -> str:
    """A full URL to print: as users give it, without its password."""
    return backend_of(url).shown(url)


def file_of(url: str) -> Path | None:
    """The file that a full URL names; None where it names none."""
    return backend_of(url).path(url)
