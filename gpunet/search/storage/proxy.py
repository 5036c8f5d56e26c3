"""Optuna's gRPC proxy, served in front of a database."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from gpunet.errors import StudyError
from gpunet.search.storage.backends import full_url
from gpunet.search.storage.grpc import experimental_is_fine, require_grpc
from gpunet.search.storage.storage import WORKERS, StudyStorage


def serve(
    url: str, host: str, port: int, threads: int = 16, *, on_ready: Callable[[], None] = lambda: None,
    on_wait: Callable[[str], None] | None = None,
) -> None:  # fmt: skip
    """A gRPC proxy in front of a database, for workers that cannot reach it, or would be too many for it; does not end.

    Args:
        url: of the database.
        host, port: to listen on.
        threads: that serve.
        on_ready: called when the database has been opened, before it listens.
        on_wait: see `StudyStorage`.

    Raises:
        StudyError: (a ValueError) the URL is of a proxy itself, or the port is taken.
    """
    require_grpc("to serve a study")
    if full_url(url).startswith("grpc://"):
        raise StudyError(f"{url} is a proxy itself.", "Give the database's URL.")
    _check_free(host, port)
    storage = StudyStorage(url, on_wait=on_wait)
    on_ready()
    _hide_registries(storage.raw)
    with experimental_is_fine():
        run = storage.optuna.storages.run_grpc_proxy_server
        try:
            run(storage.raw, host=host, port=port, thread_pool=ThreadPoolExecutor(threads))
        except RuntimeError as error:
            raise _unusable(host, port, error) from None


def _hide_registries(raw: Any) -> None:
    """Leave the workers' registries out of the list of studies; who knows a registry's name reaches it as before."""
    every = raw.get_all_studies
    raw.get_all_studies = lambda: [each for each in every() if not each.study_name.endswith(WORKERS)]


def _check_free(host: str, port: int) -> None:
    """Raise unless nobody listens there: gRPC would share the port with who does, and take half the calls."""
    fault: OSError | None = None
    try:
        places = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise _unusable(host, port, error) from None
    usable = False
    for family, kind, protocol, _, address in places:  # of 'localhost' one by IPv6, which a machine may lack
        try:
            with socket.socket(family, kind, protocol) as tried:
                tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                tried.bind(address)
                usable = True
        except OSError as error:
            fault = error
            if error.errno == errno.EADDRINUSE:
                break
    if fault is not None and (not usable or fault.errno == errno.EADDRINUSE):
        raise _unusable(host, port, fault)


def _unusable(host: str, port: int, error: Exception) -> StudyError:
    reason = getattr(error, "strerror", None) or error
    return StudyError(f"{host}:{port} cannot be listened on: {reason}.", "Choose another: --port, --host.")
