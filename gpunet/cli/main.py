"""The command `gpunet`: one tree of commands, each in a file of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, NoReturn

import typer

from gpunet.cli import options
from gpunet.cli.command import Group, run_command
from gpunet.core import console


class Gpunet(Group):
    """All commands, in the order of the help. A new one is a file, and a line here."""

    places: ClassVar = {
        "find": "find:find",
        "list": "listing:list_models",
        "anchor": "bench.anchor:anchor",
        "info": "info:info",
        "pareto": "pareto:pareto",
        "export": "export:export",
        "verify": "verify:verify",
        "predict": "predict:predict",
        "bench": "bench.command:bench",
        "eval": "evaluate:evaluate",
        "train": "train:train",
        "detect": "detect.group:DETECT",
        "table": "table.group:TABLE",
        "search": "search.group:SEARCH",
        "populate": "populate:populate",
        "report": "report:report",
        "zoo": "zoo.group:ZOO",
        "publish": "publish:publish",
    }


app = typer.Typer(
    name="gpunet", cls=Gpunet, rich_markup_mode="rich",
    help="Convolutional networks tiered by the latency they really have on a device.",
    context_settings={"help_option_names": ["-h", "--help"]},
)  # fmt: skip


@app.callback()
def _top(
    version: options.Version = False,
) -> None:
    """Options before the command."""


def command() -> Any:
    """The whole tree."""
    return typer.main.get_command(app)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `gpunet` with these arguments (default: the process's).

    Raises:
        GpunetError: what the command raised; UsageError where the arguments are none of its.
        SystemExit: it ended with another exit code than 0, or showed its help.
    """
    run_command(command(), "gpunet", arguments)


def run() -> NoReturn:
    """Entry point of the command `gpunet`."""
    console.run(main)


if __name__ == "__main__":
    run()
