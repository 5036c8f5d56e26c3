"""Damages to what transformers and resizing networks are made of: attention, LayerNorm, GELU, clips, pools, borders."""

from __future__ import annotations

import numpy as np
from onnx import helper, numpy_helper

from damages.constants import Change
from damages.graph import Damage, Graph


def scaled_before(factor: float, *operators: str) -> Damage:
    """What an operator reads, scaled: of Softmax the attention's scale, of an addition what goes past a layer."""

    def damage(graph: Graph) -> bool:
        node = graph.pick([node for node in graph.nodes(*operators) if graph.tensor(node.input[0]) is None])
        return node is not None and graph.before(node, 0, "Mul", [graph.constant(node, np.float32(factor))])

    return damage


def gelu_by_tanh(graph: Graph) -> bool:
    """GELU by its approximation, tanh(sqrt(2 / pi) (x + 0.044715 x^3)) in place of erf(x / sqrt(2)); or the reverse.

    With u = x / sqrt(2), what erf reads, it is tanh(2 u (1 + 0.08943 u^2) / sqrt(pi)).
    """
    node = graph.pick(graph.nodes("Gelu"))
    if node is not None:
        exact = graph.attribute(node, "approximate") != b"tanh"
        return graph.set(node, "approximate", "tanh" if exact else "none")
    node = graph.pick(graph.nodes("Erf"))
    if node is None:
        return False
    source, made = node.input[0], node.output[0]
    square, slope, one, outer = (f"{made}.{name}" for name in ("square", "slope", "one", "outer"))
    numbers = [graph.constant(node, np.float32(each)) for each in (2 * 0.044715, 1.0, 2 / np.sqrt(np.pi))]
    place = list(graph.graph.node).index(node)
    steps = [("Mul", [source, source], square), ("Mul", [square, numbers[0]], slope), ("Add", [slope, numbers[1]], one),
             ("Mul", [source, one], outer), ("Mul", [outer, numbers[2]], f"{outer}.2"),
             ("Tanh", [f"{outer}.2"], made)]  # fmt: skip
    graph.graph.node.remove(node)
    for operator, inputs, output in reversed(steps):
        graph.graph.node.insert(place, helper.make_node(operator, inputs, [output]))
    return True


def constant_of(operator: str, place: int, change: Change, rank: int | None = None) -> Damage:
    """A change to a constant that an operator reads: a LayerNorm's weight (1) or bias (2), a position's embedding."""

    def damage(graph: Graph) -> bool:
        nodes = [node for node in graph.nodes(operator) if len(node.input) > place]
        tensors = [found for node in nodes if (found := graph.tensor(node.input[place])) is not None]
        return graph.change(graph.pick([each for each in tensors if rank in (None, len(each.dims))]), change)

    return damage


def toggled(operator: str, name: str) -> Damage:
    """An attribute that is 0 or 1 and is 0 where it is not given, the other way round."""

    def damage(graph: Graph) -> bool:
        node = graph.pick(graph.nodes(operator))
        return node is not None and graph.set(node, name, 1 - (graph.attribute(node, name) or 0))

    return damage


def unclipped(graph: Graph) -> bool:
    """A clip without its upper end: ReLU6 to ReLU."""
    node = graph.pick([node for node in graph.nodes("Clip") if len(node.input) > 2 and node.input[2]])
    if node is None:
        return False
    node.input[2] = ""
    return True


def resized_otherwise(graph: Graph) -> bool:
    """Nearest in place of bilinear, or the reverse."""
    node = graph.pick(graph.nodes("Resize"))
    return node is not None and graph.set(node, "mode", "linear" if graph.attribute(node, "mode") == b"nearest" else
                                          "nearest")  # fmt: skip


def border_cut(graph: Graph) -> bool:
    """The last row of a map is not in its global mean."""
    node = graph.pick(graph.nodes("GlobalAveragePool"))
    if node is None:
        return False
    numbers = [graph.constant(node, np.array([each], np.int64)) for each in (0, -1, 2)]
    return graph.before(node, 0, "Slice", numbers)


def channels_at_input(operator: str, values: tuple[float, float, float]) -> Damage:
    """The picture's channels, each by a number of its own: a mean (Add) or deviation (Mul) of another colour."""

    def damage(graph: Graph) -> bool:
        tensor = numpy_helper.from_array(np.array(values, np.float32).reshape(1, 3, 1, 1), "damage")
        graph.graph.initializer.append(tensor)
        return graph.insert(graph.graph.input[0].name, operator, ["damage"], 0)

    return damage
