"""`gpunet table build`: measure the layers of a search space, as far as a latency table lacks them."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from gpunet.cli import options
from gpunet.cli.command import command
from gpunet.cli.launching import UntilEof
from gpunet.cli.options import opt
from gpunet.cli.table import options as table_options
from gpunet.cli.table.options import Builder
from gpunet.core import console
from gpunet.core.files import require
from gpunet.core.machine import available_threads
from gpunet.errors import FAILED_EXIT_CODE, TableError, UsageError

if TYPE_CHECKING:
    from gpunet.latency.layers.keys import LayerKey
    from gpunet.latency.meter import LayerMeter
    from gpunet.latency.table import LatencyTable
    from gpunet.search.spaces.space import SearchSpace

CALIBRATION_SEED = 0
_RECHECKED = "rechecked at"


@command(
    "build",
    examples=[
        "gpunet table build here.sqlite",
        "gpunet table build here.sqlite --layers-fraction 0.3 --networks 12",
        "gpunet table build here.sqlite -t 1 --processes 8",
        "gpunet table build gv100.sqlite --from-records",
    ],
    renamed={"--jobs": "--processes", "--fraction": "--layers-fraction"},
    said_as={"clock 'cpu'": "--cpu-time", "clock='wall'": "leave --cpu-time out"},
)
def build(
    table: table_options.NewTable,
    space: table_options.Space = None,
    models: table_options.Models = None,
    resolutions: table_options.Resolutions = None,
    classes: table_options.Classes = 1000,
    layers_fraction: table_options.LayersFraction = None,
    shard: Annotated[
        str,
        opt(
            "--shard",
            metavar="I/N",
            panel=table_options.WHAT,
            help="the I-th of N parts, the same on every machine (default: 1/1)",
        ),
    ] = "1/1",
    networks: table_options.Networks = 0,
    lone: table_options.Lone = False,
    runtime: options.Runtime = None,
    precision: Annotated[options.PrecisionName, opt("--precision", "-p", help="default: fp32")] = "fp32",
    batch_size: options.BatchSize = 1,
    threads: options.Threads = None,
    cpu_time: table_options.CpuTime = False,
    effort: table_options.Effort = 1.0,
    processes: Annotated[
        int, opt("--processes", metavar="N", min=1, help="builders at once, for --threads 1 (default: 1)")
    ] = 1,
    from_records: Annotated[
        bool,
        opt("--from-records", panel=table_options.WHAT,
            help="measure nothing: the layers of a V100 by public records, in fp16, marked as estimated"),
    ] = False,
    no_recheck: table_options.NoRecheck = False,
    max_layers: table_options.MaxLayers = None,
    max_minutes: table_options.MaxMinutes = None,
    until_eof: UntilEof = False,
    as_json: options.Json = False,
) -> None:  # fmt: skip
    """Measure the layers that a table lacks.

    Those of a search space, on this machine. Stop it when you like and run it again: it goes on. Several may fill one
    table. Shards of a cluster's machines of one kind become one table by 'gpunet table merge'. Where layers failed,
    the exit code is 6.
    """
    from gpunet.latency.build import parse_shard
    from gpunet.latency.table import LatencyTable
    from gpunet.latency.worth import worth_of

    builder = Builder(
        space=space, models=tuple(models or ()), resolutions=tuple(resolutions or ()), classes=classes,
        layers_fraction=layers_fraction, networks=networks, lone=lone, runtime=runtime, precision=precision,
        batch_size=batch_size, threads=threads, cpu_time=cpu_time, effort=effort, max_layers=max_layers,
        max_minutes=max_minutes,
    )  # fmt: skip
    if from_records:
        if until_eof:
            from gpunet.launch.processes import asked_by_end_of_input

            asked_by_end_of_input()  # it leaves soon after, whatever it is at
        _estimate_layers(table, builder, shard, as_json)
        return
    if processes > 1 and (threads != 1 or processes > available_threads()):
        raise UsageError(
            f"--processes {processes} needs --threads 1 and {processes} processors; {available_threads()} are "
            "available.",
            "Builders that share processors measure each other.",
        )
    check_recheck(no_recheck)
    part = parse_shard(shard)
    keys, of_space = builder.keys(part)
    say = console.note if as_json else partial(print, flush=True)
    meter = builder.meter()
    with console.resumable(told=not until_eof), LatencyTable(table, meter.conditions) as opened:
        beside = _other_builders(table, builder, shard, processes, say)
        own = builder if processes == 1 else dataclasses.replace(builder, max_layers=_own_layers(max_layers, processes))
        whole = [] if of_space is None or part[0] != 1 else _networks(of_space, networks, classes)
        counts = None if of_space is None else of_space.lookup_plan(num_classes=classes).expected_counts()
        measured = _fill(opened, meter, keys, whole, counts, own, beside, say, until_eof=until_eof)
        missing = opened.missing(keys, lone=lone)
        if not no_recheck and not missing:
            _second_look(opened, meter, keys, say)
        rest = f"{len(missing)} of {len(keys)} missing" if missing else "none missing"
        say(f"{table}: {len(opened)} layers; {rest}")
        failed = set(opened.failures()) & {key.text for key in missing}
        if whole:
            say(f"{table}: {len(opened.networks())} networks measured whole; {worth_of(opened)}")
        told = {"table": str(table), "layers": len(opened), "asked_for": len(keys), "measured": measured,
                "missing": len(missing), "failed": len(failed), "networks": len(opened.networks())}  # fmt: skip
    end(told, f"{len(failed)} layers failed" if failed else "", f"gpunet table show {table} --failures", as_json)


def _estimate_layers(table: Path, builder: Builder, shard: str, as_json: bool) -> None:
    """Fill a table by the public layer records of the V100."""
    from gpunet.core.progress import ProgressBar
    from gpunet.latency.build import parse_shard
    from gpunet.latency.gpu.table_from_records import PROCESSOR, fill, margin_factor

    asked = [name for name in ("networks", "lone", "runtime", "threads", "cpu_time", "max_layers", "max_minutes")
             if getattr(builder, name)]  # fmt: skip
    if asked:
        raise UsageError(
            f"--{asked[0].replace('_', '-')} is of measuring, and --from-records measures nothing.", "Leave one out."
        )
    keys, _ = builder.keys(parse_shard(shard))
    with ProgressBar(f"{len(keys)} layers by records") as bar:
        made = fill(table, keys, batch_size=builder.batch_size,
                    on_progress=lambda done, total: bar.update(done, total=total))  # fmt: skip
    factor = margin_factor()
    if as_json:
        told = {"table": str(table), "processor": PROCESSOR, "estimated": made, "asked_for": len(keys),
                "margin_factor": factor, "confidence": 0.8}  # fmt: skip
        console.print_json(told)
        return
    print(f"{table}: {made} layers of {len(keys)} estimated ({PROCESSOR}, fp16), none measured")
    print(f"a network's estimate holds within a factor of {factor:.3g} either way, 4 times in 5")


def end(told: dict[str, object], failure: str, hint: str, as_json: bool) -> None:
    """Print the answer as JSON, where that is wanted; exit 6 after a failure.

    Args:
        told: the answer.
        failure: what failed; '' where nothing did.
        hint: what says more of it.
        as_json: whether JSON is wanted; else the failure is a note.
    """
    error = TableError(f"{failure}.", f"{hint} says why.", exit_code=FAILED_EXIT_CODE)
    if as_json:
        console.print_json({**error.to_dict(), **told} if failure else told)
    elif failure:
        console.note(f"{failure}: {hint} says why")
    if failure:
        raise SystemExit(FAILED_EXIT_CODE)


def check_recheck(no_recheck: bool) -> None:
    """Raise MissingDependencyError where a second look is wanted and what it needs is not installed."""
    if not no_recheck:
        require("sklearn", "search", purpose="to find layers that look wrong (--no-recheck does without)")


def _fill(
    table: LatencyTable, meter: LayerMeter, keys: Sequence[LayerKey], whole: Sequence[Sequence[LayerKey]],
    counts: Mapping[LayerKey, float] | None, builder: Builder, others: contextlib.AbstractContextManager[None],
    say: Callable[[str], None], *, until_eof: bool,
) -> int:  # fmt: skip
    """Measure the layers and networks that the table lacks, while other builders do layers; how many have been."""
    from gpunet.core.signals import heed_interrupts
    from gpunet.core.text import duration
    from gpunet.latency.build import build as build_table
    from gpunet.latency.build import build_progress

    before, started_s = len(keys) - len(table.missing(keys, lone=builder.lone)), time.monotonic()
    if until_eof:
        heed_interrupts()
        threading.Thread(target=_stop_at_eof, daemon=True).start()
    with build_progress(f"{len(keys)} layers on {meter.conditions.fingerprint.runtime}") as on_progress, others:
        build_table(
            table, keys, meter, lone=builder.lone, networks=whole, counts=counts,
            max_layers=builder.max_layers, on_progress=on_progress,
            max_time_s=None if builder.max_minutes is None else 60 * builder.max_minutes,
        )  # fmt: skip
    measured = len(keys) - len(table.missing(keys, lone=builder.lone)) - before
    elapsed_s = time.monotonic() - started_s
    if measured:
        say(f"{measured} measured in {duration(elapsed_s)}, {measured / elapsed_s:.1f} a second")
    return measured


def _other_builders(
    table: Path, builder: Builder, shard: str, processes: int, say: Callable[[str], None]
) -> contextlib.AbstractContextManager[None]:
    """The further builders: processes that fill the same table beside this one, and end when it does."""
    from gpunet.launch.child import Job
    from gpunet.launch.processes import Fleet, gpunet_command

    if processes == 1:
        return contextlib.nullcontext()
    most = builder.max_layers
    each = dataclasses.replace(builder, networks=0, max_layers=most if most is None else max(1, most // processes))
    line = gpunet_command(
        "table", "build", str(table), "--until-eof", "--no-recheck", "--shard", shard, *each.options()
    )  # fmt: skip
    codes = (0, FAILED_EXIT_CODE)
    jobs = [Job(f"builder {number}", line, done_codes=codes) for number in range(2, processes + 1)]
    return Fleet(jobs, say=say).beside()


def _own_layers(max_layers: int | None, processes: int) -> int | None:
    """Of so many layers, what the other builders leave to this one."""
    return None if max_layers is None else max_layers - (processes - 1) * (max_layers // processes)


def _stop_at_eof() -> None:
    """Interrupt the main thread when the process at the other end of standard input has ended."""
    import _thread

    sys.stdin.read()
    _thread.interrupt_main()


def _second_look(table: LatencyTable, meter: LayerMeter, keys: Sequence[LayerKey], say: Callable[[str], None]) -> None:
    """Measure again what looks wrong, once for every state of the table."""
    from gpunet.latency.build import build_progress
    from gpunet.latency.recheck import recheck

    if table.noted(_RECHECKED) == str(len(table)):
        return
    with build_progress("measuring again what looks wrong") as on_progress:
        say(f"{recheck(table, meter, keys, on_progress=on_progress)} that looked wrong measured again")
    table.note(_RECHECKED, str(len(table)))


def _networks(space: SearchSpace, count: int, classes: int) -> list[list[LayerKey]]:
    """Random networks of the space, the same at each call."""
    import numpy as np

    vectors = space.lattice().draw(count, np.random.default_rng(CALIBRATION_SEED))
    return [space.keys(vector, num_classes=classes) for vector in vectors]
