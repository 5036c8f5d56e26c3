"""What a latency table is worth on this machine: errors of its estimates, rate of its builder, speed of tiering.

    python benchmarks/bench_latency.py                          # everything, a quarter of an hour a runtime
    python benchmarks/bench_latency.py --parts errors --runtimes openvino --networks 20
    python benchmarks/bench_latency.py --parts sampling

errors      fresh random networks of the paper's space (224 to 288 px) and the released ones that it can express, whole,
            against their layers: the paper's plain sum of lone layers, layers in context, and these calibrated on other
            networks measured whole. All in one table, whose layers and networks are measured in turn.
completion  the same networks, estimated from a table that holds a tenth of the space's layers at these resolutions
rate        layers a second of the builder that fills that table
sampling    Sobol points, decoded, estimated and tiered, against torch's SobolEngine alone drawing the same points

Tables are kept in --out: a run that was stopped goes on, and a second run only prints.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gpunet import runtime as runtimes
from gpunet.core import console
from gpunet.core.files import write_text
from gpunet.errors import InvalidArgumentError
from gpunet.latency.build import build, build_progress
from gpunet.latency.estimate import LayerCosts
from gpunet.latency.layers.convolutional import keys_from_spec
from gpunet.latency.layers.keys import LayerKey
from gpunet.latency.meter import LayerMeter
from gpunet.latency.recheck import recheck
from gpunet.latency.report import CALIBRATED, COMPLETED, WAYS, error_report, error_table
from gpunet.latency.sampling import choose_keys
from gpunet.latency.table import LatencyTable
from gpunet.search.spaces.paper import PAPER_SPACE, RELEASE_SPACE
from gpunet.zoo.catalog import catalog

RESOLUTIONS_PX = (224, 256, 288)
SPACE = dataclasses.replace(PAPER_SPACE, resolutions_px=RESOLUTIONS_PX)
PARTS = ("errors", "completion", "rate", "sampling")
LIMITS = {"onnxruntime": 3.0, "openvino": 5.0}  # MAPE, percent
LEAST_TAU = 0.97
COMPLETION_POINTS = 1.0
LEAST_RATE = 4.0
MOST_SAMPLING, MOST_BYTES = 8.0, 2e9


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark with these arguments (default: the process's)."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--out", type=Path, default=Path("latency-bench"), metavar="DIR",
        help="for tables, results.json and pictures (default: latency-bench)",
    )  # fmt: skip
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--runtimes", nargs="+", default=["onnxruntime", "openvino"], metavar="NAME")
    parser.add_argument("--networks", type=int, default=40, help="fresh random networks (default: 40)")
    parser.add_argument("--calibrate", type=int, default=12, help="networks to calibrate on (default: 12)")
    parser.add_argument("--rounds", type=int, default=8, help="timed runs of each network (default: 8)")
    parser.add_argument("--fraction", type=float, default=0.1, help="of the layers, for the completion (default: 0.1)")
    parser.add_argument("--count", type=int, default=10_000_000, help="networks to tier (default: 10 million)")
    parser.add_argument("--seed", type=int, default=0, help="of the networks and of the part of the layers")
    parser.add_argument("--cpu-time", action="store_true", help="processor time in place of wall time")
    parser.add_argument("--check", action="store_true", help="exit 1 where a figure misses what it must hold")
    args = parser.parse_args(arguments)
    for option, least in (("networks", 2), ("calibrate", 0), ("rounds", 1), ("count", 1), ("seed", 0)):
        if getattr(args, option) < least:
            raise InvalidArgumentError(f"--{option} must be {least} or more, but got {getattr(args, option)}.")
    try:
        args.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidArgumentError(f"--out {args.out}: {error.strerror}.", "Name a folder.") from None

    results: dict[str, Any] = {}
    missed: list[str] = []
    for name in args.runtimes if set(args.parts) - {"sampling"} else ():
        meter = LayerMeter(runtimes.get(name), threads=1, clock="cpu" if args.cpu_time else "wall")
        results[name] = run_runtime(meter, args, missed)
    if "sampling" in args.parts:
        results["sampling"] = sampling(args.count, args.seed, missed)
    path = args.out / "results.json"
    before = json.loads(path.read_text()) if path.is_file() else {}
    kept = before if before.get("seed") == args.seed else {}
    text = {"seed": args.seed, **{name: {**kept.get(name, {}), **found} for name, found in results.items()}}
    write_text(path, json.dumps({**kept, **text}, indent=2) + "\n")
    for each in missed:
        print(f"MISSED: {each}")
    if args.check and missed:
        raise SystemExit(1)


def run_runtime(meter: LayerMeter, args: argparse.Namespace, missed: list[str]) -> dict[str, Any]:
    """The parts that measure, on one runtime."""
    name = meter.conditions.fingerprint.runtime
    fresh, held_out = networks(args.networks, args.seed + 1000), networks(args.calibrate, args.seed)
    judged = {**fresh, **released()}
    whole, found = args.out / f"{name}-networks.sqlite", {}
    with LatencyTable(whole, meter.conditions) as table:
        fill(table, meter, [*held_out.values(), *judged.values()], args.rounds)
    with LatencyTable(whole) as table:
        truth = measured(table, judged)
        pairs = list(zip(held_out.values(), measured(table, held_out), strict=True))
        if "errors" in args.parts or "completion" in args.parts:
            found["errors"] = error_report(table, list(judged.values()), truth, calibrate_on=pairs)
    if "completion" in args.parts or "rate" in args.parts:
        part, rate_file = args.out / f"{name}-part.sqlite", args.out / f"{name}-rate.json"
        keys = choose_keys(SPACE.lookup_plan(), args.fraction, args.seed)
        with LatencyTable(part, meter.conditions) as table:
            with build_progress(f"{name}: {len(keys)} layers") as on_progress:
                state = build(table, keys, meter, on_progress=on_progress)
                if state.measured:
                    write_text(rate_file, json.dumps(dataclasses.asdict(state)))
                    recheck(table, meter, on_progress=on_progress)
            if "completion" in args.parts:
                found["completion"] = error_report(table, list(judged.values()), truth, calibrate_on=pairs)
        if rate_file.is_file():
            rate = json.loads(rate_file.read_text())
            found["layers_per_s"] = rate["measured"] / rate["elapsed_s"]
    show(name, found, whole, judged, missed, args.out)
    return {
        part: [each.to_dict() for each in value] if isinstance(value, list) else value for part, value in found.items()
    }


def networks(count: int, seed: int) -> dict[str, list[LayerKey]]:
    """Random networks of the space by name: uniform over its vectors."""
    vectors = SPACE.lattice().draw(count, np.random.default_rng(seed))
    return {f"random {seed}/{number}": SPACE.keys(vector) for number, vector in enumerate(vectors)}


def released() -> dict[str, list[LayerKey]]:
    """The released networks that the paper's space can express."""
    found = {}
    for entry in catalog().values():
        if entry.role == "released" and entry.spec is not None:
            try:
                RELEASE_SPACE.encode(entry.spec)
            except ValueError:
                continue
            found[entry.name] = keys_from_spec(entry.spec)
    return found


