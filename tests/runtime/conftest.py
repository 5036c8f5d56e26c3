"""A network small enough to run in microseconds, as a torch module and as ONNX with the same weights."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

SIDE = 16


@pytest.fixture(scope="session")
def module() -> nn.Module:
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10)
    return nn.Sequential(*layers).eval()


def _network(module: nn.Module, batch: int | str, kind: int = TensorProto.FLOAT, io: int | None = None):
    """The module as ONNX; `kind` is the type it computes in, `io` that of its input and output."""
    io = TensorProto.FLOAT if io is None else io
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    weights = {
        "conv_w": module[0].weight,
        "conv_b": module[0].bias,
        "line_w": module[4].weight,
        "line_b": module[4].bias,
    }
    initializers = [numpy_helper.from_array(w.detach().numpy().astype(dtype), name) for name, w in weights.items()]
    nodes = [
        helper.make_node("Cast", ["input"], ["in"], to=kind),
        helper.make_node("Conv", ["in", "conv_w", "conv_b"], ["c"], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("GlobalAveragePool", ["r"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("Gemm", ["f", "line_w", "line_b"], ["g"], transB=1),
        helper.make_node("Cast", ["g"], ["logits"], to=io),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("input", io, [batch, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("logits", io, [batch, 10])],
        initializers,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _quantized(network: onnx.ModelProto) -> onnx.ModelProto:
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


@pytest.fixture(scope="session")
def int8_network(network: onnx.ModelProto) -> onnx.ModelProto:
    """Batch of any size, its layers between Q/DQ nodes."""
    return _quantized(network)


@pytest.fixture(scope="session")
def network(module: nn.Module) -> onnx.ModelProto:
    """Batch of any size, float32."""
    return _network(module, "N")


@pytest.fixture(scope="session")
def fixed_network(module: nn.Module) -> onnx.ModelProto:
    """Batch of 2, float32."""
    return _network(module, 2)


@pytest.fixture(scope="session")
def half_network(module: nn.Module) -> onnx.ModelProto:
    """Batch of 2, float16 within, float32 outside."""
    return _network(module, 2, TensorProto.FLOAT16)


@pytest.fixture(scope="session")
def half_outside_network(module: nn.Module) -> onnx.ModelProto:
    """Batch of 2, float16 within and outside."""
    return _network(module, 2, TensorProto.FLOAT16, TensorProto.FLOAT16)


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(1).standard_normal((2, 3, SIDE, SIDE), dtype=np.float32)
