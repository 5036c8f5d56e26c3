"""What of a graph is quantised, for each runtime."""

from __future__ import annotations

import pytest

from gpunet import runtime as runtimes
from gpunet.errors import InvalidArgumentError
from gpunet.exporters.int8.qdq import Scale, insert, name_nodes
from gpunet.exporters.int8.qdq_plan import plan
from gpunet.exporters.onnx import onnx_from_network

LAYOUTS = runtimes.layouts()


@pytest.fixture
def network(model):
    return name_nodes(onnx_from_network(model))


def nodes_of(network, op_type):
    return [node for node in network.graph.node if node.op_type == op_type]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layer_but_those_of_squeeze_excitation(network, layout):
    planned = plan(network, LAYOUTS[layout])
    layers = {node.name for op_type in ("Conv", "Gemm") for node in nodes_of(network, op_type)}
    assert set(planned.layers) | set(planned.float_layers) == layers
    assert len(planned.float_layers) == 2 * 3
    assert all("/se/fc" in name for name in planned.float_layers)
    assert 0.9 < planned.int8_multiply_adds / planned.multiply_adds < 1


def test_work_is_counted_as_the_spec_counts_it(model):
    network = name_nodes(onnx_from_network(model, optimize=False))
    assert plan(network, LAYOUTS["tensorrt"]).multiply_adds == model.spec.count_multiply_adds(num_classes=10)


def test_the_inputs_of_layers_and_what_gates_and_pools_read(network):
    planned = plan(network, LAYOUTS["openvino"])
    inputs = {node.input[0] for op in ("Conv", "Gemm") for node in nodes_of(network, op) if node.name in planned.layers}
    pooled = {node.input[0] for node in nodes_of(network, "GlobalAveragePool")}
    assert set(planned.tensors) == inputs | pooled
    assert "input" in planned.tensors
    assert not {node.input[0] for node in nodes_of(network, "Sigmoid")} & set(planned.tensors), "swish stays in float"


def test_every_map_for_onnx_runtime(network):
    planned = set(plan(network, LAYOUTS["onnxruntime"]).tensors)
    assert planned > set(plan(network, LAYOUTS["openvino"]).tensors)
    assert {node.output[0] for node in nodes_of(network, "Add")} <= planned
    relus = [node for node in nodes_of(network, "Relu") if node.output[0] in planned]
    assert relus
    assert not {node.input[0] for node in relus} & planned, "an activation is folded into its convolution"


def test_the_order_is_that_of_the_graph(network):
    made = ["input", *(name for node in network.graph.node for name in node.output)]
    planned = plan(network, LAYOUTS["tensorrt"]).tensors
    assert list(planned) == sorted(planned, key=made.index)


def test_layers_can_be_left_out(network):
    name = nodes_of(network, "Gemm")[0].name
    planned = plan(network, LAYOUTS["tensorrt"], leave_out=[name])
    assert name in planned.float_layers
    assert name not in planned.layers


def test_leaving_out_what_is_no_layer(network):
    with pytest.raises(
        InvalidArgumentError, match=r"leave_out names 'stem', which is no layer[^$]*Its layers: /conv_stem"
    ):
        plan(network, LAYOUTS["tensorrt"], leave_out=["stem"])


def test_a_graph_without_layers(graph):
    graph.add("Relu", "x", to="y")
    with pytest.raises(InvalidArgumentError, match="no convolution or linear layer with constant weights"):
        plan(name_nodes(graph.model()), LAYOUTS["tensorrt"])


def test_a_graph_that_is_quantised_already(graph):
    graph.conv("x", 12, 4, to="y")
    model, layout = name_nodes(graph.model()), LAYOUTS["tensorrt"]
    planned = plan(model, layout)
    with pytest.raises(InvalidArgumentError, match="must be in float32, but it holds Q/DQ nodes already"):
        plan(insert(model, planned, {"x": Scale(0.1, 0)}, layout), layout)


def test_layers_that_are_not_plain_stay_in_float(graph):
    """A product with a factor, of a transposed input, or of two activations."""
    flat = graph.add("Flatten", graph.add("GlobalAveragePool", graph.conv("x", 12, 12)))
    half = graph.add("Gemm", flat, graph.weight(12, 6), alpha=0.5)
    turned = graph.add("Gemm", flat, graph.weight(2, 6), transA=1)
    graph.add("MatMul", half, graph.add("Transpose", turned), to="y")
    planned = plan(name_nodes(graph.model()), LAYOUTS["tensorrt"])
    assert planned.layers == ("Conv_0",)
    assert planned.float_layers == ()
