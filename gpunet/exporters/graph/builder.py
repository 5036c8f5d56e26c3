"""GraphBuilder: ONNX graphs written node by node, without torch: a layer's graph takes a millisecond, not a trace.

Latency does not depend on the weights' values, so weights are drawn from a small pool of normal numbers and scaled to
keep the spread of the activations, which keeps every value far from the denormal numbers that slow processors down.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from gpunet.errors import InvalidArgumentError
from gpunet.model.parts import ACTIVATIONS

OPSET = 17
_POOL = np.random.default_rng(0).standard_normal(1 << 16).astype(np.float32)


class GraphBuilder:
    """One graph of one input and one output, in the form that gpunet's own export gives a network.

    Args:
        input_shape: C, H, W, or T, D for tokens: without the batch axis.
        batch_size: images a run.
        weights: by name, those to use in place of drawn ones.
    """

    def __init__(
        self, input_shape: tuple[int, ...], *, batch_size: int = 1, weights: Mapping[str, np.ndarray] | None = None
    ) -> None:
        self.input = "input"
        self.input_shape = (batch_size, *input_shape)
        self.prefix = ""
        self._weights = weights or {}
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: list[onnx.TensorProto] = []

    def node(self, op_type: str, inputs: list[str], name: str, **attributes: Any) -> str:
        """Append a node of one output; returns the output's name, which is made from `name` and the prefix."""
        output = f"{self.prefix}{name}"
        self._nodes.append(helper.make_node(op_type, inputs, [output], name=output, **attributes))
        return output

    def weight(self, name: str, shape: tuple[int, ...], *, fan_in: int | None = None, fill: float = 0.0) -> str:
        """An initializer: the one given under this name, else drawn with variance 2 / `fan_in`, or `fill` for None."""
        full = f"{self.prefix}{name}"
        values = self._weights.get(full)
        if values is None:
            size = math.prod(shape)
            values = np.full(shape, fill, np.float32) if fan_in is None else _drawn(size, fan_in).reshape(shape)
        elif values.shape != shape:
            raise ValueError(f"{full}: its shape is {values.shape}, not {shape}")
        self._initializers.append(numpy_helper.from_array(np.ascontiguousarray(values, np.float32), full))
        return full

    def constant(self, name: str, values: np.ndarray) -> str:
        """An initializer of any type that holds these values."""
        full = f"{self.prefix}{name}"
        self._initializers.append(numpy_helper.from_array(np.asarray(values, order="C"), full))
        return full

    def conv(
        self, source: str, name: str, c_in: int, c_out: int, kernel: int = 1,
        *, stride: int = 1, padding: int = 0, groups: int = 1,
    ) -> str:  # fmt: skip
        """A square convolution with bias, as one with BatchNorm is when it is deployed."""
        shape = (c_out, c_in // groups, kernel, kernel)
        weight = self.weight(f"{name}.weight", shape, fan_in=c_in // groups * kernel**2)
        bias = self.weight(f"{name}.bias", (c_out,))
        return self.node(
            "Conv", [source, weight, bias], name, kernel_shape=[kernel, kernel], strides=[stride, stride],
            pads=[padding] * 4, dilations=[1, 1], group=groups,
        )  # fmt: skip

    def linear(self, source: str, name: str, c_in: int, c_out: int) -> str:
        """`N x c_in` -> `N x c_out`, with bias."""
        weight = self.weight(f"{name}.weight", (c_out, c_in), fan_in=c_in)
        bias = self.weight(f"{name}.bias", (c_out,))
        return self.node("Gemm", [source, weight, bias], name, alpha=1.0, beta=1.0, transB=1)

    def tokens_linear(self, source: str, name: str, c_in: int, c_out: int) -> str:
        """`N x T x c_in` -> `N x T x c_out`, with bias."""
        weight = self.weight(f"{name}.weight", (c_in, c_out), fan_in=c_in)
        bias = self.weight(f"{name}.bias", (c_out,))
        return self.node("Add", [self.node("MatMul", [source, weight], f"{name}.matmul"), bias], name)

    def token(self, source: str, name: str, index: int) -> str:
        """`N x T x D` -> `N x D`: one token."""
        place = self.constant(f"{name}.index", np.asarray(index, np.int64))
        return self.node("Gather", [source, place], name, axis=1)

    def activation(self, source: str, name: str, activation: str) -> str:
        """One of `ACTIVATIONS`, or '' for none; swish as `x * Sigmoid(x)`, the form that runtimes fuse.

        Raises:
            InvalidArgumentError: there is no such activation.
        """
        if not activation:
            return source
        if activation == "relu":
            return self.node("Relu", [source], name)
        if activation == "swish":
            gate = self.node("Sigmoid", [source], f"{name}.sigmoid")
            return self.node("Mul", [source, gate], f"{name}.mul")
        raise InvalidArgumentError(
            f"activation must be one of {', '.join(ACTIVATIONS)}, or '', but got {activation!r}."
        )

    def model(self, output: str, output_shape: tuple[int, ...]) -> onnx.ModelProto:
        """The finished model, whose output is the tensor named.

        Args:
            output: name of a tensor of the graph.
            output_shape: without the batch axis.
        """
        shape = (self.input_shape[0], *output_shape)
        graph = helper.make_graph(
            self._nodes,
            "gpunet",
            [helper.make_tensor_value_info(self.input, TensorProto.FLOAT, self.input_shape)],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)],
            self._initializers,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="gpunet")
        model.ir_version = 8
        return model


def _drawn(size: int, fan_in: int) -> np.ndarray:
    values = np.resize(_POOL, size)
    values *= math.sqrt(2.0 / fan_in)
    return values
