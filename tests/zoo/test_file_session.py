"""Files are measured by what can run them, at the precision that they hold: made by deploy, for real."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gpunet.core.gpu import find_gpu
from gpunet.errors import InvalidArgumentError, RuntimeUnavailableError
from gpunet.exporters.deployment import deploy
from gpunet.model.network import GPUNet
from gpunet.model.parts import HeadSpec, StageSpec, StemSpec
from gpunet.model.spec import NetworkSpec
from gpunet.runtime.onnxruntime.arithmetic import computes_half
from gpunet.zoo.benchmark import benchmark
from gpunet.zoo.file_session import file_named, session_from_file

SPEC = NetworkSpec(32, StemSpec(8), (StageSpec("fused_irb", 8, stride=2, expansion=2),), HeadSpec(16))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of fp32.onnx, fp16.onnx, int8.onnx and the same as .xml, and fp16.engine."""
    folder = tmp_path_factory.mktemp("files")
    pictures = folder / "pictures"
    pictures.mkdir()
    for number in range(8):
        values = np.random.default_rng(number).integers(0, 256, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(values).save(pictures / f"{number}.png")
    torch.manual_seed(0)
    model = GPUNet(SPEC, num_classes=10)
    for precision in ("fp32", "fp16", "int8"):
        calibration = pictures if precision == "int8" else None
        for target, suffix in (("onnx", ".onnx"), ("openvino", ".xml")):
            path = folder / f"{precision}{suffix}"
            deploy(model, path, target=target, precision=precision, calibration=calibration, batch_size=2)
    deploy(model, folder / "fp16.engine", target="tensorrt_rtx", precision="fp16")
    return folder


def test_a_file_is_told_from_a_name() -> None:
    assert file_named("gpunet_1") is None
    assert file_named(torch.nn.ReLU()) is None
    assert [file_named(f"a{suffix}") for suffix in (".onnx", ".XML", ".engine", ".plan")] == [
        Path("a.onnx"), Path("a.XML"), Path("a.engine"), Path("a.plan")]  # fmt: skip
    assert file_named(Path("anything")) == Path("anything")


@pytest.mark.parametrize("name", ["fp32.onnx", "fp16.onnx", "int8.onnx", "fp32.xml", "int8.xml"])
def test_the_precision_is_what_is_computed(files: Path, name: str) -> None:
    runtime = "openvino" if name.endswith(".xml") else "onnxruntime"
    clock = itertools.count(0, 0.01).__next__
    got = benchmark(files / name, runtime=runtime, batch_size=2, threads=1, clock=clock)
    held = name.partition(".")[0]
    computed = "fp32" if held == "fp16" and not computes_half() else held
    assert (got.conditions["file_precision"], got.conditions["precision"]) == (held, computed)
    assert (got.conditions["runtime"], got.conditions["model"]) == (runtime, name)


def test_an_ir_runs_on_openvino_alone(files: Path) -> None:
    assert session_from_file(files / "fp32.xml").runtime == "openvino"
    with pytest.raises(InvalidArgumentError, match=r"fp32\.xml runs on openvino, but runtime is 'ort'\.\nLeave"):
        session_from_file(files / "fp32.xml", runtime="ort")


def test_half_runs_in_half_or_may_be_called_what_it_is(files: Path) -> None:
    for name in ("fp16.xml", "fp16.onnx"):
        single = session_from_file(files / name, precision="fp32")
        assert (single.precision, single.conditions["file_precision"]) == ("fp32", "fp16")
        session = session_from_file(files / name)
        try:
            assert session_from_file(files / name, precision="fp16").precision == session.precision == "fp16"
        except RuntimeUnavailableError as error:
            assert "on this processor, not in fp16" in error.message  # noqa: PT017
            assert session.precision == "fp32"


@pytest.mark.parametrize(
    ("name", "precision", "message"),
    [
        ("fp32.onnx", "fp16", r"fp32\.onnx: it is in fp32, but precision is 'fp16'\.\nPass precision='fp32'"),
        ("fp16.onnx", "int8", r"fp16\.onnx: it is in fp16, but precision is 'int8'"),
        ("int8.onnx", "fp32", r"int8\.onnx: it is in int8, but precision is 'fp32'"),
        ("fp32.onnx", "int8", r"fp32\.onnx: it is in fp32, but precision is 'int8'"),
        ("int8.xml", "fp32", r"int8\.xml: it is in int8, but precision is 'fp32'"),
        ("fp32.xml", "int8", r"fp32\.xml: it is in fp32, but precision is 'int8'"),
        ("fp16.engine", "fp32", r"fp16\.engine: it is in fp16, but precision is 'fp32'"),
    ],
)
def test_another_precision_is_refused(files: Path, name: str, precision: str, message: str) -> None:
    runtime = "onnxruntime" if name.endswith(".onnx") else None
    with pytest.raises(InvalidArgumentError, match=message):
        session_from_file(files / name, runtime=runtime, precision=precision)


def test_an_engine_runs_on_its_own_library(files: Path) -> None:
    with pytest.raises(InvalidArgumentError, match=r"fp16\.engine runs on tensorrt_rtx, but runtime is 'openvino'"):
        session_from_file(files / "fp16.engine", runtime="openvino")
    if find_gpu() is None:
        with pytest.raises(RuntimeUnavailableError, match=r"fp16\.engine cannot run here: it needs a GPU"):
            session_from_file(files / "fp16.engine")


def test_files_that_cannot_be_measured(files: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match=r"a file to measure ends in \.onnx, .*, but got .*net\.pt"):
        session_from_file(tmp_path / "net.pt")
    for name in ("none.onnx", "none.xml", "none.engine"):
        with pytest.raises(InvalidArgumentError, match=rf"{name}: there is no such file\.\n.*gpunet-export"):
            session_from_file(tmp_path / name)
    (tmp_path / "lone.xml").write_bytes((files / "fp32.xml").read_bytes())
    with pytest.raises(InvalidArgumentError, match=r"lone\.xml cannot be read by OpenVINO .*\nIts \.bin must lie"):
        session_from_file(tmp_path / "lone.xml")
    half = (files / "fp32.onnx").read_bytes()
    (tmp_path / "half.onnx").write_bytes(half[: len(half) // 2])
    with pytest.raises(InvalidArgumentError, match=r"half\.onnx is not a whole ONNX file"):
        session_from_file(tmp_path / "half.onnx")
