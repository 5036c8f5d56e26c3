"""`gpunet report`: what a search found, as one HTML page and as pictures."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from gpunet.cli import options
from gpunet.core import console


def add_parser(commands: Any) -> None:
    """Add `report` to the commands of `gpunet`."""
    parser = commands.add_parser(
        "report",
        help="what a search found, as one HTML page and as pictures",
        description="Draw the report.json of a finished search: latency against accuracy beside published figures, the "
        "tiers and their samples, the progress of each search, estimates against measurements, and the winners' "
        "architectures. The page holds everything itself and opens without a network; the pictures stand beside it.",
    )
    parser.add_argument("folder", metavar="DIR", type=Path, help="the folder that holds report.json")
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, help="the page (default: DIR/report.html)")
    parser.add_argument("--no-png", action="store_true", help="the page alone (pictures need the extra 'plots')")
    options.add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Read, draw, and say what was written."""
    from gpunet.errors import InvalidArgumentError
    from gpunet.report.data import read_report
    from gpunet.report.save import save_report

    if args.output is not None and args.output.suffix.lower() not in (".html", ".htm"):
        raise InvalidArgumentError(f"--output must end in .html, but got {str(args.output)!r}.", "Try -o report.html.")
    report = read_report(args.folder)
    html, pictures = save_report(report, args.folder, html=args.output, pictures=not args.no_png)
    if args.json:
        console.print_json({"html": str(html), "pictures": [str(each) for each in pictures]})
        return
    trials = sum(len(tier.trials) for tier in report.tiers)
    print(f"{report.title}: {len(report.tiers)} tiers, {trials:,} trials, {len(report.networks)} winners")
    for path in (html, *pictures):
        print(path)
