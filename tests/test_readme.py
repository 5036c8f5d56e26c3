"""The README and the guides say what is so: examples run, figures are the zoo's, links lead somewhere.

NVIDIA's weights are served from loopback, in NVIDIA's layout with made-up values, so that the examples run as they
stand. What takes minutes, or needs a reader's own files, stands under `<!-- not run: why -->` and is parsed only.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from helpers import ROOT
from helpers.checkpoints import Server, filled, layout, pickled, zipped
from helpers.commands import parse

import gpunet
from gpunet.cli import export as export_command
from gpunet.cli import main as gpunet_command
from gpunet.zoo.catalog import catalog

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
EVERY_PAGE = [
    *PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", ROOT / "benchmarks" / "README.md",
    *sorted((ROOT / "docs/decisions").glob("*.md")),
]  # fmt: skip
_BLOCK = re.compile(
    r"(?:<!-- not run: (?P<why>[^>]+) -->\n)?(?:^`(?P<path>[^`\n]+)`:\n\n)?^```(?P<language>\w+)\n(?P<body>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True)
class Block:
    """A fenced block: language, text, why it is not run ('' if it is), the file it shows ('' if none)."""

    language: str
    body: str
    why: str
    path: str


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    found = [Block(m["language"], m["body"], m["why"] or "", m["path"] or "") for m in _BLOCK.finditer(text)]
    assert len(found) == text.count("```") // 2, f"{page}: a fence without a language, or not closed"
    return found


def write_files(page: Path, folder: Path) -> None:
    """Write the files that a page shows, and those of the guides that its commands name."""
    (folder / "docs").mkdir()
    for plan in (ROOT / "docs").glob("*.toml"):
        shutil.copy(plan, folder / "docs")
    for block in blocks(page):
        if block.path:
            path = folder / block.path
            path.parent.mkdir(exist_ok=True)
            path.write_text(block.body, encoding="utf-8")


def _named(page: Path) -> str:
    return page.name


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A home folder for all pages, and gpunet_p0's weights on a loopback NGC."""
    weights = catalog()["gpunet_p0"].weights
    assert weights is not None
    address, member = weights.ngc_url, weights.ngc_member
    assert address is not None
    assert member is not None
    with Server() as server:
        server.answers[urlsplit(address).path] = zipped({member: pickled(filled(layout("gpunet_p0")))}, compression=0)
        yield {"GPUNET_HOME": str(tmp_path_factory.mktemp("home")), "GPUNET_NGC_URL": server.url}


_RUN_PAGES = """
import json, os, sys, traceback
said = {}
for name, (folder, code) in json.load(sys.stdin).items():
    os.chdir(folder)
    try:
        exec(compile(code, name, "exec"), {"__name__": "__main__"})
    except BaseException:
        said[name] = traceback.format_exc()
with open(sys.argv[1], "w") as file:
    json.dump(said, file)
"""


def _python(page: Path) -> str:
    return "\n".join(block.body for block in blocks(page) if block.language == "python" and not block.why)


