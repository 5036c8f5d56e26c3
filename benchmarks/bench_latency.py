"""What a latency table is worth on this machine, by the commands that users have: errors, and the builder's rate.

    python benchmarks/bench_latency.py                          # everything: hours
    python benchmarks/bench_latency.py --parts builds --spaces demo
    python benchmarks/bench_latency.py --parts builds --spaces paper --runtimes onnxruntime --loads none

builds      five tables in a row, each made anew: of the demo preset's space by `gpunet populate --until table`, of the
            paper's space (224 to 288 px, a part of its layers) by `gpunet table build`; then fresh random networks,
            measured whole by `gpunet table report`, against each. Once on the machine as it is, once with a load of
            half a core, coming and going, that starts half way through the build and ends with it.
errors      the paper's plain sum of lone layers beside layers in context, of tables that hold every layer; Fig. 4

Tables are kept in --out and made anew by the next run.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gpunet.core import console
from gpunet.core.files import write_text
from gpunet.errors import GpunetError, InvalidArgumentError
from gpunet.latency.sampling import choose_keys
from gpunet.latency.table import LatencyTable
from gpunet.populate.presets import PRESETS
from gpunet.search.spaces.paper import PAPER_SPACE
from gpunet.search.spaces.space import SearchSpace

RESOLUTIONS_PX = (224, 256, 288)
PARTS = ("builds", "errors")
SPACES = ("demo", "paper")
LOADS = ("none", "half")
LIMITS = {"demo": (4.0, 0.93), "paper": (3.0, 0.97)}  # MAPE in percent, Kendall's tau
MOST_BIAS_PERCENT = 1.5
LOADED = 2.0  # times the limits under a load
LEAST_RATE = 4.0
JUDGED_SEED = 1001
LOAD = "--load-half-a-core"
LOAD_S = 1.0  # at work, then as long at rest: half a core


@dataclass(frozen=True)
class Build:
    """One table, judged.

    Args:
        space, runtime, load: of what, on what, beside what.
        number: from 1.
        layers_per_s: of its builder.
        mape_percent, bias_percent, kendall_tau: of its estimates of fresh networks.
        way: of estimating, as `gpunet table report` names it: the one that estimates use.
        disturbed: whether the table says that it was.
        own_error_percent: that it says of itself.
    """

    space: str
    runtime: str
    load: str
    number: int
    layers_per_s: float
    mape_percent: float
    bias_percent: float
    kendall_tau: float
    way: str
    disturbed: bool
    own_error_percent: float | None

    def faults(self) -> list[str]:
        """What is not within the limits."""
        times = 1.0 if self.load == "none" else LOADED
        mape, tau = LIMITS[self.space]
        least_tau = 1.0 - times * (1.0 - tau)
        found = []
        if not self.mape_percent <= times * mape:
            found.append(f"MAPE {self.mape_percent:.2f} %, not at most {times * mape:g}")
        if not self.kendall_tau >= least_tau:
            found.append(f"Kendall tau {self.kendall_tau:.3f}, not at least {least_tau:g}")
        if not abs(self.bias_percent) <= times * MOST_BIAS_PERCENT:
            found.append(f"bias {self.bias_percent:+.2f} %, not within {times * MOST_BIAS_PERCENT:g}")
        if self.load != "none" and not self.disturbed:
            found.append("the table does not say that it was disturbed")
        return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark with these arguments (default: the process's)."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--out", type=Path, default=Path("latency-bench"), metavar="DIR",
        help="for tables, results.json and pictures (default: latency-bench)",
    )  # fmt: skip
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--spaces", nargs="+", choices=SPACES, default=list(SPACES), help="of the builds")
    parser.add_argument("--loads", nargs="+", choices=LOADS, default=list(LOADS), help="beside the builds")
    parser.add_argument("--runtimes", nargs="+", default=["onnxruntime", "openvino"], metavar="NAME")
    parser.add_argument("--builds", type=int, default=5, help="in a row (default: 5)")
    parser.add_argument("--networks", type=int, default=20, help="fresh random networks to judge by (default: 20)")
    parser.add_argument("--calibrate", type=int, default=12, help="networks that each table holds (default: 12)")
    parser.add_argument(
        "--fraction", type=float, default=0.05, help="of the paper space's layers (default: 0.05, which is 2,014)"
    )
    parser.add_argument("--check", action="store_true", help="exit 1 where a figure misses what it must hold")
    args = parser.parse_args(arguments)
    for option, least in (("builds", 1), ("networks", 2), ("calibrate", 0)):
        if getattr(args, option) < least:
            raise InvalidArgumentError(f"--{option} must be {least} or more, but got {getattr(args, option)}.")
    try:
        args.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidArgumentError(f"--out {args.out}: {error.strerror}.", "Name a folder.") from None

    results: dict[str, Any] = {}
    missed: list[str] = []
    if "builds" in args.parts:
        results["builds"] = [asdict(each) for each in builds(args, missed)]
    if "errors" in args.parts:
        results["errors"] = {name: errors(name, args) for name in args.runtimes}
    path = args.out / "results.json"
    before = json.loads(path.read_text()) if path.is_file() else {}
    write_text(path, json.dumps({**before, **results}, indent=2) + "\n")
    for each in missed:
        print(f"MISSED: {each}")
    if args.check and missed:
        raise SystemExit(1)


# ---------------------------------------------------------------------- builds


def builds(args: argparse.Namespace, missed: list[str]) -> list[Build]:
    """Tables made one after the other, each judged; printed as they come."""
    found = []
    print(console.table(_COLUMNS, []))
    for space in args.spaces:
        for runtime in args.runtimes:
            for load in args.loads:
                for number in range(1, args.builds + 1):
                    each = one_build(space, runtime, load, number, args)
                    faults = each.faults()
                    print(_row(each, faults), flush=True)
                    missed += [f"{space}, {runtime}, load {load}, build {number}: {fault}" for fault in faults]
                    if each.layers_per_s < LEAST_RATE:
                        missed.append(f"{runtime}: {each.layers_per_s:.1f} layers a second, not at least {LEAST_RATE}")
                    found.append(each)
    return found


_COLUMNS = ["space", "runtime", "load", "build", "layers/s", "MAPE %", "bias %", "tau", "own error %", "disturbed",
            "within the limits"]  # fmt: skip


def _row(each: Build, faults: list[str]) -> str:
    own = "-" if each.own_error_percent is None else f"{each.own_error_percent:.1f}"
    cells = (
        each.space, each.runtime, each.load, each.number, f"{each.layers_per_s:.1f}", f"{each.mape_percent:.2f}",
        f"{each.bias_percent:+.2f}", f"{each.kendall_tau:.3f}", own, "yes" if each.disturbed else "no",
        "; ".join(faults) or "yes",
    )  # fmt: skip
    return "  ".join(str(cell).ljust(len(name)) for cell, name in zip(cells, _COLUMNS, strict=True))


def one_build(space: str, runtime: str, load: str, number: int, args: argparse.Namespace) -> Build:
    """Make a table by the command that users have, and judge it by the other."""
    folder = args.out / f"{space}-{runtime}-{load}-{number}"
    for old in sorted(folder.rglob("*"), reverse=True):
        old.unlink() if old.is_file() else old.rmdir()
    folder.mkdir(exist_ok=True)
    if space == "demo":
        plan = PRESETS["demo"]()
        plan = dataclasses.replace(
            plan, device=dataclasses.replace(plan.device, runtime=runtime),
            table=dataclasses.replace(plan.table, networks=args.calibrate),
        )  # fmt: skip
        searched, classes, table = plan.space, 10, folder / "state" / "table.sqlite"
        (folder / "plan.json").write_text(json.dumps(plan.to_dict()))
        command = ["populate", str(folder / "plan.json"), "-o", str(folder / "state"), "--until", "table"]
        layers = len(choose_keys(searched.lookup_plan(num_classes=classes), plan.table.fraction))
    else:
        searched, classes, table = _paper(), 1000, folder / "table.sqlite"
        command = ["table", "build", str(table), "--resolutions", *map(str, RESOLUTIONS_PX), "--runtime", runtime]
        command += ["--threads", "1", "--layers-fraction", str(args.fraction), "--networks", str(args.calibrate)]
        layers = len(choose_keys(searched.lookup_plan(), args.fraction))
    said = _built(command, table, layers if load != "none" else None)
    rate = float(re.findall(r"([0-9.]+) a second", said)[-1])
    (folder / "space.json").write_text(json.dumps(searched.to_dict()))
    judged = _gpunet(
        "table", "report", str(table), "--space", str(folder / "space.json"), "--classes", str(classes),
        "--networks", str(args.networks), "--seed", str(JUDGED_SEED), "--plot", str(folder / "report.png"), "--json",
    )  # fmt: skip
    shown = json.loads(_gpunet("table", "show", str(table), "--json"))
    way = json.loads(judged)["ways"][-1]  # in context; calibrated where that helps
    return Build(
        space, runtime, load, number, rate, way["mape_percent"], way["bias_percent"], way["kendall_tau"], way["name"],
        shown["disturbed"], shown["error_percent"],
    )  # fmt: skip


def _paper() -> SearchSpace:
    return dataclasses.replace(PAPER_SPACE, resolutions_px=RESOLUTIONS_PX)


def _built(command: Sequence[str], table: Path, layers: int | None) -> str:
    """Run a command that makes a table; with `layers`, beside a load that starts when it holds half of so many."""
    if layers is None:
        return _gpunet(*command)
    with subprocess.Popen([*_GPUNET, *command], stdout=subprocess.PIPE, text=True) as process, _load() as load:
        while process.poll() is None and 2 * _held(table) < layers:
            time.sleep(0.2)
        load.stdin.write("go\n")
        load.stdin.flush()
        said = process.communicate()[0]
    if process.returncode:
        raise GpunetError(f"gpunet {' '.join(command)} ended with exit code {process.returncode}.")
    return said


@contextlib.contextmanager
def _load() -> Iterator[Any]:
    """A process that loads half a core from when it is told to."""
    command = [sys.executable, __file__, LOAD]
    with subprocess.Popen(command, stdin=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def load() -> None:
    """Work and rest in turn, for ever, from when a line is read."""
    sys.stdin.readline()
    matrix = np.random.default_rng(0).random((300, 300), np.float32)
    while True:
        until_s = time.monotonic() + LOAD_S
        while time.monotonic() < until_s:
            matrix = np.tanh(matrix @ matrix)
        time.sleep(LOAD_S)


def _held(table: Path) -> int:
    """Layers in a table that may not be there yet."""
    try:
        with LatencyTable(table) as opened:
            return len(opened)
    except GpunetError:
        return 0


_GPUNET = (sys.executable, "-m", "gpunet")


def _gpunet(*arguments: str) -> str:
    """What a command prints."""
    return subprocess.run([*_GPUNET, *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout


# ---------------------------------------------------------------------- errors


def errors(runtime: str, args: argparse.Namespace) -> list[dict[str, Any]]:
    """Lone layers and layers in context, by a table that holds every layer of the networks that are judged."""
    folder = args.out / f"errors-{runtime}"
    folder.mkdir(exist_ok=True)
    space, table, files = _paper(), folder / "table.sqlite", []
    for number, vector in enumerate(space.lattice().draw(args.networks, np.random.default_rng(JUDGED_SEED))):
        files.append(folder / f"random-{number}.json")  # those that `gpunet table report` draws
        files[-1].write_text(json.dumps(space.decode(vector).to_dict()))
    (folder / "space.json").write_text(json.dumps(space.to_dict()))
    options = ["--lone", "--runtime", runtime, "--threads", "1"]
    _gpunet("table", "build", str(table), "--models", *map(str, files), *options)
    said = _gpunet(
        "table", "report", str(table), "--space", str(folder / "space.json"), "--networks", str(args.networks),
        "--seed", str(JUDGED_SEED), "--plot", str(args.out / f"{runtime}-fig4.png"), "--json",
    )  # fmt: skip
    ways = json.loads(said)["ways"]
    for way in ways:
        print(f"{runtime}, {way['name']}: MAPE {way['mape_percent']:.2f} %, bias {way['bias_percent']:+.2f} %, "
              f"tau {way['kendall_tau']:.3f}")  # fmt: skip
    return ways


if __name__ == "__main__":
    if sys.argv[1:] == [LOAD]:
        load()
    else:
        console.run(main)
