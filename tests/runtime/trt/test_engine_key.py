from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from gpunet.core.files import sha256_of
from gpunet.core.gpu import Gpu, find_gpu
from gpunet.errors import ChecksumError, InvalidArgumentError, MissingDependencyError, RuntimeUnavailableError
from gpunet.runtime.base import installed
from gpunet.runtime.sidecar import Sidecar, write_sidecar
from gpunet.runtime.trt.engine_key import Machine, differences, load_engine, stale
from gpunet.runtime.trt.options import BuildOptions

A100 = Gpu("NVIDIA A100-SXM4-80GB", "8.0", 80 << 30)
A30 = Gpu("NVIDIA A30", "8.0", 24 << 30)
L4 = Gpu("NVIDIA L4", "8.9", 24 << 30)
T4 = Gpu("Tesla T4", "7.5", 16 << 30)
HERE = Machine("10.4.0", A100, "Linux", "x86_64")
ENGINE = Sidecar(
    format="tensorrt",
    artefact_sha256="a" * 64,
    artefact_bytes=5,
    onnx_sha256="c" * 64,
    precision="fp16",
    batch=(1, 1, 1),
    runtime="tensorrt",
    runtime_version="10.4.0",
    model="gpunet_0",
    gpu=A100.name,
    compute_capabilities=("8.0",),
    os="Linux",
    machine="x86_64",
    builder_flags=BuildOptions("fp16").flags(),
)
RTX = dataclasses.replace(
    ENGINE, format="tensorrt_rtx", runtime="tensorrt_rtx", runtime_version="1.7.1", gpu=None, compute_capabilities=()
)


def _with(sidecar: Sidecar, **flags: Any) -> Sidecar:
    return dataclasses.replace(sidecar, builder_flags={**sidecar.builder_flags, **flags})


def _on(machine: Machine, /, **changes: Any) -> Machine:
    return dataclasses.replace(machine, **changes)


def test_an_engine_runs_where_it_was_built() -> None:
    assert differences(ENGINE, HERE) == []


@pytest.mark.parametrize(
    ("machine", "said"),
    [
        (_on(HERE, runtime_version="10.5.0"), ["it was built by TensorRT 10.4.0, here is 10.5.0"]),
        (_on(HERE, gpu=None), ["it needs a GPU, here is none"]),
        (_on(HERE, os="Windows"), ["it was built on the system Linux, here is Windows"]),
        (_on(HERE, machine="aarch64"), ["it was built on the processor x86_64, here is aarch64"]),
        (_on(HERE, gpu=L4), ["it was built for compute capability 8.0, the NVIDIA L4 has 8.9"]),
        (_on(HERE, gpu=A30), ["it was built on a NVIDIA A100-SXM4-80GB, here is a NVIDIA A30"]),
        (
            Machine("11.4.0", L4, "Windows", "x86_64"),
            [
                "it was built by TensorRT 10.4.0, here is 11.4.0",
                "it was built on the system Linux, here is Windows",
                "it was built for compute capability 8.0, the NVIDIA L4 has 8.9",
            ],
        ),
    ],
)
def test_all_that_differs_is_said(machine: Machine, said: list[str]) -> None:
    assert differences(ENGINE, machine) == said


@pytest.mark.parametrize(("version", "runs"), [("10.9.0", True), ("10.3.0", False), ("11.0.0", False)])
def test_version_compatibility_frees_later_minor_versions(version: str, runs: bool) -> None:
    found = differences(_with(ENGINE, version_compatible=True), _on(HERE, runtime_version=version))
    assert (found == []) is runs


@pytest.mark.parametrize(
    ("level", "gpu", "runs"),
    [
        ("ampere+", L4, True), ("ampere+", A30, True), ("ampere+", T4, False),
        ("same_compute_capability", A30, True), ("same_compute_capability", L4, False),
    ],
)  # fmt: skip
def test_hardware_compatibility_frees_from_the_gpu(level: str, gpu: Gpu, runs: bool) -> None:
    assert (differences(_with(ENGINE, hardware_compatibility=level), _on(HERE, gpu=gpu)) == []) is runs


@pytest.mark.parametrize(
    ("named", "gpu", "runs"),
    [
        ((), A100, True),
        ((), L4, True),
        ((), T4, False),
        (("8.6", "8.9"), L4, True),
        (("8.6",), L4, False),
        (("7.5",), T4, True),
    ],
)
def test_an_rtx_engine_runs_on_the_capabilities_it_was_built_for(named: tuple[str, ...], gpu: Gpu, runs: bool) -> None:
    sidecar = dataclasses.replace(RTX, compute_capabilities=named)
    found = differences(sidecar, Machine("1.7.1", gpu, "Windows", "x86_64"))
    assert (found == []) is runs
    if not runs:
        assert found[0].endswith(f"the {gpu.name} has {gpu.compute_capability}")


