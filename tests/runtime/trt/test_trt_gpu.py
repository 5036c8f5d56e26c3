from __future__ import annotations

import os
from pathlib import Path

import pytest

from gpunet.runtime.trt import gpu
from gpunet.runtime.trt.gpu import Gpu, find_gpu, gpu_from_csv


def test_a_line_of_nvidia_smi() -> None:
    text = "NVIDIA H200, 9.0, 143771\nNVIDIA H200, 9.0, 143771\n"
    assert gpu_from_csv(text) == Gpu("NVIDIA H200", "9.0", 143771 << 20)


@pytest.mark.parametrize("text", ["", "No devices were found", "NVIDIA A100, 8.0, [N/A]"])
def test_no_gpu_in_what_nvidia_smi_says(text: str) -> None:
    assert gpu_from_csv(text) is None


@pytest.fixture
def nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A script of that name, alone on the path; it prints its arguments into a file beside it."""
    if os.name != "posix":
        pytest.skip("the stand-in for nvidia-smi is a shell script")
    import torch

    if torch.cuda.is_available():
        pytest.skip("torch sees a GPU here and is asked first")
    script = tmp_path / "nvidia-smi"
    script.write_text(f"#!/bin/sh\necho \"$@\" > {tmp_path}/asked\necho 'Tesla V100-SXM2-16GB, 7.0, 16160'\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    find_gpu.cache_clear()
    yield tmp_path
    find_gpu.cache_clear()


def test_nvidia_smi_is_asked(nvidia_smi: Path) -> None:
    assert find_gpu() == Gpu("Tesla V100-SXM2-16GB", "7.0", 16160 << 20)
    assert "compute_cap" in (nvidia_smi / "asked").read_text()


@pytest.mark.parametrize("hidden", ["", "-1"])
def test_hidden_gpus_are_none(nvidia_smi: Path, monkeypatch: pytest.MonkeyPatch, hidden: str) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    assert find_gpu() is None


def test_the_visible_gpu_is_asked_for(nvidia_smi: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,1")
    assert find_gpu() is not None
    assert "--id=3" in (nvidia_smi / "asked").read_text()


def test_an_nvidia_smi_that_fails_is_no_gpu(nvidia_smi: Path) -> None:
    (nvidia_smi / "nvidia-smi").write_text("#!/bin/sh\nexit 9\n")
    assert gpu.find_gpu() is None
