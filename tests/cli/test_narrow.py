"""What the zoo's questions print on a terminal of 40 columns."""

from __future__ import annotations

import io

import pytest

from gpunet.cli.main import main

COLUMNS = 40


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    "line",
    ["list gpunet_*", "list --devices", "find -d gv100 --max-ms 0.8", "info gpunet_0", "info gpunet_d1",
     "info resnet50", "pareto -d gv100 --baselines"],
)  # fmt: skip
def test_nothing_is_wider_than_the_terminal(line: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", str(COLUMNS))
    terminal = _Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    main(line.split())
    lines = terminal.getvalue().splitlines()
    assert len(lines) > 4
    wide = [each for each in lines if len(each) > COLUMNS and " " in each.strip()]  # an address is one word
    assert wide == []
