"""Two convolutions and a linear layer as ONNX, in every precision, made by hand; builds in a tenth of a second."""

from __future__ import annotations

import zlib

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE = 32


def _weights(name: str, *shape: int) -> np.ndarray:
    generator = np.random.default_rng(zlib.crc32(name.encode()))
    return (generator.standard_normal(shape) * 0.1).astype(np.float32)


def make_onnx(*, precision: str = "fp32", batch: int | str = 1, opset: int = 17) -> bytes:
    """The network, serialised. 'int8' has Q/DQ nodes on the activations and weights of all three layers."""
    shapes = {"conv1": (16, 3, 3, 3), "conv2": (32, 16, 3, 3), "line": (10, 32)}
    half = precision == "fp16"
    kind = np.float16 if half else np.float32
    initializers, nodes = [], []

    def constant(name: str, values: np.ndarray) -> str:
        initializers.append(numpy_helper.from_array(values, name))
        return name

    def quantised(layer: str, source: str) -> list[str]:
        weights = _weights(layer, *shapes[layer])
        if precision != "int8":
            return [source, constant(f"{layer}.weight", weights.astype(kind))]
        constant(f"{layer}.scale", np.float32(0.02))
        constant(f"{layer}.zero", np.int8(0))
        constant(f"{layer}.weight", np.clip(np.round(weights / 0.02), -127, 127).astype(np.int8))
        for node, name, port in (
            ("QuantizeLinear", f"{layer}.q", source),
            ("DequantizeLinear", f"{layer}.d", f"{layer}.q"),
        ):
            nodes.append(helper.make_node(node, [port, f"{layer}.scale", f"{layer}.zero"], [name], name=name))
        inputs = [f"{layer}.weight", f"{layer}.scale", f"{layer}.zero"]
        nodes.append(helper.make_node("DequantizeLinear", inputs, [f"{layer}.w"], name=f"{layer}.w"))
        return [f"{layer}.d", f"{layer}.w"]

    source = "input"
    if half:
        nodes.append(helper.make_node("Cast", ["input"], ["half"], name="to_half", to=TensorProto.FLOAT16))
        source = "half"
    for layer in ("conv1", "conv2"):
        inputs = quantised(layer, source)
        nodes.append(helper.make_node("Conv", inputs, [layer], name=layer, strides=[2, 2], pads=[1, 1, 1, 1]))
        nodes.append(helper.make_node("Relu", [layer], [f"{layer}.relu"], name=f"{layer}.relu"))
        source = f"{layer}.relu"
    nodes.append(helper.make_node("GlobalAveragePool", [source], ["pool"], name="pool"))
    nodes.append(helper.make_node("Flatten", ["pool"], ["flat"], name="flat"))
    result = "line" if half else "logits"
    nodes.append(helper.make_node("Gemm", quantised("line", "flat"), [result], name="line", transB=1))
    if half:
        nodes.append(helper.make_node("Cast", ["line"], ["logits"], name="from_half", to=TensorProto.FLOAT))
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [batch, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, 10])],
        initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())
