"""What holds for the whole project: names, imports, floors, start-up, docstrings."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import json
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers import ROOT

import gpunet

PACKAGE = ROOT / "gpunet"
SOURCES = sorted(PACKAGE.rglob("*.py"))
MODULES = sorted(
    ["gpunet", *(module.name for module in pkgutil.walk_packages(gpunet.__path__, "gpunet."))],
    key=lambda n: (n, len(n)),
)


def _module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """(module, line) of every import."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def _run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)


# ---------------------------------------------------------------------- names


@pytest.mark.parametrize("name", gpunet.__all__)
def test_every_public_name_resolves(name: str):
    assert getattr(gpunet, name) is not None
    assert name in dir(gpunet)


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'gpunet' has no attribute 'nothing'"):
        _ = gpunet.nothing


@pytest.mark.parametrize("module", [name for name in MODULES if not name.endswith("__main__")])
def test_what_a_module_calls_public_is_there(module: str):
    loaded = importlib.import_module(module)
    for name in getattr(loaded, "__all__", ()):
        assert hasattr(loaded, name), f"{module}.{name}"


ROOMS = sorted(
    {name for name in MODULES if name.count(".") == 1 and hasattr(importlib.import_module(name), "__path__")}
)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_lists_what_is_public_or_says_that_it_is_private(room: str):
    loaded = importlib.import_module(room)
    if room == "gpunet.testing":
        modules = [name for name in MODULES if name.startswith(f"{room}.")]
        assert all(importlib.import_module(name).__all__ for name in modules)
    else:
        assert (loaded.__doc__ or "").startswith("Private: ") != bool(getattr(loaded, "__all__", ()))


@pytest.mark.parametrize("package", ["gpunet", *ROOMS])
def test_no_public_name_is_a_modules_too(package: str):
    """Which of the two `package.name` is would depend on what was imported before."""
    modules = {name.rpartition(".")[2] for name in MODULES if name.rpartition(".")[0] == package}
    assert not modules & set(getattr(importlib.import_module(package), "__all__", ()))


# -------------------------------------------------------------------- imports

_IMPORT_ALL = """
import importlib, importlib.machinery, importlib.util, json, sys
absent, modules = json.loads(sys.argv[1])
class CoreOnly(importlib.machinery.PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in absent else super().find_spec(name, path, target)
sys.meta_path[sys.meta_path.index(importlib.machinery.PathFinder)] = CoreOnly
for name in absent:
    assert importlib.util.find_spec(name) is None
for name in modules:
    importlib.import_module(name)
"""


def test_every_module_imports_on_core_dependencies_alone():
    """With every package of the extras out of reach."""
    own = [name for name in MODULES if not name.startswith("gpunet.testing")]  # which is for tests, and needs pytest
    extras = [
        "openvino", "tensorrt", "tensorrt_rtx", "polygraphy", "botorch", "gpytorch", "sklearn", "optuna", "ray",
        "grpc", "psycopg", "sqlalchemy", "optuna_dashboard", "matplotlib", "skimage", "tensorboard", "webdataset",
        "datasets", "hypothesis", "pytest", "faster_coco_eval", "pycocotools",
    ]  # fmt: skip
    done = _run(_IMPORT_ALL, json.dumps([extras, own]))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", [path for path in SOURCES if path.parent.name != "testing"], ids=_module_of)
def test_top_level_imports_are_of_core_dependencies(path: Path):
    core = {
        re.split(r"[^\w-]", line)[0] for line in importlib.metadata.requires("gpunet") or () if "extra ==" not in line
    }
    core = (
        {name.lower().replace("-", "_") for name in core} | {"gpunet", "PIL", "torchvision"} | sys.stdlib_module_names
    )
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in tree.body:
        named = [node.module] if isinstance(node, ast.ImportFrom) else []
        named += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        for name in named:
            assert str(name).partition(".")[0] in core, f"{path}:{node.lineno} imports {name}"


def test_nothing_imports_timms_private_modules():
    for path in SOURCES:
        for name, line in _imports(ast.parse(path.read_text(encoding="utf-8"))):
            parts = name.split(".")
            assert parts[0] != "timm" or not any(part.startswith("_") for part in parts), (
                f"{path}:{line} imports {name}"
            )


# ------------------------------------------------------------------- start-up

_CPU_TIME = """
import json, sys, time
exec(sys.argv[1])
heavy = {"torch", "timm", "onnx", "numpy", "onnxruntime", "openvino", "rich", "huggingface_hub"}
print(json.dumps({"cpu_s": time.process_time(), "heavy": sorted(heavy & set(sys.modules))}), file=sys.stderr)
"""
_REFERENCE = "import argparse, asyncio, concurrent.futures, email.message, http.client, json, logging, unittest.mock"


def _cpu_s(code: str) -> tuple[float, list[str]]:
    """CPU seconds of a process that runs `code`, the interpreter's start included, and the heavy modules it loaded."""
    done = _run(_CPU_TIME, code)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stderr.splitlines()[-1])
    return said["cpu_s"], said["heavy"]


@pytest.mark.parametrize(
    "code",
    ["import gpunet; gpunet.find('gv100', max_ms=1)", "from gpunet.cli.main import main; main(['list'])"],
    ids=["query", "list"],
)
def test_asking_is_light(code: str):
    """Beside a handful of the standard library's modules in turn, so that it holds on any machine."""
    ours, others = zip(*((_cpu_s(code), _cpu_s(_REFERENCE)) for _ in range(9)), strict=True)
    assert ours[0][1] == []
    # The least of some tries: what else runs on the machine only ever adds to it.
    assert min(cpu_s for cpu_s, _ in ours) < 3 * min(cpu_s for cpu_s, _ in others)


def test_no_help_loads_what_is_heavy():
    """The help of all imports every command's file; rich draws it."""
    code = "from gpunet.cli.command import leaves; from gpunet.cli.main import command; list(leaves(command()))"
    assert set(_cpu_s(code)[1]) <= {"rich"}


# ---------------------------------------------------------------------- tools


@pytest.mark.parametrize("path", sorted((ROOT / "tools").glob("*.py")), ids=lambda path: path.name)
def test_every_tools_help_runs(path: Path):
    done = subprocess.run([sys.executable, str(path), "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().lower().startswith("usage:")


# ----------------------------------------------------------------- docstrings


def _public(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.ClassDef]:
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            yield node
            for inner in node.body if isinstance(node, ast.ClassDef) else ():
                overload = isinstance(inner, ast.FunctionDef) and any(
                    isinstance(each, ast.Name) and each.id == "overload" for each in inner.decorator_list
                )
                if isinstance(inner, ast.FunctionDef) and not inner.name.startswith(("_", "test_")) and not overload:
                    yield inner


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: _module_of(path))
def test_every_module_and_public_function_has_a_docstring(path: Path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), f"{path} has none"
    for node in _public(tree):
        assert ast.get_docstring(node), f"{path}:{node.lineno}: {node.name} has none"


@pytest.mark.parametrize("name", ["benchmark", "create", "export", "find", "list_devices", "list_models", "load"])
def test_a_public_function_describes_its_arguments_and_errors(name: str):
    public = importlib.import_module("gpunet.exporters.onnx").export if name == "export" else getattr(gpunet, name)
    text = public.__doc__
    missing = [
        argument for argument in public.__annotations__ if argument not in ("return", "zoo") and argument not in text
    ]
    assert not missing, f"{name} does not describe {missing}"
    assert "Raises:" in text or name.startswith("list_")