def fill(table: LatencyTable, meter: LayerMeter, wanted: Sequence[Sequence[LayerKey]], rounds: int) -> None:
    """Measure these networks whole, in groups, and their layers in between, alone and in context."""
    name = meter.conditions.fingerprint.runtime
    done = {tuple(keys) for keys, _ in table.networks()}
    pending = [keys for keys in wanted if tuple(keys) not in done]
    with build_progress(f"{name}: layers of {len(wanted)} networks") as on_progress:
        if build(table, [key for keys in wanted for key in keys], meter, lone=True, on_progress=on_progress).measured:
            recheck(table, meter, on_progress=on_progress)
    for start in range(0, len(pending), 10):
        group = pending[start : start + 10]
        console.note(f"{name}: networks {start + 1} to {start + len(group)} of {len(pending)}, {rounds} rounds")
        for keys, figures in zip(group, meter.networks(group, rounds=rounds), strict=True):
            table.add_network(keys, figures)


def measured(table: LatencyTable, wanted: dict[str, list[LayerKey]]) -> list[float]:
    """Latencies of networks measured whole."""
    known = {tuple(keys): figures.latency_ms for keys, figures in table.networks()}
    return [known[tuple(keys)] for keys in wanted.values()]


def show(
    name: str, found: dict[str, Any], whole: Path, judged: dict[str, list[LayerKey]], missed: list[str], out: Path
) -> None:
    """Print a runtime's figures, draw them, and note those that miss their limit."""
    summaries = [*found.get("errors", []), *found.get("completion", [])]
    if summaries:
        print(f"\n{name}, {len(judged)} networks measured whole\n{error_table(summaries)}")
    by_name = {each.name: each for each in summaries}
    exact = by_name.get(WAYS["context"] + CALIBRATED, by_name.get(WAYS["context"]))
    if exact is not None:
        from gpunet.latency.report_plot import draw

        with LatencyTable(whole) as table:
            draw(out / f"{name}-fig4.png", measured(table, judged), summaries, title=f"{name}, one thread, batch 1")
        if exact.mape_percent > LIMITS.get(name, 5.0):
            missed.append(f"{name}: MAPE {exact.mape_percent:.2f} %, not at most {LIMITS.get(name, 5.0)} %")
        if exact.kendall_tau < LEAST_TAU:
            missed.append(f"{name}: Kendall tau {exact.kendall_tau:.3f}, not at least {LEAST_TAU}")
        completed = by_name.get(WAYS["context"] + COMPLETED + CALIBRATED, by_name.get(WAYS["context"] + COMPLETED))
        if completed is not None and completed.mape_percent > exact.mape_percent + COMPLETION_POINTS:
            missed.append(f"{name}: completed MAPE {completed.mape_percent:.2f} %, over a point above the exact one")
    if "layers_per_s" in found:
        print(f"{name}: {found['layers_per_s']:.1f} layers a second")
        if found["layers_per_s"] < LEAST_RATE:
            missed.append(f"{name}: {found['layers_per_s']:.1f} layers a second, not at least {LEAST_RATE}")


