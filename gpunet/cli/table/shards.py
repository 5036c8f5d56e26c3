"""`gpunet table shards`: build a latency table by many builders, one a GPU, each with a shard and a file of its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from gpunet.cli import launching, options
from gpunet.cli.command import command
from gpunet.cli.options import opt
from gpunet.cli.table import options as table_options
from gpunet.cli.table.build import check_recheck, end
from gpunet.cli.table.options import Builder
from gpunet.core import console
from gpunet.core.machine import available_threads
from gpunet.errors import FAILED_EXIT_CODE, UsageError

if TYPE_CHECKING:
    from gpunet.runtime.base import Runtime

_MOST_SHARDS = 10_000


@command(
    "shards",
    examples=[
        "gpunet table shards h100.sqlite --shards 8 -r tensorrt -p fp16",
        "gpunet table shards h100.sqlite --shards 64 --cluster ray",
    ],
    renamed={"--fraction": "--layers-fraction"},
    said_as={"clock 'cpu'": "--cpu-time", "clock='wall'": "leave --cpu-time out"},
)
def shards(
    table: table_options.NewTable,
    shards: Annotated[
        int, opt("--shards", metavar="N", min=1, max=_MOST_SHARDS, help="builders, and parts of the layers")
    ],
    space: table_options.Space = None,
    models: table_options.Models = None,
    resolutions: table_options.Resolutions = None,
    classes: table_options.Classes = 1000,
    layers_fraction: table_options.LayersFraction = None,
    networks: table_options.Networks = 0,
    lone: table_options.Lone = False,
    runtime: options.Runtime = None,
    precision: Annotated[options.PrecisionName, opt("--precision", "-p", help="default: fp32")] = "fp32",
    batch_size: options.BatchSize = 1,
    threads: options.Threads = None,
    cpu_time: table_options.CpuTime = False,
    effort: table_options.Effort = 1.0,
    no_recheck: table_options.NoRecheck = False,
    max_layers: table_options.MaxLayers = None,
    max_minutes: table_options.MaxMinutes = None,
    cluster: launching.Cluster = None,
    address: launching.Address = "auto",
    gpus_per_shard: launching.GpusPerShard = None,
    cpus_per_shard: launching.CpusPerShard = 1,
    until_eof: launching.UntilEof = False,
    as_json: options.Json = False,
) -> None:
    """Measure the layers that a table lacks, by one builder a GPU.

    N builders each have a shard of the layers in a file of its own, TABLE.shard-1 and so on, which are merged into
    TABLE. On this machine each has a GPU of its own, or, on its processor, a thread (--threads 1). With --cluster ray
    they are tasks of a cluster, whose machines must be of one kind and reach TABLE's folder. Stop it when you like
    and run it again: it goes on. Where layers failed, the exit code is 6.
    """
    from gpunet import runtime as runtimes
    from gpunet.latency.merge import merge
    from gpunet.launch.child import Job
    from gpunet.launch.processes import gpunet_command, places

    chosen = runtimes.get(runtime) if runtime else runtimes.best()
    builder = Builder(
        space=space, models=tuple(models or ()), resolutions=tuple(resolutions or ()), classes=classes,
        layers_fraction=layers_fraction, networks=networks, lone=lone, runtime=chosen.name, precision=precision,
        batch_size=batch_size, threads=threads, cpu_time=cpu_time, effort=effort, max_layers=max_layers,
        max_minutes=max_minutes,
    )  # fmt: skip
    on_gpu = chosen.device == "gpu"
    if cluster is None and not on_gpu:
        _check_processors(chosen, shards, threads)
    check_recheck(no_recheck)
    table = table.expanduser().absolute()  # a Ray task runs in a folder of Ray's
    files = [table.with_name(f"{table.name}.shard-{number}") for number in range(1, shards + 1)]
    left = _left_by(table)
    if left:  # by a call before, of as many shards or not: what one has measured, no other measures again
        merge(table, left)
    if table.exists():
        for file in files:
            merge(file, [table])
    where = [{}] * shards if cluster else places(shards, gpus=None if on_gpu else 0)
    given = [*builder.options(), *(["--no-recheck"] if no_recheck else [])]
    jobs = [
        Job(file.name,
            gpunet_command("table", "build", str(file), "--until-eof", "--shard", f"{number}/{shards}", *given),
            place, done_codes=(0, FAILED_EXIT_CODE))
        for number, (file, place) in enumerate(zip(files, where, strict=True), start=1)
    ]  # fmt: skip
    gpus = 0 if gpus_per_shard is None and not on_gpu else gpus_per_shard
    with console.resumable(told=not until_eof):
        launching.run_jobs(
            jobs, cluster=cluster, address=address, gpus=gpus, cpus=cpus_per_shard, until_eof=until_eof,
            as_json=as_json,
        )  # fmt: skip
    report = merge(table, files)
    failures = {file: count for file in files if (count := _failures(file))}
    failed = sum(failures.values())
    if not failures:
        for file in {*files, *left}:
            for path in (file, *(file.with_name(file.name + ending) for ending in ("-wal", "-shm", "-journal"))):
                path.unlink(missing_ok=True)
    if not as_json:
        print(f"{table}: {report.added} layers and {report.networks} networks added, {failed} layers failed")
    told = {"table": str(table), "shards": shards, "added": report.added, "networks": report.networks, "failed": failed}
    first = next(iter(failures), table)
    end(told, f"{failed} layers failed; the shards' files stay" if failed else "",
        f"gpunet table show {first} --failures", as_json)  # fmt: skip


def _check_processors(runtime: Runtime, shards: int, threads: int | None) -> None:
    available = available_threads()
    if shards > 1 and (threads != 1 or shards > available):
        raise UsageError(
            f"--shards {shards} of {runtime.name}, which computes on the processor, needs --threads 1 and "
            f"{shards} processors; {available} are available.",
            "Builders that share processors measure each other.",
        )


def _left_by(table: Path) -> list[Path]:
    prefix = f"{table.name}.shard-"
    return sorted(path for path in table.parent.glob("*") if _is_shard(path.name, prefix))


def _is_shard(name: str, prefix: str) -> bool:
    return name.startswith(prefix) and name.removeprefix(prefix).isdecimal()


def _failures(shard: Path) -> int:
    """Layers that the shard's builder could not measure."""
    from gpunet.latency.table import LatencyTable

    with LatencyTable(shard) as table:
        return len(set(table.failures()) - {key.text for key in table.layers()})
