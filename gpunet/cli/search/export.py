"""`gpunet search export`: a study as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from gpunet.cli import options
from gpunet.cli.command import command
from gpunet.cli.options import opt
from gpunet.cli.search.options import Folder, StudyName, StudyUrl, opened
from gpunet.core import console
from gpunet.core.files import check_writable


@command("export", examples=["gpunet search export --study search.sqlite -o search.json"])
def export(
    study: StudyUrl,
    out: Annotated[Path, opt("--out", "-o", metavar="FILE", help="the JSON file to write")],
    name: StudyName = None,
    folder: Folder = None,
    as_json: options.Json = False,
) -> None:
    """Write definition and trials of a study as one JSON file."""
    check_writable(out)
    found = opened(study, name, folder, reading=True)
    found.export(out)
    trials = len(found.trials())
    if as_json:
        console.print_json({"study": found.name, "out": str(out), "trials": trials})
        return
    print(f"{out}: {trials} trials")
