"""`gpunet bench`: networks measured side by side on this machine, and whether the paper's claim holds here."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gpunet.cli import options, trtexec
from gpunet.cli.comparison import Verdict, swapped, verdicts
from gpunet.cli.subjects import RUNS_PER_ROUND, Subject, measured, subjects
from gpunet.core import console
from gpunet.core.frontier import Point

if TYPE_CHECKING:
    from gpunet.model.entry import Entry
    from gpunet.runtime.measurement import Measurement

PUBLISHED = "gv100"
_SWITCHES = ("cuda_graph", "spin_wait", "transfers")


def add_parser(commands: Any) -> None:
    """Add `bench` to the commands of `gpunet`."""
    parser = commands.add_parser(
        "bench",
        help="measure networks side by side on this machine, and say where the paper's claim does not hold",
        description="Measure networks side by side on this machine: in turn, many rounds, so that whatever disturbs "
        "the machine disturbs all alike. Then say for each baseline whether the paper's claim holds here: that some "
        "GPUNet at least as accurate is faster. The networks are untrained (latency does not depend on the weights), "
        "nothing is kept, and accuracies are the published ones. A NAME may be a file: ONNX, OpenVINO's .xml, or an "
        "engine with its sidecar; it is measured as it is, by what can run it.",
    )
    parser.add_argument(
        "names", metavar="NAME|FILE", nargs="*", help="models or files to measure (default: the released and your own)"
    )
    parser.add_argument("--baselines", action="store_true", help="the paper's baselines that timm can build, too")
    options.add_conditions(parser)
    parser.add_argument("-t", "--threads", metavar="N", type=int, help="threads that compute (default: all available)")
    parser.add_argument(
        "--rounds", metavar="N", type=int, default=10, help=f"rounds of {RUNS_PER_ROUND} runs each (default: 10)"
    )
    trtexec.add_options(parser)
    options.add_zoo(parser)
    options.add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Measure, then print both tables or JSON; or what `trtexec` is asked for."""
    if args.trtexec or args.import_trtexec is not None:
        trtexec.run(args)
        return
    chosen = subjects(args)
    figures = measured(chosen, args)
    points = [_point(each, figures[each.name].p25_ms) for each in chosen if each.top1_percent is not None]
    published = _published(args)
    found = verdicts(points)
    claimed = {verdict.baseline.name: verdict for verdict in verdicts(published)}
    swaps = swapped(published, points)
    if args.json:
        console.print_json(
            {
                "measurements": {name: measurement.to_dict() for name, measurement in figures.items()},
                "claims": [_claim(verdict, claimed.get(verdict.baseline.name)) for verdict in found],
                "swapped": [[faster.name, slower.name] for faster, slower in swaps],
            }
        )
        return
    print(_latencies(chosen, figures))
    print(f"\n{_conditions(figures)}")
    if found:
        print(f"\n{_claims(found, claimed)}")
    if points:
        print(f"\n{order_of(swaps, points, published)}")


def _point(network: Entry | Subject, latency_ms: float) -> Point:
    return Point(network.name, latency_ms, network.top1_percent or 0.0, network.role == "baseline")


def _published(args: argparse.Namespace) -> list[Point]:
    """The paper's figures: GV100, batch 1, the slowest record of each network."""
    from gpunet.zoo.query import Query, candidates

    matches = candidates(Query(device=PUBLISHED, include_baselines=True), args.zoo)
    return [_point(match.entry, match.latency_ms) for match in matches if match.top1_percent is not None]


def _latencies(chosen: Sequence[Subject], measured: Mapping[str, Measurement]) -> str:
    rows = []
    for each in chosen:
        figures = measured[each.name]
        said = figures.conditions
        rows.append(
            (
                each.name,
                each.role,
                console.percent(each.top1_percent),
                said["runtime"],
                said["precision"],
                said["input_shape"][-1],
                console.milliseconds(figures.latency_ms),
                console.milliseconds(figures.p25_ms),
                f"{figures.spread_percent:.0f}",
                f"{figures.throughput_ips:.1f}",
            )
        )
    columns = (
        "model", "role", "top-1 %>", "runtime", "precision", "input px>", "median ms>", "lower quartile ms>",
        "spread %>", "images/s>",
    )  # fmt: skip
    return console.table(columns, rows)


