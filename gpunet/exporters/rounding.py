"""What a graph at another precision rounds: its constants, and the activations between QuantizeLinear and its inverse.

    w, w'   a constant of the float32 graph, and what stands for it in the other
    x, x'   values of a tensor, and what is left of them behind its Q/DQ pair, or in half

Whatever else differs between the two graphs is no rounding.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from onnx import TensorProto, numpy_helper

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

_SPANS = {TensorProto.INT8: (-128, 127), TensorProto.UINT8: (0, 255)}


@dataclass(frozen=True)
class Constant:
    """A constant that a node reads.

    Args:
        values: float32, as the node sees them.
        kind: of the numbers in the file: 'fp32', 'fp16', 'bf16', 'int8' or 'int32'.
        step: of integers: what one counts, in a shape that goes with the values.
        axis: of integers: their channels.
    """

    values: np.ndarray
    kind: str
    step: np.ndarray | float = 0.0
    axis: int = 0


@dataclass(frozen=True)
class QuantizedTensor:
    """The Q/DQ pair behind an activation."""

    scale: float
    zero_point: int
    span: tuple[int, int]
    scale_after: float
    zero_point_after: int

    def rounded(self, values: np.ndarray) -> np.ndarray:
        """What is left of values behind the pair, by ONNX's definition."""
        integers = np.clip(np.rint(values / np.float32(self.scale)) + self.zero_point, *self.span)
        return ((integers - self.zero_point_after) * np.float32(self.scale_after)).astype(np.float32)

    def step_of(self, low: float, high: float) -> float:
        """The least scale of integers of this kind that reach from `low` <= 0 to `high` >= 0."""
        if self.span[0] < 0:
            return max(-low / 128, high / 127)
        return (high - low) / 255


class Constants:
    """The constants of a graph, whatever they are kept in."""

    def __init__(self, model: ModelProto) -> None:
        self.makers: Mapping[str, NodeProto] = {name: node for node in model.graph.node for name in node.output}
        self._tensors = {tensor.name: tensor for tensor in model.graph.initializer}

    def get(self, name: str) -> Constant | None:
        """The float constant of that name; None where it is no constant, or no float."""
        tensor = self._tensors.get(name)
        node = self.makers.get(name)
        if tensor is None and node is not None and node.op_type == "Constant":
            tensor = next((each.t for each in node.attribute if each.name == "value"), None)
        if tensor is not None:
            kinds = {TensorProto.FLOAT: "fp32", TensorProto.FLOAT16: "fp16", TensorProto.BFLOAT16: "bf16"}
            kind = kinds.get(tensor.data_type)
            return None if kind is None else Constant(numpy_helper.to_array(tensor).astype(np.float32), kind)
        if node is None or node.op_type not in ("Cast", "Identity", "DequantizeLinear"):
            return None
        return self._dequantized(node) if node.op_type == "DequantizeLinear" else self.get(node.input[0])

    def _dequantized(self, node: NodeProto) -> Constant | None:
        integers, scale = self._tensors.get(node.input[0]), self.get(node.input[1])
        if integers is None or scale is None:
            return None
        values = numpy_helper.to_array(integers)
        zero = self.zero_point(node)
        axis = next((each.i for each in node.attribute if each.name == "axis"), 1)
        shape = [-1 if place == axis % max(1, values.ndim) else 1 for place in range(values.ndim)]
        per_channel = scale.values.size > 1
        step = scale.values.reshape(shape) if per_channel else scale.values
        zero = zero.reshape(shape) if per_channel and zero.size > 1 else zero
        kind = "int32" if integers.data_type == TensorProto.INT32 else "int8"
        return Constant(
            ((values.astype(np.float32) - zero) * step).astype(np.float32), kind, step, axis % max(1, values.ndim)
        )

    def zero_point(self, node: NodeProto) -> np.ndarray:
        """Of a QuantizeLinear or DequantizeLinear."""
        tensor = self._tensors.get(node.input[2]) if len(node.input) > 2 else None
        return np.zeros(1, np.float32) if tensor is None else numpy_helper.to_array(tensor).astype(np.float32)

    def quantized(self) -> dict[str, QuantizedTensor]:
        """The activations with a Q/DQ pair, by name; the first pair of each."""
        found: dict[str, QuantizedTensor] = {}
        for after in self.makers.values():
            before = self.makers.get(after.input[0]) if after.op_type == "DequantizeLinear" else None
            if before is None or before.op_type != "QuantizeLinear" or before.input[0] in found:
                continue
            scales = [each.values for node in (before, after) if (each := self.get(node.input[1])) is not None]
            if [values.size for values in scales] != [1, 1]:
                continue
            zero = self._tensors.get(before.input[2]) if len(before.input) > 2 else None
            found[before.input[0]] = QuantizedTensor(
                scales[0].item(), int(self.zero_point(before).item()),
                _SPANS.get(TensorProto.UINT8 if zero is None else zero.data_type, (0, 255)),
                scales[1].item(), int(self.zero_point(after).item()),
            )  # fmt: skip
        return found
