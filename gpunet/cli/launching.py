"""What commands share that start many processes: on this machine, or as tasks of a Ray cluster."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

from gpunet.cli.options import opt
from gpunet.core import console
from gpunet.errors import PREEMPTED_EXIT_CODE, PreemptedError

if TYPE_CHECKING:
    from gpunet.launch.child import Job

_PANEL = "Many at once"


def _gpus_per(process: str) -> Any:
    text = "that a Ray task needs (default: 1 where the cluster has GPUs)"
    return opt(f"--gpus-per-{process}", metavar="N", min=0, help=text, panel=_PANEL)


def _cpus_per(process: str) -> Any:
    return opt(f"--cpus-per-{process}", metavar="N", min=0, help="that a Ray task needs (default: 1)", panel=_PANEL)


Cluster = Annotated[
    Literal["ray"] | None,
    opt("--cluster", help="start them as tasks of the Ray cluster of this machine", panel=_PANEL),
]
Address = Annotated[str, opt("--address", metavar="HOST:PORT", help="of the Ray cluster (default: auto)", panel=_PANEL)]
GpusPerShard = Annotated[float | None, _gpus_per("shard")]
CpusPerShard = Annotated[float, _cpus_per("shard")]
GpusPerWorker = Annotated[float | None, _gpus_per("worker")]
CpusPerWorker = Annotated[float, _cpus_per("worker")]
UntilEof = Annotated[
    bool, opt("--until-eof", help="end with the process at the other end of standard input", hidden=True)
]


def run_jobs(
    jobs: Sequence[Job], *, cluster: str | None, address: str = "auto", gpus: float | None = None, cpus: float = 1,
    until_eof: bool = False, as_json: bool = False,
) -> None:  # fmt: skip
    """Run jobs where the options say, to their end; exit 75 when asked to leave before it.

    Args:
        jobs: command lines.
        cluster: 'ray', or None for this machine.
        address: of the cluster.
        gpus, cpus: that a task of the cluster needs; None for a GPU where the cluster has some.
        until_eof: whether to leave when standard input ends.
        as_json: whether standard output is kept for JSON.

    Raises:
        WorkerError: (a RuntimeError) one ended with an error, or crashed too often.
    """
    from gpunet.launch.processes import Fleet, asked_by_end_of_input

    say = console.note if as_json else partial(print, flush=True)
    stop = asked_by_end_of_input() if until_eof else lambda: False
    if cluster == "ray":
        from gpunet.launch.ray import run_on_ray

        asked = run_on_ray(jobs, address=address, gpus=gpus, cpus=cpus, say=say, should_stop=stop)
    else:
        asked = Fleet(jobs, say=say).run(stop)
    if asked and as_json:
        raise PreemptedError("asked to leave before the end.", "The same command goes on from here.")
    if asked:
        raise SystemExit(PREEMPTED_EXIT_CODE)
