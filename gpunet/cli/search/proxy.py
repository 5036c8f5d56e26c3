"""`gpunet search proxy`: a database served to workers that cannot reach it."""

from __future__ import annotations

from typing import Annotated

from gpunet.cli.command import command
from gpunet.cli.options import opt
from gpunet.core import console


@command("proxy", examples=["gpunet search proxy --study postgresql://gpunet@db/gpunet --host 0.0.0.0"])
def proxy(
    study: Annotated[str, opt("--study", metavar="URL", help="the database: a SQLite file or postgresql://...")],
    host: Annotated[str, opt("--host", help="to listen on (default: localhost)")] = "localhost",
    port: Annotated[int, opt("--port", metavar="N", min=1, max=65535, help="to listen on (default: 13000)")] = 13000,
    threads: Annotated[int, opt("--threads", "-t", metavar="N", min=1, help="that serve (default: 16)")] = 16,
) -> None:
    """Serve a study's database by Optuna's gRPC proxy.

    It is for workers that cannot reach the database, or would be too many for it. It keeps nothing: start it again, or
    several of them, at any time.
    """
    from gpunet.search.storage.backends import shown
    from gpunet.search.storage.proxy import serve
    from gpunet.search.study.quiet import quiet_optuna

    quiet_optuna()
    serve(
        study, host, port, threads,
        on_ready=lambda: print(f"serving {shown(study)} at grpc://{host}:{port}", flush=True), on_wait=console.note,
    )  # fmt: skip
