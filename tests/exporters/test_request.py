"""What deploy refuses before any work."""

from __future__ import annotations

import pytest

from gpunet.errors import InvalidArgumentError
from gpunet.exporters.request import check_request
from gpunet.runtime.trt.options import BuildOptions


@pytest.mark.parametrize(
    ("name", "how", "message"),
    [
        (
            "n.onnx",
            {"target": "coreml"},
            "target must be one of onnx, openvino, tensorrt, tensorrt_rtx, but got",
        ),
        ("n.onnx", {"precision": "fp8"}, "precision must be one of fp32, fp16, bf16, int8, but got 'fp8'"),
        ("n.onnx", {"precision": "bf16"}, "the format 'onnx' cannot be in bf16: onnxruntime does not compute in it"),
        ("n.engine", {"target": "tensorrt", "precision": "bf16"}, "the format 'tensorrt' cannot be in bf16"),
        ("n.xml", {}, "path must end in .onnx, but got"),
        ("n.onnx", {"target": "openvino"}, "path must end in .xml, but got"),
        ("n.onnx", {"target": "tensorrt_rtx"}, "an engine is no .onnx file, but got"),
        ("n.onnx", {"io_fp16": True}, "io_fp16 goes with precision 'fp16' for ONNX and engines, but got 'fp32'"),
        ("n.onnx", {"precision": "int8"}, "calibration goes with int8 and int8 with calibration, but it is not given"),
        (
            "n.onnx",
            {"calibration": "x"},
            "int8 with calibration, but it is given for fp32",
        ),
        ("n.engine", {}, "path must end in .onnx, but got"),
        ("n.engine", {}, "n.onnx. .engine goes with --trt or --trt-rtx."),
        ("n.onnx", {"leave_out": ["Conv_0"]}, "leave_out goes with int8, but got Conv_0 for fp32"),
        ("n.onnx", {"cache": True}, "cache is for engines, but the format is 'onnx'"),
        (
            "n.xml",
            {"target": "openvino", "options": BuildOptions(optimization_level=5)},
            "build options are for engines, but the format is 'openvino'",
        ),
        ("n.onnx", {"int8_layout": "openvino"}, "int8_layout goes with int8, but got 'openvino' for fp32"),
        (
            "n.onnx",
            {"precision": "int8", "calibration": "x", "int8_layout": "ncnn"},
            "layout must be one of tensorrt, openvino, onnxruntime, but got 'ncnn'",
        ),
        (
            "n.engine",
            {"target": "tensorrt_rtx", "precision": "int8", "calibration": "x", "int8_layout": "onnxruntime"},
            "int8_layout is 'tensorrt' for tensorrt_rtx, but got 'onnxruntime'.",
        ),
        (
            "n.xml",
            {"target": "openvino", "precision": "int8", "calibration": "x", "int8_layout": "tensorrt"},
            "int8_layout is 'openvino' for openvino, but got 'tensorrt'.",
        ),
        ("n.onnx", {"batch_size": 0}, "batch_size must be an integer of 1 or more, but got 0"),
        ("n.onnx", {"batch_size": (4, 2, 8)}, "min <= opt <= max must hold for batch_size, but got 4, 2, 8"),
    ],
)
def test_requests_that_cannot_be_met(tmp_path, name, how, message) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        check_request(tmp_path / name, **how)
    assert message in str(caught.value)
    assert not any(tmp_path.iterdir())


def test_a_request_says_what_follows_from_it(tmp_path) -> None:
    request = check_request(tmp_path / "n.engine", target="tensorrt_rtx", precision="fp16", batch_size=(1, 2, 4))
    assert request.batch.sizes == request.options.batch == (1, 2, 4)
    assert request.options.precision == "fp16"
    how = {"precision": "int8", "calibration": "x"}
    assert check_request(tmp_path / "n.onnx", **how).layout == "tensorrt"
    assert check_request(tmp_path / "n.xml", target="openvino", **how).layout == "openvino"
    assert check_request(tmp_path / "n.onnx", int8_layout="onnxruntime", **how).layout == "onnxruntime"