# -------------------------------------------------------------------- sampling


def sampling(count: int, seed: int, missed: list[str]) -> dict[str, float]:
    """Seconds and memory of tiering `count` networks, and of drawing their points alone; each in a process of its own,
    in turn, so that neither warms the other's caches and the memory is the one's own.
    """
    runs: dict[str, list[dict[str, float]]] = {"sobol": [], "stratify": []}
    for _ in range(3):
        for kind, own in runs.items():
            command = [sys.executable, __file__, "--one", kind, str(count), str(seed)]
            own.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    alone = min(each["seconds"] for each in runs["sobol"])
    tiering = min(each["seconds"] for each in runs["stratify"])
    peak = max(each["peak_bytes"] for each in runs["stratify"])
    print(
        f"\nsampling: {count} networks tiered in {tiering:.1f} s, {tiering / alone:.2f} times the {alone:.1f} s that "
        f"SobolEngine alone takes; peak memory {peak / 1e9:.2f} GB"
    )
    if tiering > MOST_SAMPLING * alone:
        missed.append(f"tiering takes {tiering / alone:.2f} times SobolEngine alone, not at most {MOST_SAMPLING}")
    if peak > MOST_BYTES:
        missed.append(f"tiering takes {peak / 1e9:.2f} GB, not at most {MOST_BYTES / 1e9} GB")
    return {"networks": count, "sobol_s": alone, "stratify_s": tiering, "ratio": tiering / alone, "peak_bytes": peak}


def one(kind: str, count: int, seed: int) -> None:
    """One timed run of `sampling`, as JSON on standard output."""
    import torch

    if kind == "sobol":
        sobol_engine: Any = torch.quasirandom.SobolEngine
        engine = sobol_engine(len(PAPER_SPACE.digits), scramble=True, seed=seed)
        engine.draw(1)
        started_s = time.perf_counter()
        left = count
        while left:
            left -= len(engine.draw(min(left, 1 << 17)))
    else:
        from gpunet.latency.estimate import Estimator
        from gpunet.search.tiers.stratify import stratify

        plan = PAPER_SPACE.lookup_plan()
        every = plan.keys()
        estimator = Estimator(plan, LayerCosts({key: roofline_ms(key) for key in every}))
        started_s = time.perf_counter()
        stratify(PAPER_SPACE, estimator, bounds_ms=(50.0, 100.0, 200.0, 400.0), count=count, seed=seed)
    seconds = time.perf_counter() - started_s
    print(json.dumps({"seconds": seconds, "peak_bytes": peak_bytes()}))


def peak_bytes() -> int:
    """Most memory that this process has had resident; getrusage would count that of the process that started it."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def roofline_ms(key: LayerKey) -> float:
    """A latency for each layer without measuring 142,000: the look-ups take the same time whatever they hold."""
    work = key.work()
    return work.multiply_adds / 4e7 + work.depthwise_multiply_adds / 4e6 + work.activation_elements / 2e6


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        one(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    else:
        console.run(main)
