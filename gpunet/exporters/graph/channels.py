"""Give every channel axis inside a graph a round length, by channels of zero weights that nothing reads.

Runtimes compute convolutions on blocks of 4, 8 or 16 channels. OpenVINO and TensorRT fill the last block up by
themselves; ONNX Runtime instead leaves its blocked layout (NCHWc) wherever a convolution's input channels are no
multiple of 4, computes that convolution by a slower kernel and reorders the maps on both sides. GPUNet-D1 has 33, 67,
99, 134, 201 and 402 channels: with them rounded up to multiples of 8 it is 1.75 times as fast on ONNX Runtime, on one
thread or two, and 1.01 times on OpenVINO. Multiples of 4 or 16 measured no better on ONNX Runtime; 8 is what half
precision on tensor cores asks for too.

A *group* is a set of tensors that share one channel axis: the output of a convolution, of the activation behind it, of
the depthwise convolution behind that, both sides of a residual addition. Its channels can grow if every tensor of it is
made and read by operators that are known here. The weights that make the group get zero rows, those that read it zero
columns; what the new channels hold meanwhile (an activation of 0) is finite and is multiplied by 0.
"""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import onnx
from onnx import numpy_helper

from gpunet.exporters.graph.tensors import Shapes

MULTIPLE = 8
_MAX_GROWTH = 0.25  # a group of 6 channels is cheaper at 6 than at 8

# Operators that compute every channel by itself: the first input's channel axis is the output's.
_POOLS = ("AveragePool", "GlobalAveragePool", "GlobalMaxPool", "MaxPool")
_ACTIVATIONS = (
    "Clip",
    "Elu",
    "Gelu",
    "HardSigmoid",
    "HardSwish",
    "LeakyRelu",
    "Mish",
    "Relu",
    "Selu",
    "Sigmoid",
    "Tanh",
)
_CHANNELWISE = frozenset((*_POOLS, *_ACTIVATIONS, "Identity"))
_ELEMENTWISE = frozenset(("Add", "Mul", "Sub"))


def align_channels(model: onnx.ModelProto, shapes: Shapes, *, multiple: int = MULTIPLE) -> int:
    """Widen the groups of channels that are no multiple of `multiple`, in place.

    Args:
        model: its graph has intermediate shapes nowhere (`value_info` is empty or will be dropped).
        shapes: as `gpunet.exporters.graph.tensors.infer_shapes` gives them.
        multiple: what channels are rounded up to, where that adds no more than a quarter.

    Returns:
        How many groups have been widened.
    """
    groups = _Groups(model.graph, shapes)
    for node in model.graph.node:
        groups.add(node)
    return groups.widen(multiple)


