"""`gpunet search worker`: one process that works on a study, or many of them."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from gpunet.cli import launching, options
from gpunet.cli.command import command
from gpunet.cli.options import complete_study, opt
from gpunet.cli.search.options import Folder, StudyUrl, opened
from gpunet.core import console
from gpunet.errors import INTERRUPTED_EXIT_CODE, PREEMPTED_EXIT_CODE

if TYPE_CHECKING:
    from gpunet.latency.estimate import Estimator
    from gpunet.search.study.definition import StudyDefinition
    from gpunet.search.work.summary import WorkSummary

_UNTIL, _MACHINE, _MANY = "Until when", "This machine", "Many at once"
_DATA_ROOT_HELP = (
    "where the data lies here: the folder itself, or a named dataset's root (default: where the study says)"
)
_CHECKPOINT_MINUTES_HELP = "between two within an epoch (default: 15)"
_GRACE_S_HELP = "without one for so long, a worker has expired (default: 120)"
_PATIENCE_S_HELP = "a storage that does not serve is waited for (default: 600)"
_PROCESSES_HELP = "start N of them here: one a GPU, or sharing the processor's threads"
_LEAVING = "leaving at the next step, with a checkpoint; Ctrl-C again leaves at once"


@dataclass(frozen=True)
class _Work:
    """What a worker is told, by its options' names: each is handed on to the processes that it starts."""

    name: list[str] | None = None
    folder: Path | None = None
    hours: float | None = None
    trials: int | None = None
    table: Path | None = None
    data_root: Path | None = None
    on: str | None = None
    loader_workers: int = 0
    checkpoint_minutes: float = 15.0
    heartbeat_s: float = 30.0
    grace_s: float = 120.0
    patience_s: float = 600.0

    @property
    def names(self) -> list[str] | list[None]:
        return self.name or [None]

    def arguments(self) -> list[str]:
        """The options that say it, from anywhere on this machine."""
        words: list[str] = []
        for each in dataclasses.fields(self):
            value = getattr(self, each.name)
            if value == each.default:
                continue
            if isinstance(value, Path):
                value = value.expanduser().absolute()
            given = (
                map(str, value) if isinstance(value, list) else [f"{value:g}" if type(value) is float else str(value)]
            )
            words += [f"--{each.name.replace('_', '-')}", *given]
        return words


@command(
    "worker",
    examples=[
        "gpunet search worker --study search.sqlite",
        "gpunet search worker --study search.sqlite --processes 8",
        "gpunet search worker --study grpc://proxy-host:13000 --hours 4",
    ],
    said_as={"device": "--on"},
    renamed={"--device": "--on", "--image-workers": "--loader-workers", "--workers": "--processes"},
)
def worker(
    study: StudyUrl,
    name: Annotated[
        list[str] | None,
        opt("--name", metavar="NAME...", complete=complete_study,
            help="of the study (default: the only one there); of several, one after the other"),
    ] = None,
    folder: Folder = None,
    hours: Annotated[
        float | None, opt("--hours", metavar="N", help="then leave, and lay the trial back", panel=_UNTIL)
    ] = None,
    trials: Annotated[
        int | None, opt("--trials", metavar="N", min=1, help="of this worker, in each study", panel=_UNTIL)
    ] = None,
    table: Annotated[
        Path | None,
        opt("--table", metavar="FILE", panel=_MACHINE, help="the study's latency table (default: where it says)"),
    ] = None,
    data_root: Annotated[Path | None, opt("--data-root", metavar="DIR", help=_DATA_ROOT_HELP, panel=_MACHINE)] = None,
    on: options.On = None,
    loader_workers: options.LoaderWorkers = 0,
    checkpoint_minutes: Annotated[
        float, opt("--checkpoint-minutes", metavar="N", help=_CHECKPOINT_MINUTES_HELP, panel=_MACHINE)
    ] = 15.0,
    heartbeat_s: Annotated[
        float, opt("--heartbeat-s", metavar="N", panel=_MACHINE, help="between two signs of life (default: 30)")
    ] = 30.0,
    grace_s: Annotated[float, opt("--grace-s", metavar="N", help=_GRACE_S_HELP, panel=_MACHINE)] = 120.0,
    patience_s: Annotated[float, opt("--patience-s", metavar="N", help=_PATIENCE_S_HELP, panel=_MACHINE)] = 600.0,
    processes: Annotated[
        int | None, opt("--processes", metavar="N", min=1, help=_PROCESSES_HELP, panel=_MANY)
    ] = None,
    cluster: launching.Cluster = None,
    address: launching.Address = "auto",
    gpus_per_worker: launching.GpusPerWorker = None,
    cpus_per_worker: launching.CpusPerWorker = 1,
    until_eof: launching.UntilEof = False,
) -> None:  # fmt: skip
    """Work on a study until its budget is spent.

    Ask for a network, train it, report each epoch, tell what came of it, and ask again. Start as many as you like,
    anywhere that reaches the study and its folder; stop them when you like (SIGTERM and Ctrl-C lay the trial back, exit
    codes 75 and 130). One that dies is noticed; its trial goes on elsewhere from its last checkpoint.
    """
    from gpunet.core.arguments import checked_number

    work = _Work(
        name, folder, hours, trials, table, data_root, on, loader_workers,
        checked_number("checkpoint_minutes", checkpoint_minutes, 0, above=True), heartbeat_s, grace_s,
        checked_number("patience_s", patience_s, 0),
    )  # fmt: skip
    many = [
        word
        for option, value, default in (
            ("--processes", processes, None), ("--cluster", cluster, None), ("--address", address, "auto"),
            ("--gpus-per-worker", gpus_per_worker, None), ("--cpus-per-worker", cpus_per_worker, 1),
        )
        if value != default
        for word in (option, f"{value:g}" if isinstance(value, float) else str(value))
    ]  # fmt: skip
    try:
        if processes is not None or cluster is not None:
            _launch(
                study, work, processes, cluster=cluster, address=address, gpus=gpus_per_worker, cpus=cpus_per_worker,
                until_eof=until_eof,
            )  # fmt: skip
        else:
            _work_here(study, work, until_eof)
    except (KeyboardInterrupt, _Interrupted) as stopped:
        if not until_eof:  # who started this one says it once for all
            from gpunet.search.storage.backends import shown

            words = ["gpunet", "search", "worker", "--study", shown(study), *work.arguments(), *many]
            console.note(f"this goes on from there: {shlex.join(words)}")
        if isinstance(stopped, _Interrupted):
            raise SystemExit(INTERRUPTED_EXIT_CODE) from None
        raise


