"""`gpunet report`: what a search has found so far, as one HTML page and as pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gpunet.cli import options
from gpunet.cli.command import command
from gpunet.cli.options import opt
from gpunet.core import console
from gpunet.core.text import printable


@command(
    "report", panel="Search",
    examples=["gpunet report demo-zoo", "gpunet report search.sqlite -o search.html --no-png"],
    renamed={"--output": "--out"},
)  # fmt: skip
def report(
    folder: Annotated[
        Path,
        typer.Argument(metavar="DIR|FILE", show_default=False,
                       help="populate's folder of state, a folder with a report.json, or a study's SQLite file"),
    ],
    out: Annotated[
        Path | None, opt("--out", "-o", metavar="FILE", help="the page (default: report.html in the folder)")
    ] = None,
    no_png: Annotated[bool, opt("--no-png", help="the page alone (pictures need the extra 'plots')")] = False,
    as_json: options.Json = False,
) -> None:  # fmt: skip
    """What a search has found so far, as one HTML page and as pictures.

    Works at any time, and says what is not there yet. Latency against accuracy beside published figures, the tiers and
    their samples, the progress of each search, estimates against measurements, and the winners' architectures. The page
    holds everything itself and opens without a network; the pictures stand beside it.
    """
    from gpunet.errors import UsageError
    from gpunet.populate.gathering import report_of
    from gpunet.report.save import save_report

    if out is not None and out.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"--out must end in .html, but got {str(out)!r}.", "Try -o report.html.")
    found = report_of(folder)
    html, pictures = save_report(
        found, folder.parent if folder.is_file() else folder, html=out, pictures=not no_png
    )  # fmt: skip
    if as_json:
        written = {"html": str(html), "pictures": [str(each) for each in pictures]}
        console.print_json({**written, "missing": list(found.missing)})
        return
    trials = sum(len(tier.trials) for tier in found.tiers)
    print(f"{printable(found.title)}: {len(found.tiers)} tiers, {trials:,} trials, {len(found.networks)} winners")
    for path in (html, *pictures):
        print(path)
    if found.missing:
        print("\nNot there yet:")
        for each in found.missing:
            print(f"  {printable(each)}")
