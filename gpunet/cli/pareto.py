"""`gpunet pareto`: latency against accuracy on a device, as the paper's Fig. 1B draws it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpunet.cli import options
from gpunet.core import console
from gpunet.core.frontier import Point, dominator, frontier
from gpunet.core.pictures import checked_picture

if TYPE_CHECKING:
    from gpunet.model.entry import Match


def add_parser(commands: Any) -> None:
    """Add `pareto` to the commands of `gpunet`."""
    parser = commands.add_parser(
        "pareto",
        help="latency against accuracy on a device, and which networks are on the frontier",
        description="Print latency against top-1 accuracy on a device, and which networks are on the Pareto frontier. "
        "With --baselines, on gv100, this is the paper's Fig. 1B. Where several records of a network apply, the "
        "slowest counts: the released networks are shown at no better than their published figures.",
    )
    options.add_device(parser)
    parser.add_argument(
        "--baselines", action="store_true", help="the paper's Table 3 too, also its rows that are figures only"
    )
    parser.add_argument(
        "--plot", metavar="FILE", type=Path, help="draw it as .png, .svg or .pdf (needs the extra 'plots')"
    )
    options.add_conditions(parser)
    options.add_nominal(parser)
    options.add_zoo(parser)
    options.add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Print the table or JSON, and draw the picture if asked to."""
    from gpunet.zoo.query import Query, best, candidates, device_named

    if args.plot is not None:
        checked_picture(args.plot, "--plot")
    query = Query(
        device=args.device,
        batch_size=args.batch_size,
        runtime=args.runtime,
        precision=args.precision,
        include_nominal=args.include_nominal,
        include_baselines=args.baselines,
    )
    matches = [m for m in candidates(query, args.zoo, figures_only=args.baselines) if m.top1_percent is not None]
    if not matches:
        best(query, args.zoo)  # raises NothingFitsError, naming what is recorded
    matches.sort(key=lambda match: (match.latency_ms, match.name))
    points = [_point(match) for match in matches]
    if args.json:
        facts = [_facts(match, point, points) for match, point in zip(matches, points, strict=True)]
        console.print_json({"device": args.device, "batch_size": args.batch_size, "points": facts})
    else:
        print(_report(matches, points))
    if args.plot is not None:
        from gpunet.report.pareto import front_chart
        from gpunet.report.plot import draw_chart
        from gpunet.report.png import save_picture

        title = f"{device_named(args.device, args.zoo).title}, batch {args.batch_size}"
        save_picture(draw_chart(front_chart(matches, title=title), alone=True), args.plot)
        console.note(f"drawn: {args.plot}")


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
    for match, point in zip(matches, points, strict=True):
        better = dominator(point, points)
        rows.append(
            (
                match.name,
                match.entry.role if match.entry.buildable else f"{match.entry.role}, figures only",
                console.milliseconds(match.latency_ms),
                console.percent(match.top1_percent),
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
