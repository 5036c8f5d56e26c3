"""The proof that a graph is in a precision: what it accepts, and what it names when it does not."""

from __future__ import annotations

import pytest
from onnx import TensorProto, helper

from gpunet import runtime as runtimes
from gpunet.errors import ExportError, InvalidArgumentError
from gpunet.exporters.graph.half import half_from_float
from gpunet.exporters.graph.types import check_precision, opset_of
from gpunet.exporters.int8.qdq import Scale, insert, name_nodes
from gpunet.exporters.int8.qdq_plan import plan

LAYOUTS = runtimes.layouts()


@pytest.fixture
def two_layers(graph):
    graph.conv(graph.add("Relu", graph.conv("x", 12, 8)), 8, 4, to="y")
    return name_nodes(graph.model())


def _cast(source, result, kind):
    return helper.make_node("Cast", [source], [result], to=kind)


def _relu(source, result):
    return helper.make_node("Relu", [source], [result])


def quantized(model, leave_out=()):
    planned = plan(model, LAYOUTS["tensorrt"], leave_out)
    return insert(model, planned, dict.fromkeys(planned.tensors, Scale(0.05, 0)), LAYOUTS["tensorrt"])


def test_each_graph_is_in_its_own_precision_alone(two_layers):
    graphs = {"fp32": two_layers, "fp16": half_from_float(two_layers), "int8": quantized(two_layers)}
    for precision, model in graphs.items():
        check_precision(model, precision)
        for other in set(graphs) - {precision}:
            with pytest.raises(ExportError, match=f"the graph is not in {other}: "):
                check_precision(model, other)


def test_a_node_left_in_float_is_named(graph):
    graph.nodes.append(_cast("x", "h", TensorProto.FLOAT16))
    graph.nodes.append(_cast("h", "f", TensorProto.FLOAT))
    graph.nodes.append(_relu("f", "g"))
    graph.nodes.append(_cast("g", "i", TensorProto.FLOAT16))
    graph.nodes.append(_cast("i", "y", TensorProto.FLOAT))
    with pytest.raises(ExportError, match=r"the graph is not in fp16: Cast f, Relu g, Cast i\."):
        check_precision(graph.model(), "fp16")


def test_casts_at_the_ends_count_where_half_was_asked_for_there(two_layers):
    with pytest.raises(ExportError, match=r"the graph is not in fp16: Cast x\.to_fp16, Cast y\.to_fp32"):
        check_precision(half_from_float(two_layers), "fp16", io_fp16=True)


def test_a_layer_that_is_not_quantised_is_named_unless_allowed(two_layers):
    last = two_layers.graph.node[-1].name
    model = quantized(two_layers, leave_out=[last])
    check_precision(model, "int8", left_float=[last])
    with pytest.raises(ExportError, match=rf"the graph is not in int8: {last}\."):
        check_precision(model, "int8")


def test_long_lists_are_cut(graph):
    source = "x"
    for _ in range(8):
        source = graph.conv(source, 12, 12)
    graph.add("Relu", source, to="y")
    with pytest.raises(ExportError, match=r"(t\d, ){4}t4 and 3 more\."):
        check_precision(graph.model(), "int8")


def test_an_unknown_precision(two_layers):
    with pytest.raises(InvalidArgumentError, match="precision must be one of fp32, fp16, bf16, int8, but got 'fp8'"):
        check_precision(two_layers, "fp8")


def test_opset(two_layers):
    assert opset_of(two_layers) == 17


def test_a_product_of_two_activations_is_no_layer_with_weights(graph):
    pooled = graph.add("Flatten", graph.add("GlobalAveragePool", "x"))
    turned = graph.add("Transpose", pooled)
    graph.add("MatMul", pooled, turned, to="y")
    check_precision(graph.model(), "int8")
