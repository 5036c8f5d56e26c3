"""Speed of tiering: millions of networks sampled, decoded, estimated and cut, against drawing their points alone.

    python benchmarks/bench_tiering.py
    python benchmarks/bench_tiering.py --count 1000000 --plot coverage.png      # and the paper's Fig. 5
    python benchmarks/bench_tiering.py --from-records                           # the paper's own GPU and bounds

Sobol points of the paper's space by gpunet, against torch's SobolEngine drawing the same points and doing nothing else.
Layers have made-up latencies, as look-ups take the same time whatever they hold; with --from-records those of a V100
by public records, cut at the 0.5, 1 and 2 ms that the paper names, and it is said in which tier each released network
lands and in which it was measured.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpunet.core import console
from gpunet.core.pictures import checked_picture
from gpunet.errors import InvalidArgumentError
from gpunet.latency.estimate import LayerCosts
from gpunet.latency.layers.keys import LayerKey
from gpunet.search.spaces.paper import PAPER_SPACE

if TYPE_CHECKING:
    from gpunet.search.tiers.stratify import Strata

MOST_SAMPLING, MOST_BYTES = 8.0, 2e9
MADE_UP_BOUNDS_MS = (50.0, 100.0, 200.0, 400.0)
PAPER_BOUNDS_MS = (0.5, 1.0, 2.0)
MOST_RECORDS_S = 60.0  # for ten million networks, their layers' prices included


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark with these arguments (default: the process's)."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=10_000_000, help="networks to tier (default: 10 million)")
    parser.add_argument("--seed", type=int, default=0, help="of the points")
    parser.add_argument("--check", action="store_true", help="exit 1 where a figure misses what it must hold")
    parser.add_argument(
        "--from-records", action="store_true", help="a V100's tiers by public records, and where the seven land"
    )
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw how even the points are, beside uniform ones")
    args = parser.parse_args(arguments)
    if args.plot is not None:
        checked_picture(args.plot, "--plot")
    for option, least in (("count", 1), ("seed", 0)):
        if getattr(args, option) < least:
            raise InvalidArgumentError(f"--{option} must be {least} or more, but got {getattr(args, option)}.")
    missed: list[str] = []
    if args.from_records:
        by_records(args.count, args.seed, missed)
    else:
        sampling(args.count, args.seed, missed)
    if args.plot is not None:
        from gpunet.search import draw_coverage

        draw_coverage(args.plot, tiered(args.count, args.seed)[0], tiered(args.count, args.seed, "uniform")[0])
        print(f"drawn: {args.plot}")
    for each in missed:
        print(f"MISSED: {each}")
    if args.check and missed:
        raise SystemExit(1)


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
        f"sampling: {count} networks tiered in {tiering:.1f} s, {tiering / alone:.2f} times the {alone:.1f} s that "
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
        _, started_s = tiered(count, seed)
    seconds = time.perf_counter() - started_s
    print(json.dumps({"seconds": seconds, "peak_bytes": peak_bytes()}))


def by_records(count: int, seed: int, missed: list[str]) -> None:
    """Tiers of a V100 by its layer records, and the released networks in them: by estimate and as measured."""
    import gpunet
    from gpunet.latency.gpu.table_from_records import layer_ms, margin_factor
    from gpunet.latency.layers.convolutional import keys_from_spec

    started_s = time.perf_counter()
    keys = PAPER_SPACE.lookup_plan().keys()
    strata, _ = tiered(count, seed, costs_ms=dict(zip(keys, layer_ms(keys).tolist(), strict=True)))
    seconds = time.perf_counter() - started_s
    print(f"{count} networks of the paper's space in a V100's tiers by records: {seconds:.1f} s")
    for tier, inside in enumerate(strata.counts):
        print(f"    {_bounds_text(tier)}: {int(inside):,}")
    if seconds > MOST_RECORDS_S:
        missed.append(f"tiers by records take {seconds:.1f} s, not at most {MOST_RECORDS_S:g}")
    factor, rows = margin_factor(), []
    for match in gpunet.find("gv100"):  # every measured figure of the seven; the slowest is the answer to a query
        if match.entry.spec is None:
            continue
        own = keys_from_spec(match.entry.spec, num_classes=1000)
        estimate_ms = float(layer_ms(own).sum())
        measured_ms = [record.latency_ms for record in match.records if record.precision == "fp16"]
        tiers = {_tier_of(each) for each in measured_ms}
        lands = _tier_of(estimate_ms) in tiers
        rows.append(
            (match.name, "/".join(f"{each:.2f}" for each in measured_ms), f"{estimate_ms:.2f}",
             f"{estimate_ms / factor:.2f}-{estimate_ms * factor:.2f}", _bounds_text(min(tiers)),
             "yes" if lands else "no")
        )  # fmt: skip
        if not lands:
            missed.append(f"{match.name} is measured in {_bounds_text(min(tiers))}, estimated in another")
    print(console.table(["network", "measured ms>", "estimated ms>", "4 in 5 within>", "tier", "lands there"], rows))


def _tier_of(latency_ms: float) -> int:
    return sum(latency_ms >= bound for bound in PAPER_BOUNDS_MS)


def _bounds_text(tier: int) -> str:
    low, high = (0.0, *PAPER_BOUNDS_MS, None)[tier], (*PAPER_BOUNDS_MS, None)[tier]
    return f"{low:g} to {high:g} ms" if high is not None else f"{low:g} ms or more"


def tiered(
    count: int, seed: int, sampler: str = "sobol", costs_ms: dict[LayerKey, float] | None = None
) -> tuple[Strata, float]:
    """Points of the paper's space in tiers, and when drawing them began: the estimator is made before."""
    from gpunet.latency.estimate import Estimator
    from gpunet.search.tiers.stratify import stratify

    plan, bounds_ms = PAPER_SPACE.lookup_plan(), MADE_UP_BOUNDS_MS if costs_ms is None else PAPER_BOUNDS_MS
    every = plan.keys()
    estimator = Estimator(plan, LayerCosts(costs_ms or {key: roofline_ms(key) for key in every}))
    started_s = time.perf_counter()
    return stratify(PAPER_SPACE, estimator, bounds_ms=bounds_ms, count=count, seed=seed, sampler=sampler), started_s


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
