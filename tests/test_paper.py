"""docs/paper.md: every figure and table of the paper has a row, and every command in it is one."""

from __future__ import annotations

import re
import shlex

import pytest
from helpers import ROOT
from helpers.commands import parse

PAGE = (ROOT / "docs" / "paper.md").read_text(encoding="utf-8")
COMMANDS = sorted(set(re.findall(r"`((?:gpunet|gpunet-export|make|python) [^`]+)`", PAGE)))
OF_THE_PAPER = [*(f"Table {number}" for number in range(1, 5)), "Fig. 1A", "Fig. 1B", "Fig. 2", "Fig. 3A", "Fig. 4",
                "Fig. 5", "Fig. 6"]  # fmt: skip


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_is_one(line: str):
    program, *arguments = shlex.split(line)
    if program == "python" and arguments[0] != "-c":
        script = (ROOT / arguments[0]).read_text(encoding="utf-8")
        for option in (each for each in arguments[1:] if each.startswith("--")):
            assert f'"{option}"' in script or f"{option} " in script, option
    elif program == "gpunet-export":
        parse(["export", *arguments])
    elif program == "gpunet" and any(each.startswith("-") for each in arguments):
        parse(arguments)


@pytest.mark.parametrize("name", OF_THE_PAPER)
def test_every_table_and_figure_has_a_row(name: str):
    rows = [line.split("|")[1] for line in PAGE.splitlines() if line.startswith("|")]
    assert any(name in row for row in rows)
