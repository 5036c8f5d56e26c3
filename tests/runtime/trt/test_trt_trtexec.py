from __future__ import annotations

import shlex

import pytest

from gpunet.errors import InvalidArgumentError
from gpunet.runtime.trt.options import BuildOptions
from gpunet.runtime.trt.timing import Switches
from gpunet.runtime.trt.trtexec import trtexec_command

SAME = ["--warmUp=200", "--iterations=10", "--duration=3"]


@pytest.mark.parametrize(
    ("version", "precision", "words"),
    [
        ("8.0", "fp16", ["--workspace=10240", "--fp16"]),
        ("8.6", "fp16", ["--memPoolSize=workspace:10240", "--fp16"]),
        ("8.6", "fp32", ["--memPoolSize=workspace:10240", "--noTF32"]),
        ("8.6", "int8", ["--memPoolSize=workspace:10240", "--int8", "--fp16"]),
        ("10.4", "fp16", ["--memPoolSize=workspace:10240", "--stronglyTyped", "--noTF32"]),
    ],
)
def test_the_old_trtexec_measures_our_way_by_default(version: str, precision: str, words: list[str]) -> None:
    command = trtexec_command("gpunet_0.onnx", version, options=BuildOptions(precision))
    assert shlex.split(command) == ["trtexec", "--onnx=gpunet_0.onnx", *words, *SAME]


def test_trtexec_11_has_to_be_told_all_three_switches() -> None:
    command = trtexec_command("gpunet_0.onnx", "11", options=BuildOptions("fp16"))
    words = ["--memPoolSize=workspace:10240", "--noTF32", "--noCudaGraph", "--noSpinWait", "--includeDataTransfers"]
    assert shlex.split(command) == ["trtexec", "--onnx=gpunet_0.onnx", *words, *SAME]


def test_the_switches_the_other_way_round() -> None:
    switches = Switches.of_trtexec("11")
    old = trtexec_command("a.engine", "10.4", switches=switches)
    assert old == "trtexec --loadEngine=a.engine --useCudaGraph --useSpinWait --noDataTransfers " + " ".join(SAME)
    assert trtexec_command("a.engine", "11.4.0", switches=switches) == "trtexec --loadEngine=a.engine " + " ".join(SAME)


def test_the_tool_of_rtx() -> None:
    options = BuildOptions("fp16", compute_capabilities=("8.6", "12.0"))
    words = shlex.split(trtexec_command("a.onnx", "1.7", options=options, rtx=True))
    assert words[0] == "tensorrt_rtx"
    assert "--computeCapabilities=86,120" in words
    assert "--rtxCudaGraphStrategy=disable" in words
    assert "--stronglyTyped" not in words


def test_shapes_and_profile_of_a_file_that_takes_any_batch() -> None:
    options = BuildOptions(
        batch=(1, 8, 64), optimization_level=5, hardware_compatibility="ampere+", version_compatible=True
    )
    words = shlex.split(
        trtexec_command("a.onnx", "10.4", options=options, shape=(8, 3, 320, 320), export_times="t.json")
    )
    for word in (
        "--minShapes=input:1x3x320x320", "--optShapes=input:8x3x320x320", "--maxShapes=input:64x3x320x320",
        "--shapes=input:8x3x320x320", "--builderOptimizationLevel=5", "--hardwareCompatibilityLevel=ampere+",
        "--versionCompatible", "--exportTimes=t.json",
    ):  # fmt: skip
        assert word in words


def test_names_with_spaces_are_quoted_for_the_shell() -> None:
    command = trtexec_command("my model.onnx", "10.4")
    assert shlex.split(command)[1] == "--onnx=my model.onnx"


def test_tf32_and_same_capability() -> None:
    options = BuildOptions(tf32=True, hardware_compatibility="same_compute_capability")
    words = shlex.split(trtexec_command("a.onnx", "11", options=options))
    assert "--noTF32" not in words
    assert "--hardwareCompatibilityLevel=sameComputeCapability" in words


def test_a_version_that_is_no_number_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match=r"a TensorRT version is a number such as 10\.4, but got 'new'"):
        trtexec_command("a.onnx", "new")
