"""What damages need of an ONNX graph: its layers with their constants, whatever they are kept in, and rewiring."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

LAYERS = ("Conv", "Gemm", "MatMul")
Damage = Callable[["Graph"], bool]  # in place; False where the graph has no place for it


class Graph:
    """A graph that is being damaged, in place; `draw` chooses where."""

    def __init__(self, model: ModelProto, draw: np.random.Generator) -> None:
        self.graph, self.draw = model.graph, draw
        self.makers = {name: node for node in self.graph.node for name in node.output}
        self.tensors = {tensor.name: tensor for tensor in self.graph.initializer}

    def tensor(self, name: str) -> TensorProto | None:
        """The stored numbers behind a constant input, through DequantizeLinear; None where it is no constant."""
        node = self.makers.get(name)
        if node is not None and node.op_type == "DequantizeLinear" and node.input[0] in self.tensors:
            return self.tensors[node.input[0]]
        if node is not None and node.op_type == "Constant":
            return next((each.t for each in node.attribute if each.name == "value"), None)
        return self.tensors.get(name)

    def layers(self, rank: int | None = None) -> list[NodeProto]:
        """Layers with constant weights, of a rank."""
        found = []
        for node in self.graph.node:
            weight = self.tensor(node.input[1]) if node.op_type in LAYERS else None
            if weight is not None and rank in (None, len(weight.dims)):
                found.append(node)
        return found

    def dims(self, node: NodeProto) -> tuple[int, ...]:
        """The shape of a layer's weight."""
        weight = self.tensor(node.input[1])
        return () if weight is None else tuple(weight.dims)

    def maker(self, name: str) -> NodeProto | None:
        """The node that computes a tensor, before its Q/DQ pair."""
        node = self.makers.get(name)
        while node is not None and node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            node = self.makers.get(node.input[0])
        return node

    def nodes(self, *operators: str) -> list[NodeProto]:
        """All nodes of these operators."""
        return [node for node in self.graph.node if node.op_type in operators]

    def pick(self, choices: list[Any]) -> Any:
        """One of them; None where there is none."""
        return choices[int(self.draw.integers(len(choices)))] if choices else None

    def change(self, tensor: TensorProto | None, change: Callable[[np.ndarray], np.ndarray]) -> bool:
        """Put other numbers in the place of a tensor's, of the same type."""
        if tensor is None:
            return False
        before = numpy_helper.to_array(tensor)
        wide = before.astype(np.float64)
        after = np.asarray(change(wide.copy()))
        if after.shape != before.shape or np.array_equal(after, wide):
            return False
        if before.dtype.kind in "iu":
            limits = np.iinfo(before.dtype)
            after = np.clip(np.rint(after), limits.min, limits.max)
        tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(after.astype(before.dtype)), tensor.name))
        return True

    def reads_its_input(self, node: NodeProto) -> bool:
        """Whether a node with two inputs computes both."""
        return len(node.input) == 2 and all(self.tensor(name) is None for name in node.input)

    def bypass(self, node: NodeProto, name: str) -> bool:
        """Let all that reads a node's output read `name`; the node goes."""
        old = node.output[0]
        for output in self.graph.output:
            if output.name == old:
                return False
        for reader in self.graph.node:
            for place, each in enumerate(reader.input):
                if each == old:
                    reader.input[place] = name
        self.graph.node.remove(node)
        return True

    def insert(self, source: str, operator: str, inputs: list[str], place: int, **attributes: Any) -> bool:
        """Let all that reads `source` read what an operator makes of it and `inputs`."""
        made = f"{source}.damaged"
        for reader in self.graph.node:
            for index, each in enumerate(reader.input):
                if each == source:
                    reader.input[index] = made
        self.graph.node.insert(place, helper.make_node(operator, [source, *inputs], [made], **attributes))
        return True

    def before(self, node: NodeProto, index: int, operator: str, inputs: list[str]) -> bool:
        """Let one node read what an operator makes of its input and `inputs`."""
        source = node.input[index]
        node.input[index] = f"{source}.before.{node.output[0]}"
        made = helper.make_node(operator, [source, *inputs], [node.input[index]])
        self.graph.node.insert(list(self.graph.node).index(node), made)
        return True

    def constant(self, node: NodeProto, values: np.ndarray | np.generic) -> str:
        """A new constant for a node; floats are half where its graph is."""
        values = np.asarray(values)
        if values.dtype == np.float32 and any(each.data_type == TensorProto.FLOAT16 for each in self.tensors.values()):
            values = values.astype(np.float16)
        name = f"{node.output[0]}.damage.{len(self.graph.initializer)}"
        self.graph.initializer.append(numpy_helper.from_array(values, name))
        return name

    def replace(self, node: NodeProto, operator: str, **attributes: Any) -> bool:
        """Put another operator in a node's place, of its first input."""
        made = helper.make_node(operator, [node.input[0]], list(node.output), node.name, **attributes)
        node.CopyFrom(made)
        return True

    def attribute(self, node: NodeProto, name: str) -> Any:
        """An attribute's value; None where it has none."""
        return next((helper.get_attribute_value(each) for each in node.attribute if each.name == name), None)

    def set(self, node: NodeProto, name: str, value: object) -> bool:
        """Give an attribute another value; False where it is that already."""
        if self.attribute(node, name) == value:
            return False
        kept = [each for each in node.attribute if each.name != name]
        del node.attribute[:]
        node.attribute.extend([*kept, helper.make_attribute(name, value)])
        return True

    def pairs(self) -> Iterator[tuple[NodeProto, NodeProto]]:
        """QuantizeLinear and DequantizeLinear of each activation."""
        for after in self.nodes("DequantizeLinear"):
            before = self.makers.get(after.input[0])
            if before is not None and before.op_type == "QuantizeLinear":
                yield before, after

    def own(self, node: NodeProto, place: int) -> TensorProto:
        """A constant input of a node as one that no other node reads."""
        old = self.tensors[node.input[place]]
        fresh = self.graph.initializer.add()
        fresh.CopyFrom(old)
        fresh.name = f"{old.name}.of.{node.output[0]}"
        node.input[place] = fresh.name
        if not any(old.name in each.input for each in self.graph.node):
            self.graph.initializer.remove(old)
        return fresh
