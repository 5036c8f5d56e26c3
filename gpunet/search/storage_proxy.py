"""Optuna's gRPC proxy: served in front of a database, and quietly used."""

from __future__ import annotations

import os
import threading
import warnings

from gpunet.errors import StudyError
from gpunet.files import require
from gpunet.search.storage_url import full_url


def serve(url: str, host: str, port: int, threads: int = 16) -> None:
    """A gRPC proxy in front of a database, for workers that cannot reach it, or would be too many for it; does not end.

    Raises:
        StudyError: (a ValueError) the URL is of a proxy itself, or the port is taken.
    """
    from concurrent.futures import ThreadPoolExecutor

    from gpunet.search.storage import StudyStorage

    require_grpc("to serve a study")
    if full_url(url).startswith("grpc://"):
        raise StudyError(f"{url} is a proxy itself.", "Give the database's URL.")
    storage = StudyStorage(url)
    with experimental_is_fine():
        run = storage.optuna.storages.run_grpc_proxy_server
        try:
            run(storage.raw, host=host, port=port, thread_pool=ThreadPoolExecutor(threads))
        except RuntimeError as error:
            raise StudyError(f"{host}:{port} cannot be listened on: {error}", "Choose another port: --port") from None


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
