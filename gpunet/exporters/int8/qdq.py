"""QuantizeLinear and DequantizeLinear (Q/DQ) nodes put into a graph, as planned by gpunet.exporters.int8.qdq_plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import helper, numpy_helper

from gpunet.exporters.int8.qdq_plan import WEIGHT_MOST, QuantizationPlan
from gpunet.runtime.formats import Int8Layout

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

SMALLEST_SCALE = 2.0**-24  # float16's smallest number above 0
_BIAS_MAX = 2.0**30


@dataclass(frozen=True)
class Scale:
    """value = scale * (integer - zero_point)."""

    scale: float
    zero_point: int


def name_nodes(model: ModelProto) -> ModelProto:
    """A copy of a model in which every node has a name of its own."""
    named = onnx.ModelProto()
    named.CopyFrom(model)
    seen: set[str] = set()
    for number, node in enumerate(named.graph.node):
        if not node.name or node.name in seen:
            node.name = f"{node.op_type}_{number}"
        seen.add(node.name)
    return named


def insert(model: ModelProto, plan: QuantizationPlan, scales: Mapping[str, Scale], layout: Int8Layout) -> ModelProto:
    """A copy of a graph with its Q/DQ nodes.

    Args:
        model: what `plan` was made for.
        plan: what to quantise.
        scales: of every tensor in it.
        layout: what the scales were made for.
    """
    result = onnx.ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    del graph.value_info[:]
    weights = {tensor.name: tensor for tensor in graph.initializer}
    dequantized: dict[str, str] = {}
    nodes: list[NodeProto] = []
    fresh: list[onnx.TensorProto] = []

    def constant(name: str, values: np.ndarray) -> str:
        fresh.append(numpy_helper.from_array(values, name))
        return name

    def quantize_activation(name: str) -> None:
        given = scales[name]
        kind = np.int8 if layout.signed else np.uint8
        pair = [constant(f"{name}.scale", np.array(given.scale, np.float32)),
                constant(f"{name}.zero", np.array(given.zero_point, kind))]  # fmt: skip
        dequantized[name] = f"{name}.dequantized"
        nodes.append(helper.make_node("QuantizeLinear", [name, *pair], [f"{name}.integers"], f"{name}.quantize"))
        inputs = [f"{name}.integers", *pair]
        nodes.append(helper.make_node("DequantizeLinear", inputs, [dequantized[name]], f"{name}.dequantize"))

    def dequantize(name: str, integers: np.ndarray, scale: np.ndarray, axis: int) -> str:
        inputs = [constant(f"{name}.integers", integers), constant(f"{name}.scale", scale.astype(np.float32)),
                  constant(f"{name}.zero", np.zeros(len(scale), integers.dtype))]  # fmt: skip
        nodes.append(helper.make_node("DequantizeLinear", inputs, [f"{name}.out"], f"{name}.dequantize", axis=axis))
        return f"{name}.out"

    planned, layers = set(plan.tensors), set(plan.layers)
    if graph.input[0].name in planned:
        quantize_activation(graph.input[0].name)
    for node in list(graph.node):
        source = node.input[0] if node.input else ""
        for index, name in enumerate(node.input):
            node.input[index] = dequantized.get(name, name)
        if node.name in layers:
            axis = channel_axis(node)
            values = numpy_helper.to_array(weights[node.input[1]])
            bias = numpy_helper.to_array(weights[node.input[2]]) if len(node.input) > 2 and node.input[2] else None
            integers, scale = quantized_weight(values, axis, bias, scales[source].scale)
            node.input[1] = dequantize(f"{node.name}.weight", integers, scale, axis)
            if bias is not None and layout.integer_bias:
                steps = scale * np.float32(scales[source].scale)
                whole = np.clip(np.round(bias / steps), -_BIAS_MAX, _BIAS_MAX).astype(np.int32)
                node.input[2] = dequantize(f"{node.name}.bias", whole, steps, 0)
        nodes.append(node)
        for name in node.output:
            if name in planned:
                quantize_activation(name)
    kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(kept)
    used = {name for node in graph.node for name in node.input}
    constants = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend([*constants, *fresh])
    onnx.checker.check_model(result)
    return result


def quantized_weight(
    values: np.ndarray, axis: int, bias: np.ndarray | None, input_scale: float
) -> tuple[np.ndarray, np.ndarray]:
    """A weight as int8 and one scale for each output channel.

    Args:
        values: the weight.
        axis: its output channels.
        bias: of the layer; a channel of tiny weights keeps a scale at which its bias fits into 32 bits.
        input_scale: of the layer's input.
    """
    others = tuple(place for place in range(values.ndim) if place != axis)
    scale = np.maximum(np.abs(values).max(axis=others) / WEIGHT_MOST, SMALLEST_SCALE)
    if bias is not None:
        scale = np.maximum(scale, np.abs(bias) / (input_scale * _BIAS_MAX))
    scale = scale.astype(np.float32)
    shape = [-1 if place == axis else 1 for place in range(values.ndim)]
    return np.clip(np.round(values / scale.reshape(shape)), -WEIGHT_MOST, WEIGHT_MOST).astype(np.int8), scale


def channel_axis(node: NodeProto) -> int:
    """The axis of a layer's weight that holds its output channels."""
    if node.op_type == "Conv":
        return 0
    transposed = node.op_type == "Gemm" and any(a.name == "transB" and a.i for a in node.attribute)
    return 0 if transposed else 1
