"""`gpunet table merge`: the layers of several latency tables in one."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from gpunet.cli import options
from gpunet.cli.command import command
from gpunet.core import console


@command("merge", examples=["gpunet table merge all.sqlite shard-1.sqlite shard-2.sqlite"])
def merge(
    target: Annotated[Path, typer.Argument(metavar="TARGET", show_default=False, help="made if it is not there")],
    sources: Annotated[
        list[Path], typer.Argument(metavar="SOURCE", show_default=False, help="tables of the same conditions")
    ],
    as_json: options.Json = False,
) -> None:
    """Take the layers of tables over into one; of damaged ones, what can be read."""
    from gpunet.latency.merge import merge as merge_tables

    report = merge_tables(target, sources)
    if as_json:
        console.print_json({"table": str(target), **asdict(report)})
        return
    print(
        f"{target}: {report.added} layers added, {report.improved} improved, "
        f"{report.kept} kept, {report.networks} networks added"
    )
    for source, count in report.damaged.items():
        console.note(f"warning: {source} is damaged; what could be read of it was taken, {count} rows were left out")
