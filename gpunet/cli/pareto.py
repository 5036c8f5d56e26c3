"""`gpunet pareto`: latency against accuracy on a device, as the paper's Fig. 1B draws it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from gpunet.cli import options
from gpunet.cli.command import command
from gpunet.cli.options import opt
from gpunet.core import console
from gpunet.core.frontier import Point, dominator, frontier
from gpunet.core.pictures import checked_picture
from gpunet.errors import NothingFitsError, UsageError
from gpunet.model.dataset_names import IMAGENET

if TYPE_CHECKING:
    from gpunet.model.entry import Match
    from gpunet.zoo.published import CurveFigure, Reproduced

_CURVE_NAME = "EfficientNetV2, as NVIDIA published it"


@command(
    "pareto", panel="Ask",
    examples=["gpunet pareto -d gv100 --baselines --plot pareto.png",
              "gpunet pareto -d local --zoo timm --max-ms 50 --licence any", "gpunet pareto --detection"],
)  # fmt: skip
def pareto(
    device: options.Device = "",
    detection: Annotated[
        bool,
        opt("--detection", help="the paper's Table 4 instead: backbones of detectors; with --zoo, your own beside it"),
    ] = False,
    baselines: Annotated[
        bool, opt("--baselines", help="the paper's Table 3 too, also its rows that are figures only")
    ] = False,
    plot: Annotated[
        Path | None, opt("--plot", metavar="FILE", help="draw it as .png, .svg or .pdf (needs the extra 'plots')")
    ] = None,
    max_ms: Annotated[float | None, opt(metavar="MS", help="where the frontier ends (default: nowhere)")] = None,
    batch_size: options.BatchSize = 1,
    runtime: options.Runtime = None,
    precision: options.Precision = None,
    threads: options.Threads = None,
    include_nominal: options.IncludeNominal = False,
    dataset: options.Dataset = None,
    licence: options.Licence = None,
    extra_data: options.ExtraData = None,
    family: options.Family = None,
    thorough: options.Thorough = False,
    budget_minutes: options.BudgetMinutes = None,
    zoo: options.Zoo = None,
    as_json: options.Json = False,
) -> None:
    """Latency against accuracy on a device, and which networks are on the frontier.

    With --baselines, on gv100, this is the paper's Fig. 1B, and its Table 3 with the speed-ups as published and as its
    latencies give them. EfficientNetV2, which the paper draws and gives no figures of, is a curve beside it, from
    NVIDIA's figures for its authors; it counts for no frontier. Where several records of a network apply, the slowest
    counts: the released networks are shown at no better than their published figures. Networks trained with and without
    distillation have frontiers of their own too.

    On 'local' with --zoo timm what the frontier needs is measured: those of timm's networks that predictions place near
    it. That takes minutes once; stopped, the same command goes on.
    """
    if detection:
        if device or baselines or plot is not None:
            option = "--device" if device else "--baselines" if baselines else "--plot"
            raise UsageError(f"{option} is of classifiers, and --detection of detectors.", f"Leave {option} out.")
        from gpunet.cli.detect.front import print_front

        print_front(zoo, as_json=as_json)
        return
    if not device:
        raise UsageError(
            "gpunet pareto: Missing option '--device' / '-d'.", "'gpunet pareto --help' says what it takes."
        )
    from gpunet.zoo.choice.conditions import Query
    from gpunet.zoo.choice.scope import left_out_text, unlicensed_text
    from gpunet.zoo.published import efficientnetv2_curve, reproduced_table_3
    from gpunet.zoo.query import device_named, front, nothing_fits

    if plot is not None:
        checked_picture(plot, "--plot")
    query = Query(
        device=device,
        max_ms=max_ms,
        batch_size=batch_size,
        runtime=runtime,
        precision=precision,
        threads=threads,
        include_nominal=include_nominal,
        include_baselines=baselines,
        dataset=dataset,
        licence=licence,
        extra_data=extra_data,
        family=family,
        thorough=thorough,
        budget_minutes=budget_minutes,
    )
    found = front(query, zoo, figures_only=baselines)
    within = [match for match in found if max_ms is None or match.latency_ms <= max_ms]
    matches = [match for match in within if match.top1_percent is not None]
    if not within:
        raise nothing_fits(query, zoo)
    if not matches:
        raise NothingFitsError(
            f"no network with a latency on {device} ({len(within)}) has an accuracy on {found.dataset}.",
            "Say it in their entries, or see their latencies: gpunet find.",
        )
    matches.sort(key=lambda match: (match.latency_ms, match.name))
    points = [_point(match) for match in matches]
    compared = reproduced_table_3(matches)
    named = device_named(device, zoo)
    curve = [
        row
        for row in (efficientnetv2_curve(named, batch_size) if baselines and found.dataset == IMAGENET else ())
        if row.precision == (precision or row.precision) and row.latency_ms <= (max_ms or row.latency_ms)
    ]
    if as_json:
        facts = [_facts(match, point, points) for match, point in zip(matches, points, strict=True)]
        about = {"device": device, "batch_size": batch_size, "dataset": found.dataset, "left_out": found.left_out,
                 "left_out_licences": found.left_out_licences,
                 "search": found.search and found.search.to_dict()}  # fmt: skip
        fronts = {kind: [each.name for each in frontier(some)] for kind, some in _kinds(matches, points).items()}
        console.print_json({**about, "frontiers": fronts, "points": facts, "table_3": list(map(_row_facts, compared)),
                            "efficientnetv2": list(map(dataclasses.asdict, curve))})  # fmt: skip
    else:
        print(_report(matches, points, found.dataset))
        if compared:
            print(f"\n{_table_3(compared)}")
        if curve:
            print(f"\n{_curve_text(curve)}")
        if found.left_out:
            console.note(left_out_text(found.dataset, found.left_out, shell=True))
        if found.left_out_licences:
            console.note(unlicensed_text(found.left_out_licences, shell=True))
    if plot is not None:
        from gpunet.report.pareto import front_chart
        from gpunet.report.plot import draw_chart
        from gpunet.report.png import save_picture

        title = f"{named.title.partition(' (')[0]}, batch {batch_size}, {_conditions(matches)}"
        chart = front_chart(
            matches, title=title, dataset=found.dataset, curve_name=_CURVE_NAME,
            curve=[Point(row.title, row.latency_ms, row.top1_percent) for row in curve],
        )  # fmt: skip
        save_picture(draw_chart(chart, alone=True), plot)
        console.note(f"drawn: {plot}")


def _point(match: Match) -> Point:
    return Point(match.name, match.latency_ms, match.top1_percent or 0.0, match.entry.role == "baseline")


def _facts(match: Match, point: Point, points: list[Point]) -> dict[str, Any]:
    better = dominator(point, points)
    return {
        "name": match.name,
        "title": match.entry.title,
        "role": match.entry.role,
        "distilled": match.entry.distilled,
        "buildable": match.entry.buildable,
        "top1_percent": match.top1_percent,
        "latency_ms": match.latency_ms,
        "on_frontier": better is None,
        "dominated_by": None if better is None else better.name,
        "record": match.record.to_dict(),
    }


def _report(matches: list[Match], points: list[Point], dataset: str) -> str:
    sources = console.Footnotes()
    rows = []
    # Two of the frontier that read alike would seem to beat each other.
    latencies = console.milliseconds_each(match.latency_ms for match in matches)
    accuracies = console.percent_each(match.top1_percent for match in matches)
    for match, point, latency, accuracy in zip(matches, points, latencies, accuracies, strict=True):
        better = dominator(point, points)
        rows.append(
            (
                match.name,
                match.entry.role if match.entry.buildable else f"{match.entry.role}, figures only",
                {True: "yes", False: "no", None: None}[match.entry.distilled],
                latency,
                accuracy,
                "yes" if better is None else f"no: {better.name} dominates",
                match.record.kind,
                match.record.board,
                f"{match.record.runtime} {match.record.runtime_version} {match.record.precision}",
                sources.number(match.record.source),
            )
        )
    columns = ("model", "role", "distilled", "ms>", "top-1 %>", "on the frontier", "kind", "board", "runtime", "source")
    summary = [f"Top-1 is on {dataset}."]
    for kind, some in _kinds(matches, points).items():
        best, trained = frontier(some), "" if kind == "all" else f" trained {kind.replace('_', ' ')}"
        names = ", ".join(point.name for point in best)
        summary.append(f"{len(best)} of {len(some)} networks{trained} are on the frontier: {names}.")
    return "\n\n".join((console.table(columns, rows), "\n".join(map(console.wrapped, summary)), str(sources)))


def _kinds(matches: list[Match], points: list[Point]) -> dict[str, list[Point]]:
    """All points, and where both are known those without and with distillation, as the paper's Table 3 splits them."""
    kinds = {
        kind: [point for match, point in zip(matches, points, strict=True) if match.entry.distilled is said]
        for kind, said in (("without_distillation", False), ("with_distillation", True))
    }
    return {"all": points, **(kinds if all(kinds.values()) else {})}


