"""The distribution: its metadata, and what a wheel of it holds."""

from __future__ import annotations

import email.message
import importlib.metadata
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from helpers import ROOT

import gpunet


def _requirements() -> list[str]:
    return importlib.metadata.requires("gpunet") or []


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from a copy of the sources, so that nothing is written into the checkout; needs no network."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "setup.cfg", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, source)
    for name in ("gpunet", "tests", "tools", "docs"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", str(out), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Deprecat" not in done.stdout + done.stderr
    (built,) = out.glob("*.whl")
    return built


def _names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_wheel_holds_every_module_all_data_and_the_type_marker(wheel: Path):
    expected = {
        str(path.relative_to(ROOT))
        for pattern in ("*.py", "*.json", "*.csv", "*.csv.gz", "*.npz", "py.typed")
        for path in (ROOT / "gpunet").rglob(pattern)
    }
    assert {"gpunet/py.typed", "gpunet/zoo/data/gpunet_1.json", "gpunet/zoo/data/published.csv"} <= expected
    assert {name for name in _names(wheel) if name.startswith("gpunet/")} == expected


def test_the_wheel_holds_nothing_else_but_its_metadata(wheel: Path):
    others = {name for name in _names(wheel) if not name.startswith("gpunet/")}
    assert {name.split("/")[0] for name in others} == {f"gpunet-{gpunet.__version__}.dist-info"}
    assert any(name.endswith("licenses/LICENSE") for name in others)


def test_the_wheel_names_its_commands_version_licence_and_python(wheel: Path):
    info = f"gpunet-{gpunet.__version__}.dist-info"
    with zipfile.ZipFile(wheel) as archive:
        scripts = archive.read(f"{info}/entry_points.txt").decode()
        metadata: email.message.Message = email.message_from_bytes(archive.read(f"{info}/METADATA"))
    assert "gpunet = gpunet.cli.main:run" in scripts
    assert "gpunet-export = gpunet.cli.export:run" in scripts
    assert metadata["Version"] == gpunet.__version__
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.10"
    assert "# gpunet" in metadata.get_payload()


def test_the_zoo_can_be_read_from_the_wheel_itself(wheel: Path):
    """As it is installed: from a folder that is not the checkout."""
    folder = wheel.parent / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    code = "import gpunet; print(gpunet.__file__, len(gpunet.find('gv100', include_baselines=True)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    file, count = done.stdout.split()
    assert Path(file) == folder / "gpunet" / "__init__.py"
    assert int(count) > 15


def test_the_installed_version_is_the_codes():
    assert importlib.metadata.version("gpunet") == gpunet.__version__


@pytest.mark.parametrize("command", ["gpunet", "gpunet-export"])
def test_the_commands_are_installed_and_can_be_loaded(command: str):
    (entry,) = importlib.metadata.entry_points(group="console_scripts", name=command)
    assert callable(entry.load())


def test_dependencies_have_lower_bounds_only():
    for requirement in _requirements():
        if 'extra == "dev"' not in requirement:
            assert not re.search(r"<|==|~=|!=", requirement.partition(";")[0]), requirement


def test_every_extra_that_an_error_names_exists():
    extras = set(importlib.metadata.metadata("gpunet").get_all("Provides-Extra"))
    assert {"openvino", "tensorrt", "rtx", "search", "cluster", "plots", "dev"} <= extras
    text = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "gpunet").rglob("*.py"))
    named = set(re.findall(r"gpunet\[(\w+)\]", text)) | set(re.findall(r'require\(\s*"[\w.]+",\s*"(\w+)"', text))
    assert named
    assert named <= extras
