"""The command `gpunet`: find, list, info, pareto, bench, table, train, eval, search, populate, report, publish."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import NoReturn

import gpunet
from gpunet.core import console

# In the order of the help. A new command is a file with `add_parser`, and a word here.
COMMANDS = (
    "find", "listing", "info", "pareto", "bench", "table.command", "train", "evaluate", "search.command", "populate",
    "report", "publish",
)  # fmt: skip
_SUMMARY = "Convolutional networks tiered by the latency they really have on a device."


def parser() -> argparse.ArgumentParser:
    """The command line of `gpunet`."""
    top = argparse.ArgumentParser(prog="gpunet", description=_SUMMARY)
    top.add_argument("--version", action="version", version=f"gpunet {gpunet.__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND")
    for name in COMMANDS:
        importlib.import_module(f"gpunet.cli.{name}").add_parser(commands)
    return top


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `gpunet` with these arguments (default: the process's)."""
    command_line = parser()
    chosen = command_line.parse_args(arguments)
    if not hasattr(chosen, "run"):
        command_line.print_help(sys.stderr)
        raise SystemExit(console.USAGE_EXIT_CODE)
    chosen.run(chosen)


def run() -> NoReturn:
    """Entry point of the command `gpunet`."""
    console.run(main)


if __name__ == "__main__":
    run()