@pytest.fixture(scope="module")
def faults(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What went wrong on each page, all run one after the other in one process: importing torch takes the longest."""
    pages = {}
    for page in PAGES:
        folder = tmp_path_factory.mktemp(page.stem)
        write_files(page, folder)
        pages[page.name] = (str(folder), _python(page))
    said = tmp_path_factory.mktemp("said") / "faults.json"
    done = subprocess.run(
        [sys.executable, "-c", _RUN_PAGES, str(said)], env={**os.environ, **environment}, input=json.dumps(pages),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(said.read_text(encoding="utf-8"))


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if _python(page)], ids=_named)
def test_python_examples_run(page: Path, faults: dict[str, str]):
    assert page.name not in faults, faults[page.name]


@pytest.mark.parametrize("page", PAGES, ids=_named)
def test_python_examples_that_are_not_run_can_be_parsed(page: Path):
    for block in blocks(page):
        if block.language == "python" and block.why:
            compile(block.body, str(page), "exec")


def _blocks_of_commands() -> Iterator[Any]:
    """The blocks of commands of all pages, in order; one that only repeats what stood before is left out."""
    seen: set[tuple[str, ...]] = set()
    for page in PAGES:
        for block in blocks(page):
            if block.language != "console":
                continue
            lines = [tuple(shlex.split(line[2:], comments=True)) for line in block.body.splitlines()]
            assert all(line.startswith("$ ") for line in block.body.splitlines()), f"{page}: {block.body!r}"
            new = [words for words in lines if words not in seen]
            seen.update(lines)
            slow = not block.why and any(words[0] == "gpunet-export" or words[1] == "train" for words in lines)
            if new:
                marks = pytest.mark.slow if slow else ()
                yield pytest.param(page, block, lines, marks=marks, id=f"{page.name}: {' '.join(new[0])}")


@pytest.mark.parametrize(("page", "block", "lines"), [*_blocks_of_commands()])
def test_commands_run(
    page: Path,
    block: Block,
    lines: list[tuple[str, ...]],
    environment: dict[str, str],
    tmp_path: Path,
    monkeypatch,
    capsys,
):
    """A block's commands, one after the other in one folder."""
    monkeypatch.chdir(tmp_path)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    write_files(page, tmp_path)
    for program, *arguments in lines:
        _run(program, arguments, block.why, capsys)


def _run(program: str, arguments: list[str], why: str, capsys: pytest.CaptureFixture[str]) -> None:
    if program == "gpunet":
        parse(arguments)
        assert "warning" not in capsys.readouterr().err
        if not why:
            gpunet_command.main(arguments)
            assert capsys.readouterr().out
    elif program == "gpunet-export":
        parse(["export", *arguments])
        if not why:
            export_command.main(arguments)
            assert Path(arguments[arguments.index("-o") + 1]).stat().st_size > 100_000
    elif program == "make":
        assert arguments[0] in re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    elif program == "python":
        is_a_tool = arguments[0].startswith(("tools/", "benchmarks/")) and (ROOT / arguments[0]).is_file()
        assert is_a_tool or arguments[:2] == ["-m", "gpunet.timm_script"]
    elif program == "torchrun":
        assert arguments[1:4] == ["-m", "gpunet", "train"]
        parse(arguments[3:])
    else:
        assert program in ("pip", "createdb")


@pytest.mark.parametrize("page", PAGES, ids=_named)
def test_only_public_names_are_imported(page: Path):
    """Names in `__all__` of what they are imported from; a dotted name in the text is one, or a module."""
    text = page.read_text(encoding="utf-8")
    for module, names in re.findall(r"^from (gpunet[\w.]*) import ([\w, ]+)", text, re.MULTILINE):
        public = importlib.import_module(module).__all__
        for name in names.split(","):
            assert name.strip() in public, f"{page}: {module}.{name.strip()}"
    for dotted in re.findall(r"\bgpunet(?:\.[A-Za-z_]\w*)+", text):
        assert _is_public(dotted), f"{page}: {dotted}"


def _is_public(dotted: str) -> bool:
    """A public name, or something of it; or a module that lists public names."""
    module, parts = "gpunet", dotted.split(".")[1:]
    while parts:
        loaded = importlib.import_module(module)
        if parts[0] in getattr(loaded, "__all__", ()):
            return True
        try:
            importlib.import_module(f"{module}.{parts[0]}")
        except ImportError:
            return False
        module = f"{module}.{parts.pop(0)}"
    return module in ("gpunet.registry", "gpunet.timm_script") or hasattr(importlib.import_module(module), "__all__")


@pytest.mark.parametrize("page", EVERY_PAGE, ids=_named)
def test_links_lead_to_files(page: Path):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        if not target.startswith("https://"):
            assert (page.parent / target).exists(), f"{page}: {target}"


# -------------------------------------------------------------------- figures


def _table() -> dict[str, list[str]]:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    return {row[0]: row[1:] for row in rows if row[0].startswith("gpunet_")}


def test_the_table_of_the_seven_is_the_zoos():
    table = _table()
    released = {entry.name: entry for entry in catalog().values() if entry.role == "released"}
    assert set(table) == set(released)
    slowest = {
        chip: {match.name: match.latency_ms for match in gpunet.find(chip, precision="fp16")}
        for chip in ("gv100", "a100")
    }
    for name, entry in released.items():
        nominal = [record.latency_ms for record in entry.records if record.kind == "nominal"]
        assert [float(cell) for cell in table[name]] == [
            entry.top1_percent,
            entry.input_px,
            round(entry.parameters / 1e6, 2),
            round(entry.multiply_adds / 1e9, 2),
            slowest["gv100"][name],
            slowest["a100"][name],
            *nominal,
        ], name


def test_what_the_readme_says_of_gpunet_p0_and_p1():
    match = gpunet.find("gv100", max_ms=0.8)[0]
    assert (match.name, match.top1_percent, match.latency_ms) == ("gpunet_p0", 80.3, 0.63)
    assert "V100" in match.record.board
    assert gpunet.find("gv100", max_ms=0.95, min_top1=81) == []
    assert [m.name for m in gpunet.find("gv100", max_ms=0.96, min_top1=81)] == ["gpunet_p1"]
