"""Measure the layers of a search space on this machine into a latency table, as far as the table lacks them.

    python tools/build_latency_table.py table.sqlite --resolutions 224 256 --threads 1
    python tools/build_latency_table.py table.sqlite --fraction 0.1 --networks 12   # a tenth, the rest is learned
    python tools/build_latency_table.py shard-2.sqlite --shard 2/8                  # one job of an array of eight
    python tools/build_latency_table.py table.sqlite --models gpunet_0 network.json # the layers of these alone

Stop it when you like and run it again: it goes on. Several may fill one table. Shards of a cluster's machines of one
kind become one table by `gpunet table merge`.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gpunet import runtime as runtimes
from gpunet.cli import console
from gpunet.cli.building import duration, show_progress
from gpunet.errors import InvalidArgumentError
from gpunet.latency.build import build, in_shard, parse_shard
from gpunet.latency.layers import LayerKey, keys_from_spec
from gpunet.latency.meter import LayerMeter
from gpunet.latency.recheck import recheck
from gpunet.latency.sampling import choose_keys
from gpunet.latency.table import LatencyTable
from gpunet.machine import available_threads

if TYPE_CHECKING:
    from gpunet.search.space import SearchSpace

CALIBRATION_SEED = 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    top.add_argument("table", metavar="TABLE", type=Path, help="the latency table (SQLite); made if it is not there")
    what = top.add_argument_group("what to measure")
    what.add_argument("--space", metavar="NAME|FILE", default="paper", help="'paper' (Table 1), 'release', or a space's JSON file")  # fmt: skip # noqa: E501
    what.add_argument("--models", nargs="+", metavar="NAME|FILE", help="in place of a space: the layers of zoo entries or of specs' JSON files")  # fmt: skip # noqa: E501
    what.add_argument("--resolutions", nargs="+", type=int, metavar="PX", help="of the space (default: all)")
    what.add_argument("--classes", type=int, default=1000, metavar="N", help="of the classifier (default: 1000)")
    what.add_argument("--fraction", type=float, default=1.0, metavar="PART", help="of the layers, those that networks have most of (default: 1)")  # fmt: skip # noqa: E501
    what.add_argument("--shard", metavar="I/N", default="1/1", help="the I-th of N parts, the same on every machine")
    what.add_argument("--networks", type=int, default=0, metavar="N", help="also measure N random networks whole, to calibrate on")  # fmt: skip # noqa: E501
    what.add_argument("--lone", action="store_true", help="measure each layer by itself too, for the paper's plain sum")
    how = top.add_argument_group("how")
    how.add_argument("-r", "--runtime", metavar="NAME", help="tensorrt, openvino, onnxruntime, ... (default: the best)")
    how.add_argument("-p", "--precision", choices=("fp32", "fp16", "int8"), default="fp32")
    how.add_argument("-b", "--batch-size", type=int, default=1, metavar="N", help="images a run (default: 1)")
    how.add_argument("-t", "--threads", type=int, metavar="N", help="threads that compute (default: all available)")
    how.add_argument("--cpu-time", action="store_true", help="processor time in place of wall time; for --threads 1")
    how.add_argument("--jobs", type=int, default=1, metavar="N", help="builders at once, for --threads 1 (default: 1)")
    how.add_argument("--no-recheck", dest="recheck", action="store_false", help="leave layers as they are that look wrong beside the others (looking needs scikit-learn)")  # fmt: skip # noqa: E501
    how.add_argument("--max-layers", type=int, metavar="N", help="stop after N layers")
    how.add_argument("--max-minutes", type=float, metavar="N", help="stop after N minutes")
    return top


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the tool with these arguments (default: the process's)."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    args = parser().parse_args(given)
    check(args)
    shard = parse_shard(args.shard)
    space = None if args.models else load_space(args.space, args.resolutions)
    wanted = keys_of_models(args) if space is None else keys_of_space(space, args)
    keys = in_shard(wanted, shard)
    runtime = runtimes.get(args.runtime) if args.runtime else runtimes.best()
    meter = LayerMeter(
        runtime, precision=args.precision, batch_size=args.batch_size, threads=args.threads,
        clock="cpu" if args.cpu_time else "wall",
    )  # fmt: skip
    with LatencyTable(args.table, meter.conditions) as table:
        fill(table, meter, keys, args, given)
        missing = len(table.missing(keys))
        print(
            f"{args.table}: {len(table)} layers; {f'{missing} of {len(keys)} missing' if missing else 'none missing'}"
        )
        if table.failures():
            print(f"{len(table.failures())} layers failed: gpunet table show {args.table} --failures")
        if args.networks and space is not None:
            measure_networks(table, meter, space, args)


def fill(
    table: LatencyTable, meter: LayerMeter, keys: Sequence[LayerKey], args: argparse.Namespace, given: Sequence[str]
) -> None:
    """Measure the layers that the table lacks, then those again that look wrong."""
    limit_s = None if args.max_minutes is None else 60 * args.max_minutes
    with (
        show_progress(f"{len(keys)} layers on {meter.conditions.fingerprint.runtime}") as on_progress,
        other_builders(args.jobs - 1, given),
    ):
        state = build(
            table, keys, meter, lone=args.lone, max_layers=args.max_layers, max_time_s=limit_s, on_progress=on_progress
        )
    if state.measured:
        print(f"{state.measured} measured in {duration(state.elapsed_s)}, {state.layers_per_s:.1f} a second")
    if args.recheck and state.measured and not (args.max_layers or args.max_minutes):
        with show_progress("measuring again what looks wrong") as on_progress:
            print(f"{recheck(table, meter, keys, on_progress=on_progress)} that looked wrong measured again")


@contextlib.contextmanager
def other_builders(count: int, given: Sequence[str]) -> Iterator[None]:
    """`count` further processes that fill the same table; waited for, or stopped where the block raises."""
    command = [sys.executable, __file__, *given, "--jobs", "1", "--networks", "0", "--no-recheck"]
    others = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(count)]
    try:
        yield
    except BaseException:
        for other in others:
            other.terminate()
        raise
    finally:
        for other in others:
            other.wait()


def keys_of_space(space: SearchSpace, args: argparse.Namespace) -> list[LayerKey]:
    """The layers of a space, or a part of them."""
    return choose_keys(space.lookup_plan(num_classes=args.classes), args.fraction)


def check(args: argparse.Namespace) -> None:
    """Raise InvalidArgumentError for what does not go together."""
    if args.jobs < 1 or args.networks < 0:
        raise InvalidArgumentError(
            f"--jobs must be 1 or more and --networks 0 or more, but got {args.jobs} and {args.networks}."
        )
    if args.jobs > 1 and (args.threads != 1 or args.jobs > available_threads()):
        raise InvalidArgumentError(
            f"--jobs {args.jobs} needs --threads 1 and {args.jobs} processors; {available_threads()} are available.",
            "Builders that share processors measure each other.",
        )
    if args.models and (args.resolutions or args.networks):
        raise InvalidArgumentError("--resolutions and --networks are of a space, but --models was given.")


def load_space(name: str, resolutions_px: Sequence[int] | None) -> SearchSpace:
    """The space of that name or file, at some of its resolutions.

    Raises:
        InvalidArgumentError: there is none, or it lacks a resolution.
    """
    from gpunet.search.paper import PAPER_SPACE, RELEASE_SPACE
    from gpunet.search.space import space_from_dict

    space: SearchSpace
    if name in ("paper", "release"):
        space = PAPER_SPACE if name == "paper" else RELEASE_SPACE
    else:
        try:
            space = space_from_dict(json.loads(Path(name).expanduser().read_text(encoding="utf-8")))
        except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise InvalidArgumentError(
                f"--space {name}: {error}", "Give 'paper', 'release', or the JSON file of a space's to_dict()."
            ) from None
    if not resolutions_px:
        return space
    known = getattr(space, "resolutions_px", ())
    odd = [px for px in resolutions_px if px not in known]
    if odd:
        raise InvalidArgumentError(f"--resolutions: {odd[0]} is not one of {', '.join(map(str, known))}.")
    return dataclasses.replace(space, resolutions_px=tuple(sorted(set(resolutions_px))))  # type: ignore[type-var]


def keys_of_models(args: argparse.Namespace) -> list[LayerKey]:
    """The layers of the models named."""
    from gpunet.spec import NetworkSpec
    from gpunet.zoo.catalog import entry_named

    keys: dict[LayerKey, None] = {}
    for name in args.models:
        spec = NetworkSpec.parse(Path(name)) if name.endswith(".json") else entry_named(name, None).spec
        if spec is None:
            raise InvalidArgumentError(f"{name} has no spec: only networks of the GPUNet family have layer keys.")
        keys.update(dict.fromkeys(keys_from_spec(spec, num_classes=args.classes)))
    return list(keys)


def measure_networks(table: LatencyTable, meter: LayerMeter, space: SearchSpace, args: argparse.Namespace) -> None:
    """Measure random networks of the space whole, as far as the table has not so many yet."""
    vectors = space.lattice().draw(args.networks, np.random.default_rng(CALIBRATION_SEED))
    wanted = [space.keys(vector, num_classes=args.classes) for vector in vectors]
    known = {tuple(keys) for keys, _ in table.networks()}
    pending = [keys for keys in wanted if tuple(keys) not in known]
    for number, keys in enumerate(pending, start=1):
        console.note(f"network {number} of {len(pending)}, whole")
        table.add_network(keys, meter.networks([keys])[0])
    print(f"{args.table}: {len(table.networks())} networks measured whole")


if __name__ == "__main__":
    console.run(main)
