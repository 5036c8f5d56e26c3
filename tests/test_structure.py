"""The house: no circle of imports, imports that only go down, folders and files that can be taken in at a look."""

from __future__ import annotations

import graphlib
import sys
from collections.abc import Iterator
from pathlib import Path

import grimp
import pytest
from helpers import ROOT

# A file imports only from floors below its own, or from its own room. DESIGN: at most eight floors.
FLOORS: dict[str, int] = {
    "errors": 1,
    "core": 2,
    "model": 3, "runtime": 3, "launch": 3,
    "exporters": 4, "train": 4,
    "zoo": 5, "latency": 5,
    "search": 6, "report": 6, "detection": 6, "api": 6, "registry": 6,
    "populate": 7, "gpunet": 7, "timm_script": 7, "testing": 7,
    "cli": 8, "__main__": 8, "tools": 8, "benchmarks": 8,
}  # fmt: skip
# Within the search, from the ground up: an optimiser knows vectors and values alone.
SEARCH = ("optimize", "spaces", "tiers", "storage", "study", "work")
SCRIPTS = ("search_benchmark", "optimizer_benchmark", "side_by_side", "damages")  # packages of benchmarks/
MOST_MODULES, MOST_LINES = 20, 350
SOURCES = sorted(path for folder in ("gpunet", "tools", "benchmarks") for path in (ROOT / folder).rglob("*.py"))


@pytest.fixture(scope="module")
def graph() -> Iterator[grimp.ImportGraph]:
    """Every import of every file: those within functions, and those for type checkers alone, too."""
    before = list(sys.path)
    sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]
    yield grimp.build_graph("gpunet", "tools", "benchmarks", *SCRIPTS, cache_dir=None)
    sys.path[:] = before


def _room(module: str) -> str:
    first, *rest = module.split(".")
    if first != "gpunet":
        return "tools" if first == "tools" else "benchmarks"
    return rest[0] if rest else "gpunet"


def _imports(graph: grimp.ImportGraph) -> Iterator[tuple[str, str]]:
    for module in sorted(graph.modules):
        for imported in sorted(graph.find_modules_directly_imported_by(module)):
            yield module, imported


def test_no_imports_run_in_a_circle(graph: grimp.ImportGraph):
    needs: dict[str, set[str]] = {}
    for module, imported in _imports(graph):
        needs.setdefault(module, set()).add(imported)
    assert len(needs) > 200
    try:
        graphlib.TopologicalSorter(needs).prepare()
    except graphlib.CycleError as error:
        pytest.fail(" <- ".join(error.args[1]))


def test_imports_run_down(graph: grimp.ImportGraph):
    assert {_room(module) for module in graph.modules} - {"gpunet"} <= set(FLOORS)
    wrong = [
        f"{module} ({FLOORS[above]}) imports {imported} ({FLOORS[below]})"
        for module, imported in _imports(graph)
        if (above := _room(module)) != (below := _room(imported)) and FLOORS[below] >= FLOORS[above]
    ]
    assert not wrong, "\n".join(wrong)
    assert max(FLOORS.values()) <= 8


def test_imports_run_down_within_the_search(graph: grimp.ImportGraph):
    wrong = []
    for module, imported in _imports(graph):
        inside = [name.split(".")[2] for name in (module, imported) if name.startswith("gpunet.search.")]
        if len(inside) == 2 and SEARCH.index(inside[0]) < SEARCH.index(inside[1]):
            wrong.append(f"{module} imports {imported}")
    assert not wrong, "\n".join(wrong)


def test_no_folder_holds_too_many_modules():
    counts: dict[Path, int] = {}
    for path in SOURCES:
        counts[path.parent] = counts.get(path.parent, 0) + 1
    assert not {str(folder): count for folder, count in counts.items() if count > MOST_MODULES}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_is_too_long(path: Path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES
