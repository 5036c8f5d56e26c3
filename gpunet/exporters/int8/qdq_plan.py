"""What of a graph is quantised, and how its integers are laid out for the runtime that is to run it.

    map      a tensor N x C x H x W of more than one position
    gate     the product of a map with a tensor of one position, as squeeze-excitation ends
    layer    a convolution or linear layer with constant weights

Weights are int8 per output channel, symmetric, in 7 bits. Of the activations, the inputs of layers are
quantised, and the maps that gates and global pooling read; what else reads such a tensor (the residual addition) reads
the quantised one. The two small convolutions of squeeze-excitation stay in float: they are 0.1 % of the work.

A layout (`gpunet.runtime.formats.Int8Layout`) says what a runtime wants of this; the choices that were measured stand
in docs/decisions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gpunet.errors import InvalidArgumentError
from gpunet.exporters.graph.tensors import infer_shapes
from gpunet.runtime.formats import Int8Layout

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

_ACTIVATIONS = ("Relu", "Clip", "LeakyRelu", "Sigmoid", "HardSigmoid", "HardSwish")
_MAP_OPERATORS = frozenset(("Conv", *_ACTIVATIONS, "Mul", "Add", "AveragePool", "GlobalAveragePool"))


# The largest integer of a weight: 7 bits. x86 processors without VNNI add two products of 8 bits into 16, where
# 2 * 255 * 127 saturates and 2 * 255 * 64 fits. Saturation cost a tenth of the accuracy (docs/decisions/0009).
WEIGHT_MOST = 64


@dataclass(frozen=True)
class QuantizationPlan:
    """What of a graph is quantised.

    Args:
        tensors: activations, in the order they are made.
        layers: names of the layers whose weights are.
        float_layers: names of those that stay in float.
        multiply_adds: of all layers, for one image.
        int8_multiply_adds: of `layers`.
    """

    tensors: tuple[str, ...]
    layers: tuple[str, ...]
    float_layers: tuple[str, ...]
    multiply_adds: int
    int8_multiply_adds: int


def plan(model: ModelProto, layout: Int8Layout, leave_out: Sequence[str] = ()) -> QuantizationPlan:
    """What of a float32 graph is to be quantised.

    Args:
        model: BatchNorm folded; nodes named.
        layout: for which runtime.
        leave_out: names of layers to leave in float.

    Raises:
        InvalidArgumentError: (a ValueError) `leave_out` names what is no layer; the graph has no layer at all, or is
            quantised already.
    """
    view = _View(model)
    if any(node.op_type in ("QuantizeLinear", "DequantizeLinear") for node in model.graph.node):
        raise InvalidArgumentError("the graph to quantise must be in float32, but it holds Q/DQ nodes already.")
    layers = [node for node in model.graph.node if view.is_layer(node)]
    unknown = sorted(set(leave_out) - {node.name for node in layers})
    if unknown or not layers:
        raise InvalidArgumentError(
            f"leave_out names {unknown[0]!r}, which is no layer of the graph."
            if unknown
            else "the graph has no convolution or linear layer with constant weights, so there is nothing to quantise.",
            f"Its layers: {', '.join(node.name for node in layers[:5])}, ..." if unknown else "",
        )
    stay = set(leave_out) | view.gating_layers()
    chosen = [node for node in layers if node.name not in stay]
    wanted = {node.input[0] for node in chosen}
    for node in model.graph.node:
        if node.op_type == "GlobalAveragePool":
            wanted.add(node.input[0])
        elif view.is_gate(node):
            wanted.update(name for name in node.input if layout.every_map or view.is_map(name))
        if layout.every_map and node.op_type in _MAP_OPERATORS and view.is_own_map(node):
            wanted.add(node.output[0])
    order = [model.graph.input[0].name, *(name for node in model.graph.node for name in node.output)]
    work = {node.name: view.multiply_adds(node) for node in layers}
    return QuantizationPlan(
        tensors=tuple(name for name in order if name in wanted),
        layers=tuple(node.name for node in chosen),
        float_layers=tuple(node.name for node in layers if node.name in stay),
        multiply_adds=sum(work.values()),
        int8_multiply_adds=sum(work[node.name] for node in chosen),
    )


class _View:
    """A graph with what the plan asks of it: shapes, makers and readers of tensors."""

    def __init__(self, model: ModelProto) -> None:
        graph = model.graph
        self.graph = graph
        self.shapes = infer_shapes(model)
        self.weights = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
        constants = [node.output[0] for node in graph.node if node.op_type == "Constant"]
        self.weights.update((name, self.shapes.get(name, ())) for name in constants)
        self.outputs = {value.name for value in graph.output}
        self.makers = {name: node for node in graph.node for name in node.output}
        self.readers: dict[str, list[NodeProto]] = defaultdict(list)
        for node in graph.node:
            for name in node.input:
                self.readers[name].append(node)

    def is_layer(self, node: NodeProto) -> bool:
        if node.op_type not in ("Conv", "Gemm", "MatMul") or node.input[0] in self.weights:
            return False
        given = {attribute.name: attribute for attribute in node.attribute}
        plain = not any(name in given and given[name].f != 1.0 for name in ("alpha", "beta"))
        plain = plain and not ("transA" in given and given["transA"].i)
        rank = 4 if node.op_type == "Conv" else 2
        constant_bias = len(node.input) < 3 or not node.input[2] or node.input[2] in self.weights
        return plain and constant_bias and len(self.weights.get(node.input[1], ())) == rank

    def is_map(self, name: str) -> bool:
        shape = self.shapes.get(name, ())
        return name not in self.weights and len(shape) == 4 and shape[2:] != (1, 1)

    def is_gate(self, node: NodeProto) -> bool:
        if node.op_type != "Mul" or len(node.input) != 2 or any(name in self.weights for name in node.input):
            return False
        return self.is_map(node.input[0]) != self.is_map(node.input[1])

    def is_own_map(self, node: NodeProto) -> bool:
        """Whether a node makes a map that stays one: not a convolution's that an activation alone reads."""
        name = node.output[0]
        readers = self.readers[name]
        folded = node.op_type == "Conv" and readers and all(each.op_type in ("Relu", "Clip") for each in readers)
        small = node.op_type == "GlobalAveragePool" and not any(self.is_layer(each) for each in readers)
        return not folded and name not in self.outputs and (self.is_map(name) or small)

    def gating_layers(self) -> set[str]:
        """Names of the layers between a global pool and a gate."""
        names: set[str] = set()
        stack = [name for node in self.graph.node if self.is_gate(node) for name in node.input if not self.is_map(name)]
        seen: set[str] = set()
        while stack:
            name = stack.pop()
            maker = self.makers.get(name)
            if name in seen or maker is None or self.is_map(name):
                continue
            seen.add(name)
            if self.is_layer(maker):
                names.add(maker.name)
            stack += [each for each in maker.input if each not in self.weights]
        return names

    def multiply_adds(self, node: NodeProto) -> int:
        """Of a layer, for one image."""
        weight = int(np.prod(self.weights[node.input[1]]))
        sides = self.shapes.get(node.output[0], ())[2:] if node.op_type == "Conv" else ()
        return weight * int(np.prod([side or 1 for side in sides]))
