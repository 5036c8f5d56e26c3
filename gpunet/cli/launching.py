"""What commands share that start many processes: on this machine, or as tasks of a Ray cluster."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gpunet.core import console

if TYPE_CHECKING:
    from gpunet.launch.child import Job


def add_cluster(group: Any, kind: str) -> None:
    """--cluster, --address and what a task needs.

    Args:
        group: of the parser.
        kind: what a process is, in the options' names and words: 'worker'.
    """
    group.add_argument("--cluster", choices=("ray",), help="start them as tasks of the Ray cluster of this machine")
    group.add_argument("--address", default="auto", metavar="HOST:PORT", help="of the Ray cluster (default: auto)")
    group.add_argument(
        f"--gpus-per-{kind}", dest="gpus_per_task", type=float, metavar="N",
        help="that a Ray task needs (default: 1 where the cluster has GPUs)",
    )  # fmt: skip
    group.add_argument(
        f"--cpus-per-{kind}", dest="cpus_per_task", type=float, default=1, metavar="N",
        help="that a Ray task needs (default: 1)",
    )  # fmt: skip


def run_jobs(args: argparse.Namespace, jobs: Sequence[Job]) -> None:
    """Run jobs where the options say, to their end; exit 75 when asked to leave before it.

    Raises:
        WorkerError: (a RuntimeError) one ended with an error, or crashed too often.
    """
    from gpunet.launch.processes import Fleet, asked_by_end_of_input

    stop = asked_by_end_of_input() if args.until_eof else lambda: False
    if args.cluster == "ray":
        from gpunet.launch.ray import run_on_ray

        asked = run_on_ray(
            jobs, address=args.address, gpus=args.gpus_per_task, cpus=args.cpus_per_task, say=_say, should_stop=stop
        )
    else:
        asked = Fleet(jobs, say=_say).run(stop)
    if asked:
        raise SystemExit(console.PREEMPTED_EXIT_CODE)


def _say(line: str) -> None:
    print(line, flush=True)
