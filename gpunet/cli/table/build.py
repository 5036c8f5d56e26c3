"""`gpunet table build`: measure the layers of a search space, as far as a latency table lacks them."""

from __future__ import annotations

import argparse
import contextlib
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpunet.cli.table.subjects import keys_of_models
from gpunet.core import console
from gpunet.core.files import require
from gpunet.core.machine import available_threads
from gpunet.errors import InvalidArgumentError
from gpunet.launch.child import Job
from gpunet.launch.processes import Fleet, gpunet_command

if TYPE_CHECKING:
    from gpunet.latency.layers.keys import LayerKey
    from gpunet.latency.meter import LayerMeter
    from gpunet.latency.table import LatencyTable
    from gpunet.search.spaces.space import SearchSpace

CALIBRATION_SEED = 0
_RECHECKED = "rechecked at"

_SPACE_HELP = "'paper' (Table 1, the default), 'release', or a space's JSON file"
_MODELS_HELP = "in place of a space: the layers of zoo entries or of specs' JSON files"
_FRACTION_HELP = "of the layers, those that networks have most of (default: 1)"
_NETWORKS_HELP = "also measure N random networks whole, to calibrate on (of shards, the first does)"
_NO_RECHECK_HELP = "leave layers as they are that look wrong beside the others (looking needs scikit-learn)"


def add_parser(actions: Any) -> None:
    """Add `build` to the actions of `gpunet table`."""
    add_options(
        actions.add_parser(
            "build",
            help="measure the layers that a table lacks",
            description="Measure the layers of a search space on this machine into a latency table, as far as it lacks "
            "them. Stop it when you like and run it again: it goes on. Several may fill one table. Shards of a "
            "cluster's machines of one kind become one table by 'gpunet table merge'.",
        )
    )


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `gpunet table build`, and what it runs."""
    parser.add_argument("table", metavar="TABLE", type=Path, help="the latency table (SQLite); made if it is not there")
    what = parser.add_argument_group("what to measure")
    what.add_argument("--space", metavar="NAME|FILE", help=_SPACE_HELP)
    what.add_argument("--models", nargs="+", metavar="NAME|FILE", help=_MODELS_HELP)
    what.add_argument("--resolutions", nargs="+", type=int, metavar="PX", help="of the space (default: all)")
    what.add_argument("--classes", type=int, default=1000, metavar="N", help="of the classifier (default: 1000)")
    what.add_argument("--fraction", type=float, metavar="PART", help=_FRACTION_HELP)
    what.add_argument("--shard", metavar="I/N", default="1/1", help="the I-th of N parts, the same on every machine")
    what.add_argument("--networks", type=int, default=0, metavar="N", help=_NETWORKS_HELP)
    what.add_argument("--lone", action="store_true", help="measure each layer by itself too, for the paper's plain sum")
    how = parser.add_argument_group("how")
    how.add_argument("-r", "--runtime", metavar="NAME", help="tensorrt, openvino, onnxruntime, ... (default: the best)")
    how.add_argument("-p", "--precision", choices=("fp32", "fp16", "int8"), default="fp32")
    how.add_argument("-b", "--batch-size", type=int, default=1, metavar="N", help="images a run (default: 1)")
    how.add_argument("-t", "--threads", type=int, metavar="N", help="threads that compute (default: all available)")
    how.add_argument("--cpu-time", action="store_true", help="processor time in place of wall time; for --threads 1")
    how.add_argument("--jobs", type=int, default=1, metavar="N", help="builders at once, for --threads 1 (default: 1)")
    how.add_argument("--no-recheck", dest="recheck", action="store_false", help=_NO_RECHECK_HELP)
    how.add_argument("--max-layers", type=int, metavar="N", help="stop after N layers, before any network")
    how.add_argument("--max-minutes", type=float, metavar="N", help="stop after N minutes, before any network")
    how.add_argument(
        "--until-eof", action="store_true", help=argparse.SUPPRESS
    )  # a job ends with the one that began it
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Measure; exit 1 where layers failed."""
    from gpunet import runtime as runtimes
    from gpunet.latency.build import in_shard, parse_shard
    from gpunet.latency.meter import LayerMeter
    from gpunet.latency.sampling import choose_keys
    from gpunet.latency.table import LatencyTable
    from gpunet.search.spaces.named import load_space

    check(args)
    shard = parse_shard(args.shard)
    space = None if args.models else load_space(args.space or "paper", args.resolutions)
    if space is None:
        keys = in_shard(keys_of_models(args.models, args.classes), shard)
    else:
        plan = space.lookup_plan(num_classes=args.classes)
        keys = in_shard(choose_keys(plan, 1.0 if args.fraction is None else args.fraction), shard)
    meter = LayerMeter(
        runtimes.get(args.runtime) if args.runtime else runtimes.best(),
        precision=args.precision, batch_size=args.batch_size, threads=args.threads,
        clock="cpu" if args.cpu_time else "wall",
    )  # fmt: skip
    limited = args.max_layers is not None or args.max_minutes is not None
    with LatencyTable(args.table, meter.conditions) as table:
        fill(table, meter, keys, args)
        missing = table.missing(keys, lone=args.lone)
        if args.recheck and not missing:
            second_look(table, meter, keys)
        rest = f"{len(missing)} of {len(keys)} missing" if missing else "none missing"
        print(f"{args.table}: {len(table)} layers; {rest}")
        failed = set(table.failures()) & {key.text for key in missing}
        if args.networks and space is not None and shard[0] == 1 and not limited:
            measure_networks(table, meter, space, args)
    if failed:
        console.note(f"{len(failed)} layers failed: gpunet table show {args.table} --failures")
        raise SystemExit(console.FAILED_EXIT_CODE)


