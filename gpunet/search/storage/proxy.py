"""Optuna's gRPC proxy, served in front of a database."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from gpunet.errors import StudyError
from gpunet.search.storage.backends import full_url
from gpunet.search.storage.grpc import experimental_is_fine, require_grpc
from gpunet.search.storage.storage import StudyStorage


def serve(url: str, host: str, port: int, threads: int = 16) -> None:
    """A gRPC proxy in front of a database, for workers that cannot reach it, or would be too many for it; does not end.

    Raises:
        StudyError: (a ValueError) the URL is of a proxy itself, or the port is taken.
    """
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
