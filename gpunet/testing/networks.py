"""A network small enough to run in microseconds, as a torch module and as ONNX with the same weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

__all__ = ["SIDE_PX", "tiny_int8", "tiny_module", "tiny_onnx"]

SIDE_PX = 16


def tiny_module() -> nn.Sequential:
    """`N x 3 x 16 x 16` images to `N x 10` logits; the same weights each time."""
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10)
    return nn.Sequential(*layers).eval()


def tiny_onnx(
    module: nn.Sequential,
    batch: int | str = "N",
    *,
    kind: int = TensorProto.FLOAT,
    outside: int = TensorProto.FLOAT,
) -> onnx.ModelProto:
    """The module as ONNX.

    Args:
        module: of `tiny_module`.
        batch: size of the batch; a name for one of any size.
        kind: the TensorProto type that it computes in.
        outside: that of its input and output.
    """
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    conv: Any = module[0]
    line: Any = module[4]
    weights = {"conv_w": conv.weight, "conv_b": conv.bias, "line_w": line.weight, "line_b": line.bias}
    nodes = [
        helper.make_node("Cast", ["input"], ["in"], to=kind),
        helper.make_node("Conv", ["in", "conv_w", "conv_b"], ["c"], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("GlobalAveragePool", ["r"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("Gemm", ["f", "line_w", "line_b"], ["g"], transB=1),
        helper.make_node("Cast", ["g"], ["logits"], to=outside),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("input", outside, [batch, 3, SIDE_PX, SIDE_PX])],
        [helper.make_tensor_value_info("logits", outside, [batch, 10])],
        [numpy_helper.from_array(each.detach().numpy().astype(dtype), name) for name, each in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def tiny_int8(network: onnx.ModelProto) -> onnx.ModelProto:
    """A float32 network with both of its layers between Q/DQ nodes: signed integers, zero points of 0."""
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in network.graph.initializer}
    result = onnx.ModelProto()
    result.CopyFrom(network)
    graph = result.graph
    constants, nodes = [], []
    for node in network.graph.node:
        kept = onnx.NodeProto()
        kept.CopyFrom(node)
        if node.op_type in ("Conv", "Gemm"):
            weight = weights[node.input[1]]
            scale = np.float32(np.abs(weight).max() / 127)
            values = {"s": np.float32(4 / 127), "z": np.int8(0), "w": np.round(weight / scale).astype(np.int8),
                      "ws": scale, "wz": np.int8(0)}  # fmt: skip
            name = {key: f"{node.output[0]}.{key}" for key in ("q", "dq", "dw", *values)}
            constants += [numpy_helper.from_array(np.asarray(value), name[key]) for key, value in values.items()]
            nodes += [
                helper.make_node("QuantizeLinear", [node.input[0], name["s"], name["z"]], [name["q"]]),
                helper.make_node("DequantizeLinear", [name["q"], name["s"], name["z"]], [name["dq"]]),
                helper.make_node("DequantizeLinear", [name["w"], name["ws"], name["wz"]], [name["dw"]]),
            ]
            kept.input[0], kept.input[1] = name["dq"], name["dw"]
        nodes.append(kept)
    del graph.node[:]
    graph.node.extend(nodes)
    used = {name for node in nodes for name in node.input}
    biases = [tensor for tensor in network.graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend([*biases, *constants])
    onnx.checker.check_model(result)
    return result
