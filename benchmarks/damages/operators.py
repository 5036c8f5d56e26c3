"""Damages to operators: another one in a node's place, none, or one with other attributes."""

from __future__ import annotations

import numpy as np
import onnx

from damages.graph import Damage, Graph


def replaced(old: str, new: str, **attributes: object) -> Damage:
    """One operator in the place of another."""

    def damage(graph: Graph) -> bool:
        node = graph.pick(graph.nodes(old))
        return node is not None and graph.replace(node, new, **attributes)

    return damage


def dropped(*operators: str) -> Damage:
    """One node left out."""

    def damage(graph: Graph) -> bool:
        node = graph.pick([node for node in graph.nodes(*operators) if graph.tensor(node.input[0]) is None])
        return node is not None and graph.bypass(node, node.input[0])

    return damage


def gate_cut(graph: Graph) -> bool:
    """The product of a map with what a sigmoid, a hard sigmoid or an activation made of its mean."""
    gates = []
    for node in graph.nodes("Mul"):
        for place, name in enumerate(node.input):
            maker = graph.maker(name)
            if (
                graph.reads_its_input(node)
                and maker is not None
                and maker.op_type in ("Sigmoid", "HardSigmoid", "Clip")
            ):
                other = node.input[1 - place]
                if other != maker.input[0]:
                    gates.append((node, other))
    chosen = graph.pick(gates)
    return chosen is not None and graph.bypass(*chosen)


def residual(new: str | None) -> Damage:
    """An addition left out, or another operator in its place."""

    def damage(graph: Graph) -> bool:
        node = graph.pick([node for node in graph.nodes("Add") if graph.reads_its_input(node)])
        if node is None:
            return False
        if new is None:
            return graph.bypass(node, node.input[int(graph.draw.integers(2))])
        node.op_type = new
        return True

    return damage


def padding_moved(graph: Graph) -> bool:
    """All of the padding at the end: the map moves by a pixel."""
    node = graph.pick([node for node in graph.nodes("Conv") if any(graph.attribute(node, "pads") or ())])
    if node is None:
        return False
    top, left, bottom, right = graph.attribute(node, "pads")
    moved = [top - 1, left - 1, bottom + 1, right + 1] if top else [top + 1, left + 1, bottom - 1, right - 1]
    return graph.set(node, "pads", moved)


def dilated(graph: Graph) -> bool:
    """A kernel of 3 spread over 5."""
    node = graph.pick([node for node in graph.layers(4) if graph.dims(node)[2] == 3 and graph.attribute(node, "pads")])
    if node is None:
        return False
    pads = [each + 1 for each in graph.attribute(node, "pads")]
    return graph.set(node, "dilations", [2, 2]) and graph.set(node, "pads", pads)


def concat_reversed(graph: Graph) -> bool:
    """The maps of a concatenation in reverse."""
    node = graph.pick([node for node in graph.nodes("Concat") if graph.attribute(node, "axis") == 1])
    if node is None or len(set(node.input)) < 2:
        return False
    node.input[:] = list(reversed(node.input))
    return True


def axis(*operators: str) -> Damage:
    """Another axis."""

    def damage(graph: Graph) -> bool:
        node = graph.pick(graph.nodes(*operators))
        return node is not None and graph.set(node, "axis", -2 if graph.attribute(node, "axis") == -1 else -1)

    return damage


def epsilon(graph: Graph) -> bool:
    """Of a LayerNorm, whole or in parts: 1e-1."""
    node = graph.pick(graph.nodes("LayerNormalization", "InstanceNormalization"))
    if node is not None:
        return graph.set(node, "epsilon", 0.1)
    roots = [graph.makers.get(node.input[0]) for node in graph.nodes("Sqrt")]
    names = [name for node in roots if node is not None and node.op_type == "Add" for name in node.input]
    return graph.change(graph.tensor(graph.pick(names) or ""), lambda values: np.full_like(values, 0.1))


def pooled_otherwise(graph: Graph) -> bool:
    """The mean in place of the maximum."""
    node = graph.pick(graph.nodes("MaxPool"))
    if node is None or graph.attribute(node, "dilations") not in (None, [1, 1]):
        return False
    kept = [each for each in node.attribute if each.name not in ("dilations", "storage_order")]
    del node.attribute[:]
    node.attribute.extend(kept)
    node.op_type = "AveragePool"
    return True


def attribute(operator: str, name: str, value: object) -> Damage:
    """Another value of an attribute."""

    def damage(graph: Graph) -> bool:
        node = graph.pick(graph.nodes(operator))
        return node is not None and graph.set(node, name, value)

    return damage


def clip_changed(graph: Graph) -> bool:
    """ReLU6 ends at 3."""
    node = graph.pick([node for node in graph.nodes("Clip") if len(node.input) > 2])
    return node is not None and graph.change(graph.tensor(node.input[2]), lambda values: values / 2)


def at_input(operator: str, value: float) -> Damage:
    """Preprocessing folded in wrongly: another mean (Add) or standard deviation (Mul)."""

    def damage(graph: Graph) -> bool:
        name = graph.graph.input[0].name
        graph.graph.initializer.append(onnx.numpy_helper.from_array(np.array(value, np.float32), "damage"))
        return graph.insert(name, operator, ["damage"], 0)

    return damage


def turned(graph: Graph) -> bool:
    """Height and width exchanged."""
    return graph.insert(graph.graph.input[0].name, "Transpose", [], 0, perm=[0, 1, 3, 2])