# ---------------------------------------------------------------- load_engine


def _write(folder: Path, sidecar: Sidecar) -> Path:
    path = folder / "gpunet_0.engine"
    path.write_bytes(b"vtrt-engine")
    write_sidecar(path, dataclasses.replace(sidecar, artefact_sha256=sha256_of(path)))
    return path


@pytest.mark.skipif(not installed("tensorrt_rtx"), reason="tensorrt-rtx is not installed")
@pytest.mark.skipif(find_gpu() is not None, reason="this machine has a GPU")
def test_an_engine_that_does_not_match_is_refused_with_what_to_do(tmp_path: Path) -> None:
    path = _write(tmp_path, RTX)
    with pytest.raises(RuntimeUnavailableError, match=r"gpunet_0\.engine cannot run here: ") as caught:
        load_engine(path)
    assert "it was built by TensorRT-RTX 1.7.1, here is " in caught.value.message
    assert caught.value.message.endswith("it needs a GPU, here is none.")
    assert caught.value.hint == f"Build it again here: gpunet-export gpunet_0 --trt-rtx --precision fp16 -o {path}"


@pytest.mark.skipif(not installed("tensorrt_rtx"), reason="tensorrt-rtx is not installed")
def test_the_command_that_built_it_is_the_hint(tmp_path: Path) -> None:
    command = ("gpunet-export", "--device", "gv100", "-o", "my engine")
    path = _write(tmp_path, dataclasses.replace(RTX, runtime_version="0.9", command=command))
    with pytest.raises(RuntimeUnavailableError) as caught:
        load_engine(path)
    assert caught.value.hint == "Build it again here: gpunet-export --device gv100 -o 'my engine'"


@pytest.mark.skipif(installed("tensorrt"), reason="tensorrt is installed")
def test_an_engine_of_a_library_that_is_not_installed(tmp_path: Path) -> None:
    with pytest.raises(MissingDependencyError, match="tensorrt is needed to build or run a TensorRT engine"):
        load_engine(_write(tmp_path, ENGINE))


def test_what_is_no_engine_is_refused(tmp_path: Path) -> None:
    path = _write(tmp_path, dataclasses.replace(ENGINE, format="onnx", runtime="onnxruntime"))
    with pytest.raises(InvalidArgumentError, match=r"gpunet_0\.engine is no engine, but onnx\.\ngpunet\.load_exported"):
        load_engine(path)


def test_a_damaged_engine_is_refused(tmp_path: Path) -> None:
    path = _write(tmp_path, RTX)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ChecksumError, match="its SHA-256 differs"):
        load_engine(path)


def test_an_engine_without_a_sidecar_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.engine").write_bytes(b"vtrt")
    with pytest.raises(InvalidArgumentError, match=r"there is no a\.engine\.json beside it"):
        load_engine(tmp_path / "a.engine")


# ---------------------------------------------------------------------- stale


def _stale(path: Path, machine: Machine, **changes: Any) -> list[str]:
    wanted = {"onnx_sha256": "c" * 64, "options": BuildOptions("fp16"), "batch": (1, 1, 1), **changes}
    return stale(path, machine=machine, **wanted)


def test_a_file_is_kept_where_nothing_changed(tmp_path: Path) -> None:
    assert _stale(_write(tmp_path, ENGINE), HERE) == []
    assert _stale(_write(tmp_path, RTX), Machine("1.7.1", None, "Linux", "x86_64")) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"onnx_sha256": "d" * 64}, "the network changed"),
        ({"options": BuildOptions("fp32")}, "the precision changed"),
        ({"batch": (1, 2, 4)}, "the batch changed"),
        ({"options": BuildOptions("fp16", optimization_level=5)}, "the build options changed"),
        ({"options": BuildOptions("fp16", tf32=True)}, "the build options changed"),
    ],
)
def test_a_file_is_stale_where_the_key_changed(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    assert _stale(_write(tmp_path, ENGINE), HERE, **changes) == [said]


def test_a_file_is_stale_on_another_machine_or_version(tmp_path: Path) -> None:
    assert _stale(_write(tmp_path, ENGINE), _on(HERE, gpu=A30)) == [
        "it was built on a NVIDIA A100-SXM4-80GB, here is a NVIDIA A30"
    ]
    other = Machine("1.8.0", None, "Linux", "x86_64")
    assert _stale(_write(tmp_path, RTX), other) == ["the version of TensorRT-RTX changed"]


def test_a_file_that_is_missing_or_damaged_is_stale(tmp_path: Path) -> None:
    (said,) = _stale(tmp_path / "nothing.engine", HERE)
    assert said.endswith("there is no such file")
    path = _write(tmp_path, ENGINE)
    path.write_bytes(b"half")
    (said,) = _stale(path, HERE)
    assert said.endswith("its SHA-256 differs")
