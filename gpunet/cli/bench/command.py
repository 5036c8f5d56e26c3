"""`gpunet bench`: networks measured side by side on this machine, and whether the paper's claim holds here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gpunet.cli import options
from gpunet.cli.bench import trtexec
from gpunet.cli.bench.comparison import Verdict, swapped, verdicts
from gpunet.cli.bench.conditions import conditions
from gpunet.cli.bench.since import read_earlier, since
from gpunet.cli.bench.subjects import RUNS_PER_ROUND, RunsBy, Subject, in_bfloat16, measured, subjects
from gpunet.cli.command import command
from gpunet.cli.options import opt
from gpunet.core import console
from gpunet.core.files import check_writable, write_text
from gpunet.core.frontier import Point
from gpunet.core.text import printable
from gpunet.errors import UsageError

if TYPE_CHECKING:
    from gpunet.cli.bench.turns import Ratio
    from gpunet.model.entry import Entry
    from gpunet.runtime.measurement import Measurement

PUBLISHED = "gv100"
_WORTH_SAYING = 1.05
_TRTEXEC = "trtexec: measure on a machine that has TensorRT but not gpunet"
_NAMES_HELP = "models or files to measure (default: the released and your own)"
_PRECISION_HELP = "to compute in (default: fp32; of a file, what it holds, in fp32 where it must be)"
_AGAINST_HELP = "compare with what -o wrote earlier (default: with what this machine's own records hold)"
_BACKBONE_HELP = (
    "measure a network's feature maps of strides 4 to 32, as a detector takes them (each averaged at the end, so that "
    "none is left out), in place of its logits"
)
_OUT_HELP = "write what was measured as JSON; with --import-trtexec, a zoo's latency CSV that gets the record too"


@command(
    "bench",
    panel="Deploy",
    examples=[
        "gpunet bench gpunet_0 gpunet_1 -r onnxruntime -t 1",
        "gpunet bench gpunet_0.onnx -o gpunet_0.json",
        "gpunet bench --baselines",
        "gpunet bench gpunet_2 --input 3x800x1333 --backbone",
        "gpunet bench gpunet_0 --import-trtexec trtexec.log -d a100 -o zoo/latency.csv",
    ],
    renamed={"--output": "--out", "--version": "--runtime-version"},
    said_as={"version": "--runtime-version"},
)
def bench(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME|FILE", show_default=False, autocompletion=options.complete_model,
                       help=_NAMES_HELP),
    ] = None,
    baselines: options.Baselines = False,
    runtime: options.Runtime = None,
    precision: Annotated[
        options.PrecisionName | None, opt("--precision", "-p", help=_PRECISION_HELP)
    ] = None,
    batch_size: Annotated[
        int | None, opt("--batch-size", "-b", metavar="N", help="images a run (default: 1; of a log, what it says)")
    ] = None,
    threads: options.Threads = None,
    input_size: options.Input = None,
    backbone: Annotated[bool, opt("--backbone", help=_BACKBONE_HELP)] = False,
    rounds: Annotated[
        int, opt("--rounds", metavar="N", min=1, help=f"rounds of {RUNS_PER_ROUND} runs each (default: 10)")
    ] = 10,
    out: Annotated[Path | None, opt("--out", "-o", metavar="FILE", help=_OUT_HELP)] = None,
    against: Annotated[Path | None, opt("--against", metavar="FILE", help=_AGAINST_HELP)] = None,
    print_trtexec: Annotated[
        bool, opt("--trtexec", panel=_TRTEXEC, help="print the trtexec commands for NAME, and measure nothing")
    ] = False,
    import_trtexec: Annotated[
        Path | None,
        opt("--import-trtexec", metavar="LOG", panel=_TRTEXEC,
            help="read a log of trtexec, or its --exportTimes JSON, for NAME"),
    ] = None,
    device: Annotated[
        str | None,
        opt("--device", "-d", metavar="NAME", complete=options.complete_device, panel=_TRTEXEC,
            help="with --import-trtexec: the chip it ran on"),
    ] = None,
    board: Annotated[
        str | None, opt("--board", metavar="NAME", panel=_TRTEXEC, help="where the log does not name it")
    ] = None,
    runtime_version: Annotated[
        str | None,
        opt("--runtime-version", metavar="X.Y", panel=_TRTEXEC, help="TensorRT's, where the log does not say it"),
    ] = None,
    accept: Annotated[
        bool, opt("--accept", panel=_TRTEXEC, help="where the log says another GPU, batch or precision, record that")
    ] = False,
    zoo: options.Zoo = None,
    as_json: options.Json = False,
) -> None:  # fmt: skip
    """Measure networks side by side on this machine.

    In turn, many rounds, so that whatever disturbs the machine disturbs all alike. Then say for each baseline whether
    the paper's claim holds here: that some GPUNet at least as accurate is faster. The networks are untrained (latency
    does not depend on the weights), nothing is kept, and accuracies are the published ones. A reference of two fixed
    networks is timed beside them: what the machine's speed did is taken out of comparisons, and of a difference from
    an earlier figure it is said how much is the machine's. A NAME may be a file: ONNX, OpenVINO's .xml, or an engine
    with its sidecar; it is measured as it is, by what can run it. Where OpenVINO and the processor have bf16, the first
    network is measured in it too, and it is said where that is faster.
    """
    sides = options.input_sides(input_size)
    by = RunsBy(runtime, precision, 1 if batch_size is None else batch_size, threads, sides, backbone)
    if not by.as_published and (print_trtexec or import_trtexec is not None):
        option = "--backbone" if backbone else "--input"
        raise UsageError(f"{option} is of what is measured here.", f"Leave {option} out.")
    if print_trtexec and import_trtexec is not None:
        raise UsageError("--trtexec and --import-trtexec do not go together.", "Leave one out.")
    if import_trtexec is None:
        for option, value in (
            ("--device", device), ("--board", board), ("--runtime-version", runtime_version), ("--accept", accept),
        ):  # fmt: skip
            if value:
                raise UsageError(f"{option} goes with --import-trtexec.", "What is measured here is of this machine.")
    if print_trtexec:
        if out is not None or against is not None:
            option = "--against" if out is None else "--out"
            raise UsageError("--trtexec prints commands and writes no file.", f"Leave {option} out.")
        trtexec.print_commands(trtexec.model_named(names, zoo), by, as_json=as_json)
        return
    if import_trtexec is not None:
        trtexec.import_log(
            import_trtexec, trtexec.model_named(names, zoo), out=out, as_json=as_json, device=device, board=board,
            batch_size=batch_size, precision=precision, version=runtime_version, zoo=zoo, accept=accept,
        )  # fmt: skip
        return
    chosen = subjects(names or (), by, baselines=baselines, zoo=zoo)
    earlier = None if against is None else read_earlier(against, [each.name for each in chosen])
    if out is not None:
        check_writable(out)
    lower = in_bfloat16(chosen, by, zoo)
    benched = measured([*chosen, *([lower] if lower else [])], by, rounds)
    in_bf16 = None if lower is None else benched.ratio(lower.name, chosen[0].name)
    faster = None if in_bf16 is None else 1.0 / in_bf16.times
    benched = benched.of([each.name for each in chosen])
    figures, ratios = benched.figures, benched.ratios()
    points = [_point(each, benched.low_ms(each.name)) for each in chosen if each.top1_percent is not None]
    published = _published(zoo)
    found = verdicts(points, {each.name: each.dataset for each in chosen}) if len(chosen) > 1 else []
    claimed = {verdict.baseline.name: verdict for verdict in verdicts(published)}
    swaps = swapped(published, points)
    changes = since(chosen, figures, earlier)
    told = {
        "measurements": {name: measurement.to_dict() for name, measurement in figures.items()},
        "ratios": [each.to_dict() for each in ratios],
        "since": [each.to_dict() for each in changes],
        "claims": [_claim(verdict, claimed.get(verdict.baseline.name)) for verdict in found],
        "swapped": [[first.name, second.name] for first, second in swaps],
        "speedup_in_bf16": None if faster is None else {chosen[0].name: faster},
    }
    if out is not None:
        write_text(out, console.json_text(told) + "\n")
    if as_json:
        console.print_json(told)
        return
    print(_latencies(chosen, figures, ratios))
    print(f"\n{conditions(figures)}")
    if faster is not None and faster >= _WORTH_SAYING:
        print(f"In bf16, {chosen[0].name} is {faster:.2f} times as fast here: -p bf16.")
    for each in changes:
        print(f"\n{console.wrapped(printable(str(each)))}")
    if found:
        print(f"\n{_claims(found, claimed)}")
    if order := order_of(swaps, points, published):
        print(f"\n{order}")
    if out is not None:
        print(f"\n{out}: what was measured, as JSON")


def _point(network: Entry | Subject, latency_ms: float) -> Point:
    return Point(network.name, latency_ms, network.top1_percent or 0.0, network.role == "baseline")


def _published(zoo: Sequence[str] | None) -> list[Point]:
    """The paper's figures: GV100, batch 1, the slowest record of each network."""
    from gpunet.zoo.choice.conditions import Query
    from gpunet.zoo.query import candidates

    matches = candidates(Query(device=PUBLISHED, include_baselines=True), zoo)
    return [_point(match.entry, match.latency_ms) for match in matches if match.top1_percent is not None]


