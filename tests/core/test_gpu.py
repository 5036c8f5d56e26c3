from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpunet.core.gpu import (
    Gpu,
    GpuClocks,
    clocks_from_csv,
    find_gpu,
    gpu_clocks,
    gpu_from_csv,
    gpu_name,
    output_of,
    visible_gpus,
)
from gpunet.core.machine import fingerprint


def test_a_line_of_nvidia_smi() -> None:
    text = "NVIDIA H200, 9.0, 143771\nNVIDIA H200, 9.0, 143771\n"
    assert gpu_from_csv(text) == Gpu("NVIDIA H200", "9.0", 143771 << 20)


@pytest.mark.parametrize("text", ["", "No devices were found", "NVIDIA A100, 8.0, [N/A]"])
def test_no_gpu_in_what_nvidia_smi_says(text: str) -> None:
    assert gpu_from_csv(text) is None


def test_clocks_in_what_nvidia_smi_says() -> None:
    assert clocks_from_csv("1980, 2619, 1980, 0x0000000000000000\n") == GpuClocks(1980, 2619, 1980, False)
    assert clocks_from_csv("1200, 2619, 1980, 0x0000000000000002") == GpuClocks(1200, 2619, 1980, True)
    slowed = GpuClocks(900, None, 1980, False, ("power cap", "hardware thermal slowdown"))
    assert clocks_from_csv("900, [N/A], 1980, 0x0000000000000044") == slowed
    assert (
        clocks_from_csv("No devices were found") is clocks_from_csv("") is clocks_from_csv("[N/A], 1, 1, 0x0") is None
    )


@pytest.fixture
def nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A program of that name, first on the path, that knows two GPUs."""
    if os.name == "nt":
        pytest.skip("the stand-in is a shell script")
    program = tmp_path / "nvidia-smi"
    program.write_text(
        '#!/bin/sh\ncase "$*" in *index*) echo 0; echo 1;; *--id=1*) echo "NVIDIA A30, 8.0, 24576";; '
        '*--id=*) echo "no devices"; exit 6;; *) echo "NVIDIA H200, 9.0, 143771"; echo "NVIDIA A30, 8.0, 1";; esac\n'
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    find_gpu.cache_clear()
    yield program
    find_gpu.cache_clear()


@pytest.mark.parametrize(
    ("visible", "name"),
    [
        (None, "NVIDIA H200"),
        ("1,0", "NVIDIA A30"),
        ("7", None),
        ("", None),
        ("-1", None),
        ("MIG-5c89", "NVIDIA H200 (MIG-5c89)"),
    ],
)
@pytest.mark.usefixtures("nvidia_smi")
def test_the_gpu_is_the_first_visible_one(
    monkeypatch: pytest.MonkeyPatch, visible: str | None, name: str | None
) -> None:
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert gpu_name() == name
    gpu = find_gpu()
    assert (gpu and gpu.name) == (name and name.partition(" (")[0])


@pytest.mark.usefixtures("nvidia_smi")
def test_a_gpus_fingerprint_bears_its_name() -> None:
    here = fingerprint(runtime="tensorrt", runtime_version="10", precision="fp16", threads=None, on_gpu=True)
    assert (here.processor, here.threads) == ("NVIDIA H200", None)


def test_without_a_gpu_there_is_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpu_name() is None
    here = fingerprint(runtime="tensorrt", runtime_version="10", precision="fp16", threads=None, on_gpu=True)
    assert here.processor == "unknown GPU"


def test_a_driver_that_fails_knows_no_gpu(nvidia_smi: Path) -> None:
    nvidia_smi.write_text("#!/bin/sh\necho 'No devices were found'\nexit 6\n")
    assert find_gpu() is None
    assert visible_gpus() == []


def test_clocks_are_those_of_the_gpu_in_use(nvidia_smi: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nvidia_smi.write_text('#!/bin/sh\ncase "$*" in *--id=1*) echo "900, 1, 2, 0x4";; *) echo "800, 1, 2, 0x2";; esac\n')
    assert gpu_clocks() == GpuClocks(800, 1, 2, True)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,0")
    assert gpu_clocks() == GpuClocks(900, 1, 2, False, ("power cap",))
    monkeypatch.setenv("PATH", str(nvidia_smi.parent / "nothing"))
    assert gpu_clocks() is None


def test_gpus_to_use_are_those_of_the_environment_or_of_the_driver(
    nvidia_smi: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert visible_gpus() == ["0", "1"]
    for given, names in {"": [], "-1": [], "0,2": ["0", "2"], " GPU-1f, 3 ,": ["GPU-1f", "3"]}.items():
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
        assert visible_gpus() == names


def test_a_command_that_fails_says_nothing() -> None:
    assert output_of([sys.executable, "-c", "raise SystemExit(1)"]) == ""
    assert output_of(["no-such-program-here"]) == ""
    assert output_of([sys.executable, "-c", "print(' x ')"]) == "x"