class _Groups:
    """The channel groups of a graph: a union-find over tensor names, and the weights that belong to each."""

    def __init__(self, graph: onnx.GraphProto, shapes: Shapes) -> None:
        self.graph = graph
        self.shapes = shapes
        self.weights = {tensor.name: tensor for tensor in graph.initializer}
        self.uses = Counter(name for node in graph.node for name in node.input)
        self.parent: dict[str, str] = {}
        self.fixed: set[str] = {value.name for value in (*graph.input, *graph.output)}
        # (tensor, node, input index, axis of the weight that runs along the tensor's channels)
        self.axes: list[tuple[str, onnx.NodeProto, int, int]] = []
        self.depthwise: list[tuple[str, onnx.NodeProto]] = []
        self.made: set[str] = set()

    def root(self, name: str) -> str:
        """The name that stands for the group of a tensor."""
        parent = self.parent.setdefault(name, name)
        while parent != self.parent[parent]:
            self.parent[parent] = self.parent[self.parent[parent]]
            parent = self.parent[parent]
        self.parent[name] = parent
        return parent

    def join(self, name: str, other: str) -> None:
        self.parent[self.root(name)] = self.root(other)

    def fix(self, node: onnx.NodeProto) -> None:
        """An operator that is not known here: what it reads and makes stays as it is."""
        self.fixed.update(node.input)
        self.fixed.update(node.output)

    def add(self, node: onnx.NodeProto) -> None:
        """Sort a node into the groups; nodes come in graph order."""
        known = len(node.output) == 1 and (
            (node.op_type == "Conv" and self._add_convolution(node))
            or (node.op_type == "Gemm" and self._add_linear(node))
            or (node.op_type == "Flatten" and self._add_flatten(node))
            or (node.op_type in _CHANNELWISE and self._add_channelwise(node))
            or (node.op_type in _ELEMENTWISE and self._add_elementwise(node))
        )
        if not known:
            self.fix(node)

    def _add_convolution(self, node: onnx.NodeProto) -> bool:
        if node.input[0] in self.weights or any(name not in self.weights for name in node.input[1:] if name):
            return False
        weight, source, result = self.weights[node.input[1]].dims, node.input[0], node.output[0]
        groups = next((a.i for a in node.attribute if a.name == "group"), 1)
        if groups == 1:
            self.axes.append((source, node, 1, 1))
        elif groups == weight[0] and weight[1] == 1:
            self.join(source, result)
            self.depthwise.append((result, node))
        else:
            return False
        self.made.add(result)
        self.axes.append((result, node, 1, 0))
        if len(node.input) > 2 and node.input[2]:
            self.axes.append((result, node, 2, 0))
        return True

    def _add_linear(self, node: onnx.NodeProto) -> bool:
        given = {a.name: a for a in node.attribute}
        if node.input[1] not in self.weights or ("transA" in given and given["transA"].i):
            return False
        self.axes.append((node.input[0], node, 1, 1 if "transB" in given and given["transB"].i else 0))
        self.fixed.add(node.output[0])
        return True

    def _add_flatten(self, node: onnx.NodeProto) -> bool:
        axis = next((a.i for a in node.attribute if a.name == "axis"), 1)
        if axis != 1 or self.shapes.get(node.input[0], ())[2:] != (1, 1):
            return False
        self.join(node.input[0], node.output[0])
        return True

    def _add_channelwise(self, node: onnx.NodeProto) -> bool:
        if node.input[0] in self.weights or self._channels(node.input[0]) is None:
            return False
        self.join(node.input[0], node.output[0])
        return True

    def _add_elementwise(self, node: onnx.NodeProto) -> bool:
        result = self.shapes.get(node.output[0], ())
        joined = []
        for name in node.input:
            if name in self.weights:
                if int(np.prod(self.weights[name].dims)) != 1:
                    return False
            elif (
                self._channels(name) is None
                or self.shapes[name][1] != result[1]
                or len(self.shapes[name]) != len(result)
            ):
                return False
            else:
                joined.append(name)
        for name in joined:
            self.join(name, node.output[0])
        return True

    def _channels(self, name: str) -> int | None:
        shape = self.shapes.get(name, ())
        return shape[1] if len(shape) in (2, 4) else None

    def widen(self, multiple: int) -> int:
        fixed = {self.root(name) for name in self.fixed}
        made = {self.root(name) for name in self.made}
        sizes: dict[str, set[int | None]] = defaultdict(set)
        for name in list(self.parent):
            sizes[self.root(name)].add(self._channels(name))
        extra: dict[str, int] = {}
        for root, found in sizes.items():
            channels = next(iter(found))
            if root in fixed or root not in made or len(found) != 1 or not channels:
                continue
            added = -channels % multiple
            if 0 < added <= _MAX_GROWTH * channels:
                extra[root] = added
        for name, node, index, axis in self.axes:
            if self.root(name) in extra:
                self._pad(node, index, axis, extra[self.root(name)])
        for name, node in self.depthwise:
            for attribute in node.attribute:
                if attribute.name == "group":
                    attribute.i += extra.get(self.root(name), 0)
        return len(extra)

    def _pad(self, node: onnx.NodeProto, index: int, axis: int, added: int) -> None:
        """Append `added` zeros along an axis of a node's weight; a weight that others read too is copied first."""
        old = self.weights[node.input[index]]
        values = numpy_helper.to_array(old)
        margins = [(0, added if place == axis else 0) for place in range(values.ndim)]
        padded = numpy_helper.from_array(np.pad(values, margins), old.name)
        if self.uses[old.name] == 1:
            old.CopyFrom(padded)
            return
        self.uses[old.name] -= 1
        padded.name = f"{old.name}.{node.output[0]}"
        self.graph.initializer.append(padded)
        self.weights[padded.name] = self.graph.initializer[-1]
        self.uses[padded.name] = 1
        node.input[index] = padded.name
