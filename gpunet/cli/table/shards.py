"""`gpunet table shards`: build a latency table by many builders, one a GPU, each with a shard and a file of its own."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpunet.cli import launching
from gpunet.cli.table import build as table_build
from gpunet.core import console
from gpunet.core.machine import available_threads
from gpunet.errors import InvalidArgumentError

if TYPE_CHECKING:
    from gpunet.runtime.base import Runtime

_FORWARDED = ("space", "models", "resolutions", "classes", "fraction", "networks", "precision", "batch_size", "threads",
              "max_layers", "max_minutes")  # fmt: skip
_SWITCHES = ("lone", "cpu_time")
_REFUSED = {"shard": "1/1", "jobs": 1}


def add_parser(actions: Any) -> None:
    """Add `shards` to the actions of `gpunet table`."""
    parser = actions.add_parser(
        "shards",
        help="measure the layers that a table lacks, by one builder a GPU",
        description="Measure the layers that a table lacks by N builders, each with a shard of them in a file of its "
        "own, TABLE.shard-1 and so on, and merge these into TABLE. On this machine each has a GPU of its own, or, on "
        "its processor, a thread (--threads 1). With --cluster ray they are tasks of a cluster, whose machines must "
        "be of one kind and reach TABLE's folder. Stop it when you like and run it again: it goes on.",
    )
    table_build.add_options(parser)
    many = parser.add_argument_group("shards")
    many.add_argument("--shards", type=int, metavar="N", required=True, help="builders, and parts of the layers")
    launching.add_cluster(many, "shard")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Build the shards and merge them; exit 1 where layers failed, 75 when asked to leave before the end."""
    from gpunet import runtime as runtimes
    from gpunet.latency.merge import merge
    from gpunet.launch.child import Job
    from gpunet.launch.processes import gpunet_command

    runtime = runtimes.get(args.runtime) if args.runtime else runtimes.best()
    _check(args, runtime)
    if args.cluster is not None and args.gpus_per_task is None and runtime.device != "gpu":
        args.gpus_per_task = 0
    table = Path(args.table).expanduser().absolute()  # a Ray task runs in a folder of Ray's
    shards = [table.with_name(f"{table.name}.shard-{number}") for number in range(1, args.shards + 1)]
    left = _left_by(table)
    if left:  # by a call before, of as many shards or not: what one has measured, no other measures again
        merge(table, left)
    if table.exists():
        for shard in shards:
            merge(shard, [table])
    jobs = [
        Job(shard.name, gpunet_command(*_build(args, runtime, shard, number)), place,
            done_codes=(0, console.FAILED_EXIT_CODE))
        for number, (shard, place) in enumerate(zip(shards, _places(args, runtime), strict=True), start=1)
    ]  # fmt: skip
    launching.run_jobs(args, jobs)
    report = merge(table, shards)
    failures = {shard: count for shard in shards if (count := _failures(shard))}
    failed = sum(failures.values())
    print(f"{table}: {report.added} layers and {report.networks} networks added, {failed} layers failed")
    if failures:
        console.note(f"the shards' files stay: gpunet table show {next(iter(failures))} --failures says why")
        raise SystemExit(console.FAILED_EXIT_CODE)
    for shard in {*shards, *left}:
        for path in (shard, *(shard.with_name(shard.name + ending) for ending in ("-wal", "-shm", "-journal"))):
            path.unlink(missing_ok=True)


def _check(args: argparse.Namespace, runtime: Runtime) -> None:
    if args.shards < 1:
        raise InvalidArgumentError(f"--shards must be 1 or more, but got {args.shards}.")
    for name, value in _REFUSED.items():
        if getattr(args, name) != value:
            raise InvalidArgumentError(
                f"--{name} is of 'gpunet table build', which runs once a shard.", "Leave it out."
            )
    if runtime.device != "gpu" and args.cluster is None and args.shards > 1:
        available = available_threads()
        if args.threads != 1 or args.shards > available:
            raise InvalidArgumentError(
                f"--shards {args.shards} of {runtime.name}, which computes on the processor, needs --threads 1 and "
                f"{args.shards} processors; {available} are available.",
                "Builders that share processors measure each other.",
            )
    table_build.check(args)


def _left_by(table: Path) -> list[Path]:
    prefix = f"{table.name}.shard-"
    return sorted(path for path in table.parent.glob("*") if _is_shard(path.name, prefix))


def _is_shard(name: str, prefix: str) -> bool:
    return name.startswith(prefix) and name.removeprefix(prefix).isdecimal()


def _places(args: argparse.Namespace, runtime: Runtime) -> list[dict[str, str]]:
    from gpunet.launch.processes import places

    if args.cluster is not None:
        return [{} for _ in range(args.shards)]
    return places(args.shards, gpus=None if runtime.device == "gpu" else 0)


def _build(args: argparse.Namespace, runtime: Runtime, shard: Path, number: int) -> list[str]:
    """The command line of a shard's builder."""
    given = ["table", "build", str(shard), "--until-eof", "--shard", f"{number}/{args.shards}"]
    given += ["--runtime", runtime.name]
    for name in _FORWARDED:
        value = getattr(args, name)
        if value is not None:
            values = value if isinstance(value, list) else [value]
            given += [f"--{name.replace('_', '-')}", *map(str, values)]
    given += [f"--{name.replace('_', '-')}" for name in _SWITCHES if getattr(args, name)]
    return given if args.recheck else [*given, "--no-recheck"]


def _failures(shard: Path) -> int:
    """Layers that the shard's builder could not measure."""
    from gpunet.latency.table import LatencyTable

    with LatencyTable(shard) as table:
        return len(set(table.failures()) - {key.text for key in table.layers()})
