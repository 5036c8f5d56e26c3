"""Half precision in the graph: what is converted, what it computes, and what is refused."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from gpunet import runtime as runtimes
from gpunet.errors import ExportError, InvalidArgumentError
from gpunet.exporters.graph.half import check_half_range, half_from_float
from gpunet.exporters.graph.types import check_precision
from gpunet.exporters.images import image_set
from gpunet.exporters.onnx import onnx_from_network
from gpunet.exporters.verify import TOLERANCES, compare


@pytest.fixture
def network(model):
    return onnx_from_network(model)


def io_types(model: onnx.ModelProto) -> list[int]:
    return [value.type.tensor_type.elem_type for value in (*model.graph.input, *model.graph.output)]


def test_all_weights_are_half_and_the_ends_stay_float(network):
    before = network.SerializeToString()
    half = half_from_float(network)
    assert {tensor.data_type for tensor in half.graph.initializer} == {TensorProto.FLOAT16}
    assert io_types(half) == [TensorProto.FLOAT, TensorProto.FLOAT]
    assert [value.name for value in (*half.graph.input, *half.graph.output)] == ["input", "logits"]
    assert [node.op_type for node in half.graph.node].count("Cast") == 2
    assert len(half.SerializeToString()) < 0.6 * len(before)
    assert network.SerializeToString() == before
    assert {each.key for each in half.metadata_props} == {each.key for each in network.metadata_props}


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_it_computes_what_the_float_network_computes(model, network, runtime):
    images = image_set(model, (3, 32, 32))
    reference = runtimes.get("onnxruntime").load(network)
    half = runtimes.get(runtime).load(half_from_float(network))
    compare(reference, half, images, tolerance=TOLERANCES["fp16"]).require_passed()


def test_half_at_the_ends_too(network):
    half = half_from_float(network, io_fp16=True)
    assert io_types(half) == [TensorProto.FLOAT16, TensorProto.FLOAT16]
    assert "Cast" not in {node.op_type for node in half.graph.node}
    check_precision(half, "fp16", io_fp16=True)


def test_a_symbolic_batch_stays(model):
    half = half_from_float(onnx_from_network(model, batch_size=(1, 2, 4)))
    session = runtimes.get("onnxruntime").load(half)
    assert [session.run(np.zeros((n, 3, 32, 32), np.float32)).shape for n in (1, 3)] == [(1, 10), (3, 10)]


@pytest.mark.parametrize(("value", "said"), [(7e4, "reaches 70000"), (np.nan, "holds values that are not numbers")])
def test_a_weight_that_half_cannot_hold_is_named(graph, value, said):
    weight = np.ones((12, 12, 1, 1), np.float32)
    weight[3, 4] = value
    graph.add("Conv", "x", graph.weight(values=weight), to="y")
    with pytest.raises(ExportError, match=f"the weight w0 {said}, but half precision ends at 65504"):
        half_from_float(graph.model())


def test_the_largest_half_is_still_taken(graph, run):
    graph.add("Mul", "x", graph.weight(values=np.array(65504, np.float32)), to="y")
    half = half_from_float(graph.model())
    assert numpy_helper.to_array(half.graph.initializer[0]) == np.float16(65504)


@pytest.mark.parametrize("as_node", [False, True])
def test_scales_of_resize_stay_float_as_onnx_demands(graph, run, as_node):
    scales = np.array([1, 1, 2, 2], np.float32)
    name = graph.add("Constant", value=numpy_helper.from_array(scales)) if as_node else graph.weight(values=scales)
    graph.add("Resize", graph.conv("x", 12, 4), "", name, to="y", mode="nearest")
    model = graph.model()
    assert run(half_from_float(model)) == pytest.approx(run(model), abs=0.05)


def test_constants_and_casts_inside_the_graph(graph, run):
    scale = graph.add("Constant", value_float=0.5)
    shift = graph.add("Constant", value_floats=[0.25])
    graph.add("Add", graph.add("Mul", "x", scale), shift, to="y")
    model = graph.model()
    half = half_from_float(model)
    assert run(half) == pytest.approx(run(model), abs=0.01)


def test_a_cast_to_float_becomes_one_to_half(graph, run):
    graph.nodes.append(helper.make_node("Cast", ["x"], ["whole"], to=TensorProto.INT32))
    graph.nodes.append(helper.make_node("Cast", ["whole"], ["y"], to=TensorProto.FLOAT))
    model = graph.model()
    assert np.mean(run(half_from_float(model)) != run(model)) < 0.005  # 0.9999 is 1 in half


def test_an_operator_without_a_half_form_is_named(graph):
    scales = graph.add("Identity", graph.weight(values=np.array([1, 1, 2, 2], np.float32)))
    graph.add("Resize", "x", "", scales, to="y", mode="nearest")
    with pytest.raises(ExportError, match=r"the operator Resize \(y\) has no float16 form"):
        half_from_float(graph.model())


def test_control_flow_is_refused(graph):
    value = helper.make_tensor_value_info("z", TensorProto.FLOAT, None)
    branch = helper.make_graph([helper.make_node("Relu", ["x"], ["z"])], "branch", [], [value])
    flag = graph.weight(values=np.array(True))
    graph.add("If", flag, to="y", then_branch=branch, else_branch=branch)
    with pytest.raises(ExportError, match=r"the operator If \(y\) holds graphs of its own"):
        half_from_float(graph.model())


def quantized(graph):
    scale, zero = graph.weight(values=np.array(0.05, np.float32)), graph.weight(values=np.array(0, np.int8))
    integers = graph.add("QuantizeLinear", "x", scale, zero)
    graph.add("Relu", graph.add("DequantizeLinear", integers, scale, zero), to="y")
    return graph.model()


def test_integers_stay_and_the_rest_becomes_half(graph, run):
    graph.opset = 19
    model = quantized(graph)
    model.ir_version = 9
    half = half_from_float(model)
    assert {t.data_type for t in half.graph.initializer} == {TensorProto.FLOAT16, TensorProto.INT8}
    assert np.mean(np.abs(run(half) - run(model)) > 0.01) < 0.02  # an integer step apart where rounding was a tie


def test_integers_below_opset_19_are_refused(graph):
    with pytest.raises(InvalidArgumentError, match=r"from opset 19 on, but this one has opset 17[^$]*opset=19"):
        half_from_float(quantized(graph))


def test_activations_beyond_half_are_named(graph):
    graph.add("Mul", graph.add("Relu", "x", to="kept"), graph.weight(values=np.array(6e4, np.float32)), to="y")
    images = np.full((2, 12, 9, 9), 0.5, np.float32)
    assert check_half_range(graph.model(), images) == pytest.approx(3e4)
    with pytest.raises(ExportError, match=r"the tensor y reaches 120000 on these images, but half precision ends"):
        check_half_range(graph.model(), 4 * images)


def test_a_constant_may_be_a_scalar(graph):
    """As PyTorch exports 'logits + 1.0': a node, not a weight."""
    one = graph.add("Constant", value_float=7.0, to="one")
    graph.add("Add", "x", one, to="y")
    assert check_half_range(graph.model(), np.full((2, 12, 9, 9), 0.5, np.float32)) == pytest.approx(7.5)


def test_the_parser_of_tensorrt_rtx_takes_it(network):
    trt = pytest.importorskip("tensorrt_rtx", reason="the rtx extra is not installed")
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    parsed = builder.create_network(0)
    parser = trt.OnnxParser(parsed, logger)
    assert parser.parse(half_from_float(network).SerializeToString())
    kinds = {parsed.get_layer(i).get_output(0).dtype for i in range(parsed.num_layers)}
    assert kinds <= {trt.float16, trt.float32, trt.int64, trt.int32}
    assert trt.float16 in kinds
