"""Studies behind Optuna's gRPC proxy: for workers that cannot reach the database, or would be too many for it."""

from __future__ import annotations

import os
import threading
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

from gpunet.core.files import require
from gpunet.errors import StudyError


class GrpcProxy:
    """See `gpunet.search.storage.backends.Backend`."""

    at_once = 8  # a proxy has connections enough

    def full_url(self, url: str) -> str:
        """See `Backend.full_url`."""
        try:
            parts = urlsplit(url)
            known = bool(parts.hostname) and parts.port is not None
        except ValueError:
            known = False
        if not known:
            raise StudyError(f"{url} names no host and port.", "E.g. grpc://storage-host:13000")
        return url

    def shown(self, url: str) -> str:
        """See `Backend.shown`: it has no password."""
        return url

    def path(self, url: str) -> Path | None:
        """See `Backend.path`."""
        return None

    def open(self, optuna: ModuleType, url: str, *, reading: bool, make: bool, wait_s: float) -> Any:
        """See `Backend.open`."""
        require_grpc("to reach a study through a proxy")
        parts = urlsplit(url)
        with experimental_is_fine():
            proxy = optuna.storages.GrpcStorageProxy(host=parts.hostname, port=parts.port)
        try:
            proxy.wait_server_ready(timeout=min(10.0, max(wait_s, 0.5)))
        except ConnectionError:
            proxy.close()
            raise
        return proxy

    def close(self, raw: Any) -> None:
        """See `Backend.close`."""
        raw.close()


def require_grpc(purpose: str) -> None:
    """gRPC, in a process that may fork: its own handlers of a fork crash the child while other threads make calls.

    They let a child make calls; what a worker forks prepares images and makes none. A user's own setting stands.

    Raises:
        MissingDependencyError: (an ImportError) it is not installed.
    """
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")  # read when gRPC is imported
    require("grpc", "cluster", purpose=purpose)


class experimental_is_fine:
    """Optuna's proxy calls itself experimental at each use."""

    _lock = threading.RLock()

    def __enter__(self) -> None:
        self._lock.acquire()
        self._caught = warnings.catch_warnings()
        self._caught.__enter__()
        warnings.filterwarnings("ignore", module="optuna")
        warnings.simplefilter("ignore")

    def __exit__(self, *error: object) -> None:
        self._caught.__exit__(None, None, None)
        self._lock.release()
