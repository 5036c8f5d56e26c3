"""Networks compared inside: sound ones pass at every precision on both runtimes, and a fault is named where it is."""

from __future__ import annotations

import json
import re

import numpy as np
import onnx
import pytest
from damages import damaged
from onnx import numpy_helper

from gpunet.exporters import layers
from gpunet.exporters.graph.bfloat16 import bfloat16_from_float
from gpunet.exporters.graph.half import half_from_float
from gpunet.exporters.images import image_set
from gpunet.exporters.int8.calibration import calibration_images
from gpunet.exporters.int8.quantize import int8_from_float
from gpunet.exporters.layers import OPERATOR_ERRORS, compare_layers, with_constants_of
from gpunet.exporters.onnx import onnx_from_network
from gpunet.runtime.onnxruntime.pieces import OnnxPieces
from gpunet.runtime.openvino.runtime import OpenVINO

from .conftest import make_model


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return image_set(make_model(), (3, 32, 32)).arrays[:4]


@pytest.fixture(scope="module")
def graphs(images) -> dict[str, onnx.ModelProto]:
    model = make_model()
    floats = onnx_from_network(model, batch_size=(1, 2, 4))
    calibration = calibration_images(model, (3, 32, 32), images)
    return {
        "fp32": floats,
        "fp16": half_from_float(floats),
        "bf16": bfloat16_from_float(floats),
        **{layout: int8_from_float(floats, calibration, layout=layout)[0] for layout in ("tensorrt", "onnxruntime")},
    }


def precision_of(kind: str) -> str:
    return kind if kind in OPERATOR_ERRORS else "int8"


@pytest.mark.parametrize("pieces", [OnnxPieces, OpenVINO().pieces])
@pytest.mark.parametrize("kind", ["fp32", "fp16", "bf16", "tensorrt", "onnxruntime"])
def test_what_is_sound_passes_with_room(graphs, images, kind, pieces) -> None:
    found = compare_layers(graphs["fp32"], graphs[kind], pieces(graphs[kind]), images, precision_of(kind))
    assert found.passed
    assert found.compared == found.tensors > 50
    assert found.error < found.allowed_error / 3
    assert found.allowed_error == OPERATOR_ERRORS[precision_of(kind)]
    assert f"inside, {found.compared} of {found.tensors} tensors" in str(found)
    assert json.loads(json.dumps(found.to_dict()))["faults"] == []


@pytest.mark.parametrize("kind", ["fp32", "fp16", "bf16", "tensorrt"])
@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("a gate cut", "differs by"),
        ("a residual dropped", "differs by"),
        ("padding moved by a pixel", "Conv .* differs by"),
        ("depthwise kernel turned by 180 degrees", "input 1 of Conv .* is not its constant, rounded"),
        ("a bias rolled", "input 2 of .* is not its constant, rounded"),
    ],
)
def test_a_fault_is_named(graphs, images, kind, damage, said) -> None:
    wrong = damaged(graphs["fp32" if kind == "bf16" else kind], damage, 0)  # which stays where weights are cast
    assert wrong is not None
    wrong = bfloat16_from_float(wrong) if kind == "bf16" else wrong
    found = compare_layers(graphs["fp32"], wrong, OnnxPieces(wrong), images, precision_of(kind))
    assert not found.passed
    assert any(re.search(said, each) for each in found.faults)


@pytest.mark.parametrize(
    ("damage", "said"),
    [("int8: zero point off by one", "steps"), ("int8: scale halved", "are clipped")],
)
def test_integers_that_keep_too_little_are_named(graphs, images, damage, said) -> None:
    wrong = damaged(graphs["onnxruntime"], damage, 1)
    assert wrong is not None
    found = compare_layers(graphs["fp32"], wrong, OnnxPieces(wrong), images, "int8")
    assert any(said in each for each in found.coarse)
    assert not found.passed


def test_faults_are_counted_where_they_are_many(graphs, images) -> None:
    wrong = onnx.ModelProto()
    wrong.CopyFrom(graphs["fp16"])
    for tensor in wrong.graph.initializer:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * np.float16(1.01), tensor.name))
    found = compare_layers(graphs["fp32"], wrong, OnnxPieces(wrong), images[:1], "fp16")
    assert len(found.faults) == 4
    assert found.faults[3].endswith(" more")


def test_what_is_not_finite_or_of_another_shape_is_a_fault(graphs, images) -> None:
    wrong = onnx.ModelProto()
    wrong.CopyFrom(graphs["fp32"])
    node = next(node for node in wrong.graph.node if node.op_type == "GlobalAveragePool")
    node.op_type = "Sqrt"  # of another shape, and not a number where its input is below 0
    found = compare_layers(graphs["fp32"], wrong, OnnxPieces(wrong), images[:1], "fp32")
    assert f"GlobalAveragePool {node.output[0]} is of another shape, or not finite" in found.faults


def test_few_tensors_are_held_at_a_time(graphs, images, monkeypatch) -> None:
    whole = compare_layers(graphs["fp32"], graphs["tensorrt"], OnnxPieces(graphs["tensorrt"]), images, "int8", 3)
    monkeypatch.setattr(layers, "_CHUNK_BYTES", 1_500_000)
    for pieces in (OnnxPieces, OpenVINO().pieces):
        found = compare_layers(graphs["fp32"], graphs["tensorrt"], pieces(graphs["tensorrt"]), images, "int8", 3)
        assert found.passed
        assert found.compared == whole.compared


def test_the_reference_takes_over_the_constants_as_they_are_rounded(graphs) -> None:
    rounded, faults = with_constants_of(graphs["fp16"], graphs["fp32"])
    assert not faults
    node = next(node for node in rounded.graph.node if node.op_type == "Conv")
    old = next(each for each in graphs["fp32"].graph.node if each.output == node.output)
    weights = {each.name: numpy_helper.to_array(each) for each in (*rounded.graph.initializer,
                                                                  *graphs["fp32"].graph.initializer)}  # fmt: skip
    assert np.array_equal(weights[node.input[1]], weights[old.input[1]].astype(np.float16).astype(np.float32))


def test_half_may_lose_what_it_cannot_hold() -> None:
    tally = layers._Tally()
    tally.add(np.full((1, 2, 3, 3), 1e-8, np.float32), np.zeros((1, 2, 3, 3), np.float32))
    assert tally.error(2.0**-24) == 0
    assert tally.error(0.0) == pytest.approx(1)
    nothing = layers._Tally()
    nothing.add(np.zeros((1, 2), np.float32), np.ones((1, 2), np.float32))
    assert nothing.error(0.0) == np.inf