def _latencies(chosen: Sequence[Subject], measured: Mapping[str, Measurement], ratios: Sequence[Ratio]) -> str:
    times = {each.name: str(each) for each in ratios}
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
                _sides(said["input_shape"]),
                console.milliseconds(figures.latency_ms),
                console.milliseconds(figures.p25_ms),
                f"{figures.spread_percent:.0f}",
                f"{figures.throughput_ips:.1f}",
                *([times.get(each.name, "1")] if ratios else []),
            )
        )
    columns = (
        "model", "role", "top-1 %>", "runtime", "precision", "input px>", "median ms>", "lower quartile ms>",
        "spread %>", "images/s>", *([f"times {ratios[0].base} (95 %)>"] if ratios else []),
    )  # fmt: skip
    return console.table(columns, rows)


def _sides(shape: Sequence[int]) -> str:
    """'384' of a square image, '800x1333' of another."""
    height, width = shape[-2:]
    return str(height) if height == width else f"{height}x{width}"


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
    """Which GPUNets changed places against the published order, in words; '' where no two can be compared."""
    here = {point.name: point.latency_ms for point in points if not point.baseline}
    there = {point.name: point.latency_ms for point in published if point.name in here}
    if len(there) < 2:
        return ""
    if not swaps:
        return "Among the GPUNets measured, the order by latency is the published one (GV100)."
    said = "; ".join(
        f"{faster.name} is slower than {slower.name} here ({here[faster.name]:.1f} and {here[slower.name]:.1f} ms), "
        f"published as faster ({there[faster.name]:g} and {there[slower.name]:g} ms)"
        for faster, slower in swaps
    )
    return f"The order by latency is NOT the published one (GV100): {said}."
