"""`gpunet search worker | proxy`: the processes that a search is made of."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpunet.cli import launching
from gpunet.cli.search.options import add_study, opened
from gpunet.core import console
from gpunet.errors import InvalidArgumentError
from gpunet.search.study.quiet import quiet_optuna

if TYPE_CHECKING:
    from gpunet.latency.estimate import Estimator
    from gpunet.search.study.definition import StudyDefinition
    from gpunet.search.work.summary import WorkSummary

_FORWARDED = ("name", "folder", "hours", "trials", "table", "device", "data_root", "heartbeat_s", "grace_s",
              "patience_s", "checkpoint_minutes", "image_workers")  # fmt: skip

_IMAGE_WORKERS_HELP = "processes that prepare images (default: 0, none)"
_CHECKPOINT_MINUTES_HELP = "between two within an epoch (default: 15)"
_GRACE_S_HELP = "without one for so long, a worker has expired (default: 120)"
_PATIENCE_S_HELP = "a storage that does not serve is waited for (default: 600)"
_WORKERS_HELP = "start N processes here: one a GPU, or sharing the processor's threads"


def add_parsers(actions: Any) -> None:
    """Add `worker` and `proxy` to the actions of `gpunet search`."""
    worker = actions.add_parser(
        "worker",
        help="work on a study until its budget is spent",
        description="Ask for a network, train it, report each epoch, tell what came of it, and ask again. Start as "
        "many as you like, anywhere that reaches the study and its folder; stop them when you like (SIGTERM lays the "
        "trial back, exit code 75). One that dies is noticed; its trial goes on elsewhere from its last checkpoint.",
    )
    add_study(worker, several=True)
    limits = worker.add_argument_group("until when")
    limits.add_argument("--hours", type=float, metavar="N", help="then leave, and lay the trial back")
    limits.add_argument("--trials", type=int, metavar="N", help="of this worker, in each study")
    machine = worker.add_argument_group("this machine")
    machine.add_argument(
        "--table", metavar="FILE", type=Path, help="the study's latency table (default: where it says)"
    )
    machine.add_argument(
        "--data-root",
        metavar="DIR",
        type=Path,
        help="where the data lies here: the folder itself, or a named dataset's root (default: where the study says)",
    )
    machine.add_argument("--device", metavar="NAME", help="cpu, cuda, cuda:1 (default: a GPU where there is one)")
    machine.add_argument("--image-workers", type=int, default=0, metavar="N", help=_IMAGE_WORKERS_HELP)
    machine.add_argument("--checkpoint-minutes", type=float, default=15, metavar="N", help=_CHECKPOINT_MINUTES_HELP)
    machine.add_argument(
        "--heartbeat-s", type=float, default=30.0, metavar="N", help="between two signs of life (default: 30)"
    )
    machine.add_argument("--grace-s", type=float, default=120.0, metavar="N", help=_GRACE_S_HELP)
    machine.add_argument("--patience-s", type=float, default=600.0, metavar="N", help=_PATIENCE_S_HELP)
    many = worker.add_argument_group("many of them")
    many.add_argument("--workers", type=int, metavar="N", help=_WORKERS_HELP)
    launching.add_cluster(many, "worker")
    worker.add_argument("--until-eof", action="store_true", help=argparse.SUPPRESS)
    worker.set_defaults(run=_worker)
    proxy = actions.add_parser(
        "proxy",
        help="serve a database to workers",
        description="Serve a study's database by Optuna's gRPC proxy, to workers that cannot reach it, or that would "
        "be too many for it. It keeps nothing: start it again, or several of them, at any time.",
    )
    proxy.add_argument("--study", metavar="URL", required=True, help="the database: a SQLite file or postgresql://...")
    proxy.add_argument("--host", default="localhost", help="to listen on (default: localhost)")
    proxy.add_argument("--port", type=int, default=13000, metavar="N", help="to listen on (default: 13000)")
    proxy.add_argument("--threads", type=int, default=16, metavar="N", help="that serve (default: 16)")
    proxy.set_defaults(run=_proxy)


def _worker(args: argparse.Namespace) -> None:
    if args.cluster or args.workers is not None:
        _launch(args)
        return
    from gpunet.launch.processes import asked_by_end_of_input

    stop = asked_by_end_of_input() if args.until_eof else lambda: False
    estimates: list[tuple[StudyDefinition, Estimator]] = []
    for name in args.name or [None]:
        done = _work_on(name, args, stop, estimates)
        many = "" if name is None or len(args.name) == 1 else f"{name}: "
        told = f"{done.ended} trials ended, {done.requeued} requeued, {done.lost} taken up by others: {done.end}"
        print(f"{many}{told}", flush=True)
        if done.end.startswith("asked to leave"):
            raise SystemExit(console.PREEMPTED_EXIT_CODE)


def _work_on(
    name: str | None,
    args: argparse.Namespace,
    stop: Callable[[], bool],
    estimates: list[tuple[StudyDefinition, Estimator]],
) -> WorkSummary:
    """WorkSummary on one study; `estimates` keeps those of the study before, which has mostly the same."""
    from gpunet.search.study.tables import estimator_of
    from gpunet.search.study.training import trainer_from_dict
    from gpunet.search.work.summary import WorkerSettings
    from gpunet.search.work.worker import Worker

    study = opened(args, name=name, patience_s=args.patience_s)
    definition = study.definition
    trainer = trainer_from_dict(
        definition.trainer, definition.space, device=args.device, workers=args.image_workers,
        checkpoint_minutes=args.checkpoint_minutes,
    )  # fmt: skip
    if args.data_root is not None:
        trainer.data = trainer.data.at(args.data_root)
    trainer.check()
    same = [
        known for before, known in estimates if (before.space, before.table) == (definition.space, definition.table)
    ]
    estimator = same[0] if same else estimator_of(definition, args.table)
    estimates[:] = [(definition, estimator)]
    worker = Worker(
        study, trainer, estimator,
        WorkerSettings(hours=args.hours, trials=args.trials, heartbeat_s=args.heartbeat_s, grace_s=args.grace_s),
        say=lambda line: print(line, flush=True), should_stop=stop,
    )  # fmt: skip
    done = worker.work()
    study.storage.close()
    return done


def _launch(args: argparse.Namespace) -> None:
    from gpunet.launch.child import Job
    from gpunet.launch.processes import gpunet_command, places
    from gpunet.search.storage.backends import full_url

    for name in args.name or [None]:  # what is wrong with one is said once
        opened(args, name=name, patience_s=args.patience_s).storage.close()
    if args.workers is not None and args.workers < 1:
        raise InvalidArgumentError(f"--workers must be 1 or more, but got {args.workers}.")
    if args.cluster and args.gpus_per_task is None and args.device == "cpu":
        args.gpus_per_task = 0
    given = ["search", "worker", "--until-eof", "--study", full_url(args.study)]  # a task runs in a folder of Ray's
    for name in _FORWARDED:
        value = getattr(args, name)
        if isinstance(value, Path):
            value = value.expanduser().absolute()
        if isinstance(value, list):
            given += [f"--{name}", *value]
        elif value is not None:
            given += [f"--{name.replace('_', '-')}", str(value)]
    command = gpunet_command(*given)

    found: list[dict[str, str]] = [{}] * (args.workers or 1) if args.cluster else places(args.workers)
    launching.run_jobs(args, [Job(f"worker {number}", command, place) for number, place in enumerate(found)])


def _proxy(args: argparse.Namespace) -> None:
    from gpunet.search.storage.backends import shown
    from gpunet.search.storage.proxy import serve

    quiet_optuna()
    print(f"serving {shown(args.study)} at grpc://{args.host}:{args.port}", flush=True)
    serve(args.study, args.host, args.port, args.threads)
