"""gRPC as a process that forks needs it, and Optuna's proxy without its warnings."""

from __future__ import annotations

import os
import threading
import warnings

from gpunet.core.files import require


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
