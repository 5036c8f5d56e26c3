"""Every command of `gpunet`, by the words that name it."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import typer

from gpunet.cli.command import Group, leaves
from gpunet.cli.main import command

LEAVES: dict[tuple[str, ...], Any] = {words: below for words, below, _ in leaves(command())}
PLACES = [place for _, _, place in leaves(command())]


def parse(arguments: Sequence[str]) -> None:
    """Read a command line of `gpunet`, and run nothing.

    Raises:
        typer.TyperException: it is none.
    """
    node, rest = command(), list(arguments)
    while isinstance(node, Group) and rest and not rest[0].startswith("-"):
        node = node.get_command(None, rest.pop(0))
    assert node is not None, f"there is no command {' '.join(arguments)}"
    if rest[:1] == ["--install-completion"]:  # would change the shell's start-up file
        return
    with contextlib.suppress(typer.Exit):  # --help
        node.make_context("gpunet", rest)


def options(words: tuple[str, ...]) -> dict[str, str]:
    """The options of a command that take a value, by their long names, each with its type in words."""
    return {
        next(name for name in each.opts if name.startswith("--")): str(each.type_descriptor.annotation)
        for each in LEAVES[words].params
        if any(name.startswith("--") for name in each.opts) and not getattr(each, "is_flag", False)
    }
