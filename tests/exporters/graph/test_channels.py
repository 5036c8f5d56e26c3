from __future__ import annotations

import numpy as np
import onnx
import pytest

from gpunet.exporters.graph.channels import align_channels
from gpunet.exporters.graph.rewrite import optimize
from gpunet.exporters.graph.tensors import infer_shapes
from gpunet.exporters.onnx import onnx_from_network


def widened(model, run, count):
    """Run the pass; check how many groups it widened and that the graph computes what it did."""
    before = run(model)
    assert align_channels(model, infer_shapes(model)) == count
    np.testing.assert_allclose(run(model), before, rtol=1e-5, atol=1e-5)


def channels_out(model):
    weights = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    return [
        weights[node.input[1]][0] for node in model.graph.node if node.op_type == "Conv" and node.input[1] in weights
    ]


def test_every_axis_of_a_gpunet_is_rounded_up(model, run):
    plain = onnx_from_network(model, optimize=False)
    odd = [channels for channels in channels_out(plain) if channels % 8]
    assert len(odd) > 10
    before = run(plain)
    optimize(plain)
    # What is left as it is: squeeze-excitation's few channels, which would grow by more than a quarter.
    assert all(channels % 8 == 0 or channels < 28 for channels in channels_out(plain))
    assert [channels for channels in channels_out(plain) if channels > 28] != []
    np.testing.assert_allclose(run(plain), before, rtol=1e-4, atol=1e-5)


def test_a_chain_with_depthwise_activation_pooling_and_linear_layer(graph, run):
    hidden = graph.add("Relu", graph.conv("x", 12, 33))
    hidden = graph.add("HardSwish", graph.conv(hidden, 33, 33, 5, groups=33))
    pooled = graph.add("GlobalAveragePool", graph.add("MaxPool", hidden, kernel_shape=[2, 2]))
    flat = graph.add("Flatten", graph.add("Sigmoid", pooled))
    graph.add("Gemm", flat, graph.weight(10, 33), graph.weight(10), transB=1, to="y")
    model = graph.model()
    widened(model, run, 1)
    assert channels_out(model) == [40, 40]
    assert model.graph.node[2].attribute[0].i == 40


def test_gemm_without_transposition(graph, run):
    flat = graph.add("Flatten", graph.add("GlobalAveragePool", graph.conv("x", 12, 33)))
    graph.add("Gemm", flat, graph.weight(33, 10), to="y")
    widened(graph.model(), run, 1)


def test_a_residual_and_a_gate_share_the_axis(graph, run):
    trunk = graph.conv("x", 12, 33)
    gate = graph.add("GlobalAveragePool", trunk)
    gate = graph.add("Sigmoid", graph.conv(graph.add("Relu", graph.conv(gate, 33, 30, 1)), 30, 33, 1))
    branch = graph.conv(graph.add("Mul", trunk, gate), 33, 33)
    graph.conv(graph.add("Add", branch, trunk), 33, 8, to="y")
    model = graph.model()
    widened(model, run, 2)
    assert channels_out(model) == [40, 32, 40, 40, 8]


def test_scalars_of_weights_do_not_hinder(graph, run):
    scaled = graph.add("Mul", graph.conv("x", 12, 33), graph.weight(1))
    graph.conv(graph.add("Clip", scaled, graph.weight(values=np.float32(0))), 33, 8, to="y")
    widened(graph.model(), run, 1)


def test_a_shared_weight_is_copied_before_it_grows(graph, run):
    shared, bias = graph.weight(33, 12, 1, 1), graph.weight(33)
    first = graph.add("Conv", "x", shared, bias)
    second = graph.add("Conv", "x", shared, bias)
    seen = graph.add("Conv", first, graph.weight(8, 33, 1, 1))
    graph.add("Concat", seen, graph.add("Softmax", second), axis=1, to="y")
    model = graph.model()
    widened(model, run, 1)
    assert channels_out(model) == [40, 33, 8]


def test_round_and_small_axes_stay(graph, run):
    round_one = graph.conv("x", 12, 16)
    small = graph.conv(round_one, 16, 6)  # 8 would be a third more
    graph.conv(small, 6, 33, to="y")
    model = graph.model()
    widened(model, run, 0)
    assert channels_out(model) == [16, 6, 33]


def test_outputs_and_inputs_keep_their_channels(graph, run):
    graph.shape = (2, 33, 9, 9)
    graph.conv(graph.add("Add", graph.conv("x", 33, 33), "x"), 33, 33, to="y")
    model = graph.model()
    widened(model, run, 0)
    assert onnx.shape_inference.infer_shapes(model).graph.output[0].type.tensor_type.shape.dim[1].dim_value == 33


def reader_concat(graph, name):
    graph.add("Concat", name, name, axis=1, to="y")


def reader_softmax(graph, name):
    graph.add("Softmax", name, axis=1, to="y")


def reader_grouped_convolution(graph, name):
    graph.conv(name, 33, 33, groups=3, to="y")


def reader_spatial_gate(graph, name):
    gate = graph.add("Sigmoid", graph.conv("x", 12, 1))
    graph.conv(graph.add("Mul", name, gate), 33, 8, to="y")


def reader_per_channel_scale(graph, name):
    graph.conv(graph.add("Mul", name, graph.weight(33, 1, 1)), 33, 8, to="y")


def reader_computed_weight(graph, name):
    graph.add("Conv", name, graph.add("Neg", graph.weight(8, 33, 1, 1)), to="y")


def reader_flatten_of_a_map(graph, name):
    graph.add("Gemm", graph.add("Flatten", name), graph.weight(33 * 81, 4), to="y")


def reader_transposed_gemm(graph, name):
    pooled = graph.add("Flatten", graph.add("GlobalAveragePool", name))
    graph.add("Gemm", pooled, graph.weight(2, 4), transA=1, to="y")


@pytest.mark.parametrize("reader", [value for name, value in list(globals().items()) if name.startswith("reader_")])
def test_operators_that_are_not_known_keep_what_they_read(graph, run, reader):
    reader(graph, graph.add("Relu", graph.conv("x", 12, 33)))
    model = graph.model()
    widened(model, run, 0)
    assert channels_out(model)[0] == 33


def test_a_depthwise_convolution_of_a_weight_stays(graph, run):
    constant = graph.weight(2, 33, 9, 9)
    mixed = graph.add("Conv", constant, graph.weight(33, 1, 3, 3), group=33, pads=[1] * 4)
    graph.conv(graph.add("Relu", mixed), 33, 12, to="t")
    graph.add("Add", "t", "x", to="y")
    widened(graph.model(), run, 0)


def test_other_multiples(graph, run):
    graph.conv(graph.conv("x", 12, 33), 33, 8, to="y")
    model = graph.model()
    before = run(model)
    assert align_channels(model, infer_shapes(model), multiple=4) == 1
    assert channels_out(model) == [36, 8]
    np.testing.assert_allclose(run(model), before, rtol=1e-5, atol=1e-5)
