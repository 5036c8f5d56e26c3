"""Half precision in the graph: weights and activations float16, float32 only at the graph's own inputs and outputs.

A builder flag asks for a precision and may be ignored without a word; types in the graph cannot be. The float32 graph
is converted, after BatchNorm has been folded into its weights: each weight is rounded once. (A model exported in half
folds BatchNorm in half, and rounds twice.)

`check_half_range` tells whether the activations stay below what float16 can hold.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from gpunet.errors import ExportError, InvalidArgumentError
from gpunet.exporters.graph.types import OWN_DOMAINS, check_precision, float_constants, float_inputs, opset_of
from gpunet.exporters.int8.ranges import tensor_ranges

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

HALF_MAX = 65504.0
QDQ_HALF_OPSET = 19  # the first whose QuantizeLinear takes float16


def half_from_float(model: ModelProto, *, io_fp16: bool = False) -> ModelProto:
    """A copy of a float32 graph that computes in float16.

    Args:
        model: weights inside the file, BatchNorm folded. A graph with Q/DQ nodes keeps its integers; what is float
            between them becomes half, which needs opset 19.
        io_fp16: float16 at the graph's inputs and outputs too, instead of float32 and a cast behind each.

    Raises:
        ExportError: (a RuntimeError) a weight is beyond 65504 or not a number, or an operator has no float16 form;
            the message names it.
        InvalidArgumentError: (a ValueError) a graph with Q/DQ nodes of an opset below 19.
    """
    opset = opset_of(model)
    if opset < QDQ_HALF_OPSET and any(node.op_type == "QuantizeLinear" for node in model.graph.node):
        raise InvalidArgumentError(
            f"a graph with Q/DQ nodes can be put into half precision from opset {QDQ_HALF_OPSET} on, but this one has "
            f"opset {opset}.",
            f"Export it with opset={QDQ_HALF_OPSET}.",
        )
    _refuse_float_operators(model)
    half = onnx.ModelProto()
    half.CopyFrom(model)
    graph = half.graph
    del graph.value_info[:]
    kept = float_constants(model)
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.FLOAT and tensor.name not in kept:
            tensor.CopyFrom(_half_tensor(tensor, tensor.name))
    for node in graph.node:
        if not (node.op_type == "Constant" and node.output[0] in kept):
            _convert_attributes(node)
    if io_fp16:
        for value in (*graph.input, *graph.output):
            _retype(value)
    else:
        _cast_borders(graph)
    onnx.checker.check_model(half)
    check_precision(half, "fp16", io_fp16=io_fp16)
    return half


def check_half_range(model: ModelProto, images: np.ndarray) -> float:
    """The largest absolute activation of a float32 graph on these images, in a tensor that float16 can hold.

    Args:
        model: a float32 graph of one input.
        images: `N x C x H x W` float32.

    Raises:
        ExportError: (a RuntimeError) an activation is beyond 65504; the message names the first such tensor.
    """
    names = [name for node in model.graph.node for name in node.output]
    largest = 0.0
    for name, span in tensor_ranges(model, names, images).items():
        peak = max(abs(span.low), abs(span.high))
        if not peak <= HALF_MAX:
            raise ExportError(
                f"the tensor {name} reaches {peak:.6g} on these images, but half precision ends at {HALF_MAX:.0f}.",
                "Export it at fp32.",
            )
        largest = max(largest, peak)
    return largest


# ----------------------------------------------------------------- conversion


def _half_tensor(tensor: TensorProto, name: str) -> TensorProto:
    values = numpy_helper.to_array(tensor)
    peak = float(np.abs(values).max(initial=0.0))
    if not peak <= HALF_MAX:
        what = "holds values that are not numbers" if np.isnan(peak) else f"reaches {peak:.6g}"
        raise ExportError(
            f"the weight {name} {what}, but half precision ends at {HALF_MAX:.0f}.",
            "Export it at fp32, or mend the weights.",
        )
    return numpy_helper.from_array(values.astype(np.float16), tensor.name)


def _convert_attributes(node: NodeProto) -> None:
    """Constants, and the type that a node is told to make."""
    for attribute in node.attribute:
        name = node.name or node.output[0]
        if attribute.type == onnx.AttributeProto.TENSOR and attribute.t.data_type == TensorProto.FLOAT:
            attribute.t.CopyFrom(_half_tensor(attribute.t, name))
        elif node.op_type == "Constant" and attribute.name in ("value_float", "value_floats"):
            values = np.array(attribute.f if attribute.name == "value_float" else attribute.floats, np.float32)
            tensor = _half_tensor(numpy_helper.from_array(values), name)
            attribute.CopyFrom(helper.make_attribute("value", tensor))
        elif attribute.name in ("to", "dtype", "output_dtype") and attribute.i == TensorProto.FLOAT:
            attribute.i = TensorProto.FLOAT16


def _retype(value: onnx.ValueInfoProto) -> None:
    if value.type.tensor_type.elem_type == TensorProto.FLOAT:
        value.type.tensor_type.elem_type = TensorProto.FLOAT16


def _cast_borders(graph: onnx.GraphProto) -> None:
    """A cast behind each float32 input and before each float32 output; the names outside stay."""
    renamed: dict[str, str] = {}
    first, last = [], []
    for value in graph.input:
        if value.type.tensor_type.elem_type == TensorProto.FLOAT:
            inside = renamed[value.name] = f"{value.name}.fp16"
            first.append(
                helper.make_node("Cast", [value.name], [inside], f"{value.name}.to_fp16", to=TensorProto.FLOAT16)
            )
    for value in graph.output:
        if value.type.tensor_type.elem_type == TensorProto.FLOAT:
            inside = renamed[value.name] = f"{value.name}.fp16"
            last.append(helper.make_node("Cast", [inside], [value.name], f"{value.name}.to_fp32", to=TensorProto.FLOAT))
    for node in graph.node:
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                names[index] = renamed.get(name, name)
    nodes = [*first, *graph.node, *last]
    del graph.node[:]
    graph.node.extend(nodes)


def _refuse_float_operators(model: ModelProto) -> None:
    """Raise for operators that compute in float32 only, and for control flow."""
    constants = {tensor.name for tensor in model.graph.initializer}
    constants |= {node.output[0] for node in model.graph.node if node.op_type == "Constant"}
    opset = opset_of(model)
    for node in model.graph.node:
        nested = any(attribute.type == onnx.AttributeProto.GRAPH for attribute in node.attribute)
        if nested or node.domain not in OWN_DOMAINS or set(float_inputs(node, opset)) - constants:
            what = "holds graphs of its own" if nested else "has no float16 form"
            raise ExportError(
                f"the operator {node.op_type} ({node.name or node.output[0]}) {what}, so the network cannot run in "
                "half precision.",
                "Export it at fp32.",
            )
