"""Every file and module that code or documentation names is there."""

from __future__ import annotations

import functools
import importlib
import io
import re
import tokenize
from pathlib import Path

import pytest
from helpers import ROOT

FOLDERS = ("gpunet", "tools", "benchmarks", "tests", "docs")
SOURCES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").rglob("*.md")])
OTHERS = [ROOT / name for name in ("Makefile", "pyproject.toml", "setup.cfg", "mkdocs.yml", ".ci/run")]
_FILE = re.compile(rf"(?<![\w./-])(?:{'|'.join(FOLDERS)})/[\w/-]+(?:\.\w+)+")
_DECISION = re.compile(r"\b(?:docs/)?decisions/(\d{4})|\bdecision (\d+)\b")
_DOTTED = re.compile(r"(?<![\w./\"'-])gpunet(?:\.[A-Za-z_]\w*)+(?![\w/-]|\.\w)")
# Properties of an ONNX file; and of the record that says why it is no more.
_OTHERS_NAMES = {f"gpunet.{each}" for each in ("version", "batch", "preprocessing", "entry", "spec", "spec_sha256")}
_OTHERS_NAMES |= {
    "gpunet.classes",
    "gpunet.weights",
    "gpunet.weights_sha256",
    "gpunet.reparameterized",
    "gpunet.export.deploy",
}


def _text(path: Path) -> str:
    """What a file says to people: all of a page; comments and strings of several lines of a module."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        return text
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    said = (tokenize.COMMENT, tokenize.STRING)
    return "\n".join(
        each.string for each in tokens if each.type in said and (each.string[0] == "#" or '"""' in each.string)
    )


@functools.cache
def _resolves(dotted: str) -> bool:
    parts = dotted.split(".")
    for count in range(len(parts), 0, -1):
        try:
            value = importlib.import_module(".".join(parts[:count]))
        except ImportError:
            continue
        return functools.reduce(lambda each, name: getattr(each, name, None), parts[count:], value) is not None
    return False


@pytest.mark.parametrize("path", [*SOURCES, *PAGES, *OTHERS], ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_file_names_is_there(path: Path):
    text = _text(path)
    missing = [name for name in _FILE.findall(text) if not (ROOT / name).exists()]
    numbers = [int(one or other) for one, other in _DECISION.findall(text)]
    missing += [f"decision {n}" for n in numbers if not list((ROOT / "docs" / "decisions").glob(f"{n:04d}-*.md"))]
    missing += [name for name in _DOTTED.findall(text) if name not in _OTHERS_NAMES and not _resolves(name)]
    assert not missing, f"{path}: {missing}"