def check(args: argparse.Namespace) -> None:
    """Raise InvalidArgumentError for what is out of range or does not go together."""
    for name, least in (("jobs", 1), ("networks", 0), ("classes", 1), ("max_layers", 1), ("max_minutes", 0)):
        value = getattr(args, name)
        if value is not None and not value >= least:
            raise InvalidArgumentError(f"--{name.replace('_', '-')} must be {least} or more, but got {value}.")
    if args.jobs > 1 and (args.threads != 1 or args.jobs > available_threads()):
        raise InvalidArgumentError(
            f"--jobs {args.jobs} needs --threads 1 and {args.jobs} processors; {available_threads()} are available.",
            "Builders that share processors measure each other.",
        )
    if args.models:
        for name in ("space", "resolutions", "networks", "fraction"):
            if getattr(args, name):
                raise InvalidArgumentError(f"--{name} is of a space, but --models was given.", "Leave one out.")
    if args.recheck:
        require("sklearn", "search", purpose="to find layers that look wrong (--no-recheck does without)")


def fill(table: LatencyTable, meter: LayerMeter, keys: Sequence[LayerKey], args: argparse.Namespace) -> None:
    """Measure the layers that the table lacks, by as many builders as asked for."""
    from gpunet.core.signals import heed_interrupts
    from gpunet.core.text import duration
    from gpunet.latency.build import build, build_progress

    before, started_s = len(keys) - len(table.missing(keys, lone=args.lone)), time.monotonic()
    own = None if args.max_layers is None else args.max_layers - (args.jobs - 1) * (args.max_layers // args.jobs)
    limit_s = None if args.max_minutes is None else 60 * args.max_minutes
    if args.until_eof:
        heed_interrupts()
        threading.Thread(target=_stop_at_eof, daemon=True).start()
    with (
        build_progress(f"{len(keys)} layers on {meter.conditions.fingerprint.runtime}") as on_progress,
        other_builders(args),
    ):
        build(table, keys, meter, lone=args.lone, max_layers=own, max_time_s=limit_s, on_progress=on_progress)
    measured = len(keys) - len(table.missing(keys, lone=args.lone)) - before
    elapsed_s = time.monotonic() - started_s
    if measured:
        print(f"{measured} measured in {duration(elapsed_s)}, {measured / elapsed_s:.1f} a second", flush=True)


def other_builders(args: argparse.Namespace) -> contextlib.AbstractContextManager[None]:
    """The further jobs: processes that fill the same table beside this one, and end when it does, however it ends."""
    if args.jobs == 1:
        return contextlib.nullcontext()
    command = gpunet_command("table", "build", *_job_options(args))
    codes = (0, console.FAILED_EXIT_CODE)
    return Fleet([Job(f"builder {number}", command, done_codes=codes) for number in range(2, args.jobs + 1)]).beside()


def _job_options(args: argparse.Namespace) -> list[str]:
    """The command line of a further job."""
    options = [str(args.table), "--until-eof", "--no-recheck", "--classes", str(args.classes), "--shard", args.shard]
    for name in ("space", "fraction", "runtime", "precision", "threads", "batch_size", "max_minutes"):
        value = getattr(args, name)
        if value is not None:
            options += [f"--{name.replace('_', '-')}", str(value)]
    if args.max_layers is not None:
        options += ["--max-layers", str(max(1, args.max_layers // args.jobs))]
    for name in ("models", "resolutions"):
        if getattr(args, name):
            options += [f"--{name}", *map(str, getattr(args, name))]
    return [*options, *(["--lone"] if args.lone else []), *(["--cpu-time"] if args.cpu_time else [])]


def _stop_at_eof() -> None:
    """Interrupt the main thread when the process at the other end of standard input has ended."""
    import _thread

    sys.stdin.read()
    _thread.interrupt_main()


def second_look(table: LatencyTable, meter: LayerMeter, keys: Sequence[LayerKey]) -> None:
    """Measure again what looks wrong, once for every state of the table."""
    from gpunet.latency.build import build_progress
    from gpunet.latency.recheck import recheck

    if table.noted(_RECHECKED) == str(len(table)):
        return
    with build_progress("measuring again what looks wrong") as on_progress:
        print(f"{recheck(table, meter, keys, on_progress=on_progress)} that looked wrong measured again")
    table.note(_RECHECKED, str(len(table)))


def measure_networks(table: LatencyTable, meter: LayerMeter, space: SearchSpace, args: argparse.Namespace) -> None:
    """Measure random networks of the space whole, as far as the table has not so many yet."""
    import numpy as np

    vectors = space.lattice().draw(args.networks, np.random.default_rng(CALIBRATION_SEED))
    wanted = [space.keys(vector, num_classes=args.classes) for vector in vectors]
    known = {tuple(keys) for keys, _ in table.networks()}
    pending = [keys for keys in wanted if tuple(keys) not in known]
    for number, keys in enumerate(pending, start=1):
        console.note(f"network {number} of {len(pending)}, whole")
        table.add_network(keys, meter.networks([keys])[0])
    print(f"{args.table}: {len(table.networks())} networks measured whole")
