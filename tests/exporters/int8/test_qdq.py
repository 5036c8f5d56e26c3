"""Q/DQ nodes in a graph: the integers, scales and zero points that each runtime is given."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from onnx import numpy_helper

from gpunet import runtime as runtimes
from gpunet.exporters.int8.qdq import SMALLEST_SCALE, Scale, channel_axis, insert, name_nodes, quantized_weight
from gpunet.exporters.int8.qdq_plan import WEIGHT_MOST, plan

LAYOUTS = runtimes.layouts()


def quantized(model: onnx.ModelProto, layout: str, scale: Scale) -> onnx.ModelProto:
    planned = plan(model, LAYOUTS[layout])
    return insert(model, planned, dict.fromkeys(planned.tensors, scale), LAYOUTS[layout])


def constants(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


@pytest.fixture
def one_layer(graph):
    graph.conv("x", 12, 4, to="y")
    return name_nodes(graph.model())


@pytest.mark.parametrize("layout", LAYOUTS)
def test_weights_are_signed_bytes_with_a_scale_for_each_channel(one_layer, layout):
    found = constants(quantized(one_layer, layout, Scale(0.05, 0)))
    weight, scale = found["Conv_0.weight.integers"], found["Conv_0.weight.scale"]
    assert (weight.dtype, weight.shape, scale.shape) == (np.int8, (4, 12, 3, 3), (4,))
    assert np.abs(weight).max(axis=(1, 2, 3)).tolist() == [WEIGHT_MOST] * 4
    exact = constants(one_layer)["w0"]
    assert np.abs(weight * scale[:, None, None, None] - exact).max() <= 0.5001 * scale.max()
    assert "w0" not in found, "the float weight is not kept beside it"


def test_what_tensorrt_takes(one_layer):
    model = quantized(one_layer, "tensorrt", Scale(0.05, 0))
    found = constants(model)
    assert (found["x.zero"].dtype, int(found["x.zero"])) == (np.int8, 0)
    assert found["w1"].dtype == np.float32, "the bias stays as it is"
    assert [node.op_type for node in model.graph.node] == [
        "QuantizeLinear", "DequantizeLinear", "DequantizeLinear", "Conv"]  # fmt: skip


def test_what_openvino_is_given(one_layer):
    found = constants(quantized(one_layer, "openvino", Scale(0.05, 128)))
    assert (found["x.zero"].dtype, int(found["x.zero"])) == (np.uint8, 128)
    assert found["w1"].dtype == np.float32


def test_what_onnx_runtime_is_given(one_layer):
    """The bias is an integer of as many steps as the products of input and weight are."""
    found = constants(quantized(one_layer, "onnxruntime", Scale(0.05, 128)))
    assert found["Conv_0.bias.integers"].dtype == np.int32
    assert found["Conv_0.bias.scale"] == pytest.approx(0.05 * found["Conv_0.weight.scale"])
    exact = constants(one_layer)["w1"]
    assert found["Conv_0.bias.integers"] * found["Conv_0.bias.scale"] == pytest.approx(exact, abs=1e-3)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_graph_computes_what_it_did_within_the_steps(one_layer, run, layout):
    scale = Scale(0.04, 0 if layout == "tensorrt" else 128)
    wanted, found = run(one_layer), run(quantized(one_layer, layout, scale))
    assert np.sqrt(np.mean((wanted - found) ** 2)) < 0.02 * wanted.std()


@pytest.mark.parametrize(("layout", "runtime"), [(a, b) for a in LAYOUTS for b in ("onnxruntime", "openvino")])
def test_a_processor_without_vnni_adds_what_fits_into_16_bits(graph, layout, runtime):
    """The largest weights and activations, all of one sign: what saturates where two products are added in 16 bits."""
    assert 2 * 255 * WEIGHT_MOST < 2**15
    weight = graph.weight(values=np.full((16, 12, 1, 1), 0.1, np.float32))
    graph.add("Conv", "x", weight, graph.weight(values=np.zeros(16, np.float32)), to="y")
    scale = Scale(1 / 127, 0) if LAYOUTS[layout].signed else Scale(1 / 255, 0)
    model = quantized(name_nodes(graph.model()), layout, scale)
    found = runtimes.get(runtime).load(model, precision="int8").run(np.ones((2, 12, 9, 9), np.float32))
    np.testing.assert_allclose(found, 1.2, rtol=0.02)


def test_all_who_read_a_tensor_read_the_quantised_one(graph):
    """The residual addition takes the same integers as the convolution beside it."""
    before = graph.add("Relu", "x", to="before")
    graph.add("Add", before, graph.conv(before, 12, 12), to="y")
    model = quantized(name_nodes(graph.model()), "tensorrt", Scale(0.05, 0))
    readers = {node.op_type: list(node.input) for node in model.graph.node}
    assert readers["Add"][0] == readers["Conv"][0] == "before.dequantized"
    assert readers["QuantizeLinear"][0] == "before"


def test_a_linear_layers_channels(graph):
    flat = graph.add("Flatten", graph.add("GlobalAveragePool", "x"))
    wide = graph.add("Gemm", flat, graph.weight(12, 8))
    turned = graph.add("Gemm", wide, graph.weight(6, 8), transB=1)
    graph.add("MatMul", turned, graph.weight(6, 3), to="y")
    model = name_nodes(graph.model())
    axes = [channel_axis(node) for node in model.graph.node if node.op_type in ("Gemm", "MatMul")]
    assert axes == [1, 0, 1]
    scales = constants(quantized(model, "tensorrt", Scale(0.05, 0)))
    assert [len(scales[f"{name}.weight.scale"]) for name in ("Gemm_2", "Gemm_3", "MatMul_4")] == [8, 6, 3]


@settings(max_examples=50, deadline=None)
@given(arrays(np.float32, (3, 2, 1, 1), elements=st.floats(-1e4, 1e4, width=32)))
def test_a_weight_is_at_most_half_a_step_away(values):
    integers, scale = quantized_weight(values, 0, None, 0.05)
    steps = scale[:, None, None, None]
    assert np.all(np.abs(integers * steps - values) <= 0.5001 * steps)


def test_channels_of_zeros_and_of_next_to_nothing():
    values = np.array([[0.0], [1e-30], [1.0]], np.float32)
    integers, scale = quantized_weight(values, 0, None, 0.05)
    assert integers.ravel().tolist() == [0, 0, WEIGHT_MOST]
    assert scale[0] == scale[1] == SMALLEST_SCALE


def test_a_bias_beside_next_to_nothing_fits_into_32_bits(graph, run):
    """A dead channel gives its bias alone."""
    weight, bias = np.full((1, 12, 1, 1), 1e-12, np.float32), np.array([3.0], np.float32)
    graph.add("Conv", "x", graph.weight(values=weight), graph.weight(values=bias), to="y")
    assert run(quantized(name_nodes(graph.model()), "onnxruntime", Scale(0.001, 128))) == pytest.approx(3.0, abs=0.02)


def test_nodes_get_names_of_their_own(graph):
    graph.add("Relu", graph.add("Relu", "x"), to="y")
    model = graph.model()
    model.graph.node[0].name = model.graph.node[1].name = "twin"
    assert [node.name for node in name_nodes(model).graph.node] == ["twin", "Relu_1"]
    assert model.graph.node[1].name == "twin"