def _conditions(matches: list[Match]) -> str:
    """Precisions and runtimes of the records that decide."""
    precisions = sorted({match.record.precision for match in matches})
    runtimes = sorted({f"{match.record.runtime} {match.record.runtime_version}".strip() for match in matches})
    return f"{', '.join(precisions)}, {', '.join(runtimes)}"


def _row_facts(row: Reproduced) -> dict[str, Any]:
    said = row.published
    return {
        "model": said.model,
        "against": said.against,
        "distilled": row.gpunet.distilled,
        "speedup_published": said.speedup,
        "speedup_of_latencies": row.speedup,
        "agrees": row.agrees,
        "accuracy_gain_published": said.accuracy_gain_percent,
        "accuracy_gain": row.accuracy_gain_percent,
    }


def _curve_text(curve: list[CurveFigure]) -> str:
    sources = console.Footnotes()
    rows = [
        (
            row.title,
            console.milliseconds(row.latency_ms),
            f"{row.top1_percent:g}",
            row.board,
            sources.number(row.source),
        )
        for row in curve
    ]
    table = console.table(("Fig. 1B's other curve", "ms>", "top-1 %>", "board", "source"), rows)
    return f"{table}\n\n{sources}"


def _table_3(compared: list[Reproduced]) -> str:
    rows = [
        (
            row.baseline.title or row.baseline.name,
            row.gpunet.title or row.gpunet.name,
            "with" if row.gpunet.distilled else "without",
            f"{row.published.speedup:g}x",
            f"{row.speedup:.2f}x" + ("" if row.agrees else ", not as published"),
            f"{row.published.accuracy_gain_percent:g}",
            f"{row.accuracy_gain_percent:g}",
        )
        for row in compared
    ]
    columns = ("baseline", "GPUNet", "distillation", "speed-up published>", "of the latencies", "top-1 gain published>",
               "of the accuracies>")  # fmt: skip
    agreeing = sum(row.agrees for row in compared)
    heading = "The paper's Table 3, each baseline against the GPUNet of its group:"
    summary = f"{agreeing} of {len(compared)} published speed-ups are those of the published latencies, within 2 %."
    return f"{console.wrapped(heading)}\n{console.table(columns, rows)}\n\n{console.wrapped(summary)}"