class _Interrupted(Exception):
    """Ctrl-C was heeded: the trial has been laid back."""


def _work_here(study: str, work: _Work, until_eof: bool) -> None:
    from gpunet.core.signals import interrupt_asked
    from gpunet.launch.processes import asked_by_end_of_input

    ended = asked_by_end_of_input() if until_eof else lambda: False
    estimates: list[tuple[StudyDefinition, Estimator]] = []
    for name in work.names:
        with interrupt_asked(_LEAVING) as interrupted:
            done = _work_on(study, name, work, lambda: ended() or interrupted(), estimates)
        many = "" if len(work.names) == 1 else f"{name}: "
        told = f"{done.ended} trials ended, {done.requeued} requeued, {done.lost} taken up by others: {done.end}"
        print(f"{many}{told}", flush=True)
        if interrupted():
            raise _Interrupted
        if done.end.startswith("asked to leave"):
            raise SystemExit(PREEMPTED_EXIT_CODE)


def _work_on(
    study: str,
    name: str | None,
    work: _Work,
    stop: Callable[[], bool],
    estimates: list[tuple[StudyDefinition, Estimator]],
) -> WorkSummary:
    """Work on one study; `estimates` keeps those of the study before, which has mostly the same."""
    from gpunet.search.study.tables import estimator_of
    from gpunet.search.study.training import trainer_from_dict
    from gpunet.search.work.summary import WorkerSettings
    from gpunet.search.work.worker import Worker

    settings = WorkerSettings(
        hours=work.hours, trials=work.trials, heartbeat_s=work.heartbeat_s, grace_s=work.grace_s
    )  # fmt: skip
    found = opened(study, name, work.folder, patience_s=work.patience_s)
    definition = found.definition
    trainer = trainer_from_dict(
        definition.trainer, definition.space, device=work.on, workers=work.loader_workers,
        checkpoint_minutes=work.checkpoint_minutes,
    )  # fmt: skip
    if work.data_root is not None:
        trainer.data = trainer.data.at(work.data_root)
    trainer.check()
    same = [
        known for before, known in estimates if (before.space, before.table) == (definition.space, definition.table)
    ]
    estimator = same[0] if same else estimator_of(definition, work.table)
    estimates[:] = [(definition, estimator)]
    done = Worker(
        found, trainer, estimator, settings, say=lambda line: print(line, flush=True), should_stop=stop
    ).work()  # fmt: skip
    found.storage.close()
    return done


def _launch(
    study: str, work: _Work, processes: int | None, *, cluster: str | None, address: str, gpus: float | None,
    cpus: float, until_eof: bool,
) -> None:  # fmt: skip
    from gpunet.launch.child import Job
    from gpunet.launch.processes import gpunet_command, places
    from gpunet.search.storage.backends import full_url

    for name in work.names:  # what is wrong with one is said once
        opened(study, name, work.folder, patience_s=work.patience_s).storage.close()
    if cluster is not None and gpus is None and work.on == "cpu":
        gpus = 0
    # A task runs in a folder of Ray's.
    command = gpunet_command("search", "worker", "--until-eof", "--study", full_url(study), *work.arguments())
    found: list[dict[str, str]] = places(processes) if cluster is None else [{}] * (processes or 1)
    launching.run_jobs(
        [Job(f"worker {number}", command, place) for number, place in enumerate(found)],
        cluster=cluster, address=address, gpus=gpus, cpus=cpus, until_eof=until_eof,
    )  # fmt: skip
