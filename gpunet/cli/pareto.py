"""`gpunet pareto`: latency against accuracy on a device, as the paper's Fig. 1B draws it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from gpunet.cli import options
from gpunet.cli.command import command
from gpunet.cli.options import opt
from gpunet.core import console
from gpunet.core.frontier import Point, dominator, frontier
from gpunet.core.pictures import checked_picture

if TYPE_CHECKING:
    from gpunet.model.entry import Match


@command(
    "pareto", panel="Ask",
    examples=["gpunet pareto -d gv100 --baselines --plot pareto.png", "gpunet pareto -d local"],
)  # fmt: skip
def pareto(
    device: options.Device,
    baselines: Annotated[
        bool, opt("--baselines", help="the paper's Table 3 too, also its rows that are figures only")
    ] = False,
    plot: Annotated[
        Path | None, opt("--plot", metavar="FILE", help="draw it as .png, .svg or .pdf (needs the extra 'plots')")
    ] = None,
    batch_size: options.BatchSize = 1,
    runtime: options.Runtime = None,
    precision: options.Precision = None,
    include_nominal: options.IncludeNominal = False,
    zoo: options.Zoo = None,
    as_json: options.Json = False,
) -> None:
    """Latency against accuracy on a device, and which networks are on the frontier.

    With --baselines, on gv100, this is the paper's Fig. 1B. Where several records of a network apply, the slowest
    counts: the released networks are shown at no better than their published figures.
    """
    from gpunet.zoo.query import Query, best, candidates, device_named

    if plot is not None:
        checked_picture(plot, "--plot")
    query = Query(
        device=device,
        batch_size=batch_size,
        runtime=runtime,
        precision=precision,
        include_nominal=include_nominal,
        include_baselines=baselines,
    )
    matches = [m for m in candidates(query, zoo, figures_only=baselines) if m.top1_percent is not None]
    if not matches:
        best(query, zoo)  # raises NothingFitsError, naming what is recorded
    matches.sort(key=lambda match: (match.latency_ms, match.name))
    points = [_point(match) for match in matches]
    if as_json:
        facts = [_facts(match, point, points) for match, point in zip(matches, points, strict=True)]
        console.print_json({"device": device, "batch_size": batch_size, "points": facts})
    else:
        print(_report(matches, points))
    if plot is not None:
        from gpunet.report.pareto import front_chart
        from gpunet.report.plot import draw_chart
        from gpunet.report.png import save_picture

        title = f"{device_named(device, zoo).title}, batch {batch_size}"
        save_picture(draw_chart(front_chart(matches, title=title), alone=True), plot)
        console.note(f"drawn: {plot}")


def _point(match: Match) -> Point:
    return Point(match.name, match.latency_ms, match.top1_percent or 0.0, match.entry.role == "baseline")


def _facts(match: Match, point: Point, points: list[Point]) -> dict[str, Any]:
    better = dominator(point, points)
    return {
        "name": match.name,
        "title": match.entry.title,
        "role": match.entry.role,
        "buildable": match.entry.buildable,
        "top1_percent": match.top1_percent,
        "latency_ms": match.latency_ms,
        "on_frontier": better is None,
        "dominated_by": None if better is None else better.name,
        "record": match.record.to_dict(),
    }


def _report(matches: list[Match], points: list[Point]) -> str:
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
                latency,
                accuracy,
                "yes" if better is None else f"no: {better.name} dominates",
                match.record.kind,
                match.record.board,
                f"{match.record.runtime} {match.record.runtime_version} {match.record.precision}",
                sources.number(match.record.source),
            )
        )
    columns = ("model", "role", "ms>", "top-1 %>", "on the frontier", "kind", "board", "runtime", "source")
    best = frontier(points)
    summary = f"{len(best)} of {len(points)} networks are on the frontier: {', '.join(p.name for p in best)}."
    return f"{console.table(columns, rows)}\n\n{summary}\n\n{sources}"