def _conditions(measured: Mapping[str, Measurement]) -> str:
    one = next(iter(measured.values()))
    said = one.conditions
    threads = "" if said["threads"] is None else f", {said['threads']} thread(s)"
    all_said = [each.conditions for each in measured.values()]
    used = " and ".join(dict.fromkeys(f"{each['runtime']} {each['runtime_version']}" for each in all_said))
    precisions = " and ".join(dict.fromkeys(str(each["precision"]) for each in all_said))
    text = (
        f"Measured here: {said['processor']}{threads}, {used}, {precisions}, batch {said['batch_size']}, "
        f"{one.repeats} repeats in turn. What follows compares the lower quartiles."
    )
    if "cuda_graph" in said:
        switches = (f"{name.replace('_', ' ')} {'on' if said[name] else 'off'}" for name in _SWITCHES)
        text += f" GPU compute time by CUDA events: {', '.join(switches)}; --json has the end-to-end times too."
    noisy = [name for name, figures in measured.items() if figures.noisy]
    if noisy:
        said_of = ", ".join(noisy) if len(noisy) <= 3 else f"{len(noisy)} of {len(measured)} networks"
        text += f"\nThe machine was not quiet: the repeats of {said_of} lie far apart. Measure again when it is."
    return text


def _claim(verdict: Verdict, claimed: Verdict | None) -> dict[str, Any]:
    return {
        "baseline": verdict.baseline.name,
        "rival": None if verdict.rival is None else verdict.rival.name,
        "speedup_here": verdict.speedup,
        "speedup_published": None if claimed is None else claimed.speedup,
        "holds_here": verdict.holds,
    }


def _claims(found: Sequence[Verdict], claimed: Mapping[str, Verdict]) -> str:
    rows = []
    for verdict in found:
        said = claimed.get(verdict.baseline.name)
        rival = verdict.rival
        rows.append(
            (
                verdict.baseline.name,
                console.percent(verdict.baseline.top1_percent),
                console.milliseconds(verdict.baseline.latency_ms),
                None if rival is None else rival.name,
                None if rival is None else console.percent(rival.top1_percent),
                None if rival is None else console.milliseconds(rival.latency_ms),
                None if verdict.speedup is None else f"{verdict.speedup:.2f}x",
                None if said is None or said.speedup is None else f"{said.speedup:.2f}x",
                verdict.words,
            )
        )
    columns = (
        "baseline", "top-1 %>", "ms>", "fastest GPUNet as accurate", "top-1 %>", "ms>", "speed-up here>",
        "published (GV100, batch 1)>", "the paper's claim here",
    )  # fmt: skip
    failing = [verdict.baseline.name for verdict in found if verdict.holds is False]
    compared = sum(verdict.holds is not None for verdict in found)
    summary = (
        "The paper's claim, that a GPUNet at least as accurate is faster, "
        f"holds here for {compared - len(failing)} of {compared} baselines"
    )
    summary += f"; it does NOT hold for {', '.join(failing)}." if failing else "."
    return f"{console.table(columns, rows)}\n\n{summary}"


def order_of(swaps: Sequence[tuple[Point, Point]], points: Sequence[Point], published: Sequence[Point]) -> str:
    """Which GPUNets changed places against the published order, in words."""
    here = {point.name: point.latency_ms for point in points}
    there = {point.name: point.latency_ms for point in published}
    if not swaps:
        return "Among the GPUNets measured, the order by latency is the published one (GV100)."
    said = "; ".join(
        f"{faster.name} is slower than {slower.name} here ({here[faster.name]:.1f} and {here[slower.name]:.1f} ms), "
        f"published as faster ({there[faster.name]:g} and {there[slower.name]:g} ms)"
        for faster, slower in swaps
    )
    return f"The order by latency is NOT the published one (GV100): {said}."
