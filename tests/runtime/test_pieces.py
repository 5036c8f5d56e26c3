"""Networks run in parts: one contract, of ONNX Runtime and OpenVINO."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from helpers.small_onnx import SIDE, make_onnx

from gpunet import runtime as runtimes
from gpunet.errors import InvalidArgumentError
from gpunet.runtime.onnxruntime.arithmetic import computes_half
from gpunet.runtime.openvino.runtime import core

IMAGES = np.random.default_rng(0).standard_normal((1, 3, SIDE, SIDE)).astype(np.float32)


@pytest.fixture(params=["onnxruntime", "openvino"])
def runtime(request):
    return runtimes.get(request.param)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_all_parts_together_are_the_network(runtime, precision) -> None:
    network = make_onnx(precision=precision)
    pieces = runtime.pieces(network)
    assert pieces.source == pieces.names[0] == "input"
    assert {"conv1", "conv1.relu", "conv2", "pool", "logits"} <= set(pieces.names)
    whole = runtime.load(network).run(IMAGES)
    piece = pieces.open(["conv1.relu", "logits"], ["input"])
    assert tuple(piece.needs) == ("input",)
    found = piece.run({"input": IMAGES})
    assert {each.dtype for each in found.values()} == {np.dtype(np.float32)}
    assert found["logits"] == pytest.approx(whole, rel=2e-2 if precision == "fp16" else 1e-3, abs=1e-3)


def test_a_part_reads_what_is_given(runtime) -> None:
    pieces = runtime.pieces(make_onnx())
    names = ["conv1", "conv1.relu", "conv2", "logits"]
    piece = pieces.open(names, ["input", *names])
    assert set(piece.needs) == {"input", "conv1", "conv1.relu", "conv2"}
    given = {"input": IMAGES, "conv1": -np.ones((1, 16, 16, 16), np.float32)}
    given |= {"conv1.relu": np.zeros((1, 16, 16, 16), np.float32), "conv2": np.zeros((1, 32, 8, 8), np.float32)}
    found = piece.run(given)
    assert np.ptp(found["conv1"]) > 0.1
    assert not found["conv1.relu"].any()
    assert not found["conv2"].any()
    assert not found["logits"].any()


def test_layers_of_one_name_are_told_apart(tmp_path: Path) -> None:
    """OpenVINO's own names are those of its makers, and need not differ."""
    path = tmp_path / "same.xml"
    openvino = pytest.importorskip("openvino")
    openvino.save_model(core().read_model(make_onnx()), path, compress_to_fp16=False)
    path.write_text(re.sub(r'(<layer id="\d+" name=)"[^"]*"', r'\1"same"', path.read_text()))
    runtime = runtimes.get("openvino")
    piece = runtime.pieces(path).open(["conv1.relu", "logits"], ["input"])  # type: ignore[attr-defined]
    assert piece.needs == ("input",)
    np.testing.assert_allclose(piece.run({"input": IMAGES})["logits"], runtime.load(path).run(IMAGES), atol=1e-5)


def test_what_cannot_be_loaded_is_said() -> None:
    network = onnx.load_from_string(make_onnx())
    network.graph.node[0].input[1] = "no such weight"
    said = r"ONNX Runtime cannot load a part of this network(.|\n)*Does it load as a whole\?"
    with pytest.raises(InvalidArgumentError, match=said):
        runtimes.get("onnxruntime").pieces(network).open(["conv1"], ["input"])


def test_what_half_is_computed_in_is_what_onnxruntime_makes_of_it(tmp_path) -> None:
    """Of a whole network: convolutions that read a cast to float32 are computed in it."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.optimized_model_filepath = str(tmp_path / "made.onnx")
    onnxruntime.InferenceSession(make_onnx(precision="fp16"), options, providers=["CPUExecutionProvider"])
    graph = onnx.load(tmp_path / "made.onnx").graph
    casts = {name for node in graph.node if node.op_type == "Cast" for name in node.output if name != "half"}
    layers = [node for node in graph.node if node.op_type == "Conv"]
    assert computes_half() == (not any(node.input[1] in casts for node in layers))
