"""Damages to constants: weights, biases, and the scales and zero points of integers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import onnx

from damages.graph import Damage, Graph

if TYPE_CHECKING:
    from onnx import NodeProto

Change = Callable[[np.ndarray], np.ndarray]


def weight(change: Change, rank: int | None = 4, keep: Callable[[tuple[int, ...]], bool] | None = None) -> Damage:
    """A change to the weight of one layer of a rank, and of shapes to `keep`."""

    def damage(graph: Graph) -> bool:
        layers = [node for node in graph.layers(rank) if keep is None or keep(graph.dims(node))]
        node = graph.pick(layers)
        return node is not None and graph.change(graph.tensor(node.input[1]), change)

    return damage


def bias(change: Change) -> Damage:
    """A change to the bias of one layer."""

    def damage(graph: Graph) -> bool:
        node = graph.pick([node for node in graph.layers() if len(node.input) > 2 and graph.tensor(node.input[2])])
        return node is not None and graph.change(graph.tensor(node.input[2]), change)

    return damage


def spatial(dims: tuple[int, ...]) -> bool:
    """Whether a kernel has more than one place."""
    return dims[2] > 1


def depthwise(dims: tuple[int, ...]) -> bool:
    """Whether a kernel is of one channel each."""
    return dims[1] == 1 and dims[2] > 1


def dense(dims: tuple[int, ...]) -> bool:
    """Whether a kernel reads more than one channel."""
    return dims[1] > 1


def swapped(axis: int) -> Change:
    """The first and the last along an axis, exchanged."""

    def change(values: np.ndarray) -> np.ndarray:
        order = np.arange(values.shape[axis])
        order[[0, -1]] = order[[-1, 0]]
        return np.take(values, order, axis)

    return change


def channel(scale: float) -> Change:
    """The output channel with the largest weight, scaled."""

    def change(values: np.ndarray) -> np.ndarray:
        values[np.abs(values.reshape(len(values), -1)).max(1).argmax()] *= scale
        return values

    return change


def copied(values: np.ndarray) -> np.ndarray:
    """The first output channel in the place of the second."""
    values[1:2] = values[:1]
    return values


def flipped_bit(values: np.ndarray) -> np.ndarray:
    """The highest bit of the exponent that leaves a number: four times the largest; of an integer, its 7th."""
    place = np.unravel_index(np.abs(values).argmax(), values.shape)
    values[place] = values[place] * 4 if np.abs(values).max() < 32 else values[place] - np.sign(values[place]) * 64
    return values


def clipped(values: np.ndarray) -> np.ndarray:
    """Weights that saturate at half of the largest."""
    most = 0.5 * np.abs(values).max()
    return np.clip(values, -most, most)


def coarse(values: np.ndarray) -> np.ndarray:
    """Weights of 4 bits."""
    step = np.abs(values).max() / 7
    return np.round(values / step) * step if step else values


def late_bias(change: Change) -> Damage:
    """A change to the bias of one of the last three convolutions."""

    def damage(graph: Graph) -> bool:
        layers = [node for node in graph.layers(4) if len(node.input) > 2 and graph.tensor(node.input[2])]
        node = graph.pick(layers[-3:])
        return node is not None and graph.change(graph.tensor(node.input[2]), change)

    return damage


def exchanged(graph: Graph) -> bool:
    """The constants of two layers of one shape, exchanged."""
    by_shape: dict[tuple[int, ...], list[NodeProto]] = {}
    for node in graph.layers():
        by_shape.setdefault(graph.dims(node), []).append(node)
    pair = graph.pick([nodes[:2] for nodes in by_shape.values() if len(nodes) > 1])
    if pair is None:
        return False
    first, second = pair
    for place in range(1, min(len(first.input), len(second.input))):
        first.input[place], second.input[place] = second.input[place], first.input[place]
    tensors = sorted(graph.graph.node, key=lambda node: node.op_type != "DequantizeLinear" or node.input[0] in
                     graph.makers)  # fmt: skip
    kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in tensors]
    del graph.graph.node[:]
    graph.graph.node.extend(kept)
    return True


def last(change: Change, place: int = 1) -> Damage:
    """A change to the classifier: its weight (1) or its bias (2)."""

    def damage(graph: Graph) -> bool:
        layers = graph.layers(2)
        return bool(layers) and len(layers[-1].input) > place and graph.change(
            graph.tensor(layers[-1].input[place]), change)  # fmt: skip

    return damage


def first(change: Change) -> Damage:
    """A change to the first convolution."""

    def damage(graph: Graph) -> bool:
        layers = graph.layers(4)
        return bool(layers) and graph.change(graph.tensor(layers[0].input[1]), change)

    return damage


def classes_rolled(graph: Graph) -> bool:
    """Every class in the place of the next."""
    layers = graph.layers(2)
    if not layers:
        return False
    node = layers[-1]
    transposed = node.op_type == "Gemm" and graph.attribute(node, "transB") == 1
    axis = 0 if transposed else 1
    changed = graph.change(graph.tensor(node.input[1]), lambda values: np.roll(values, 1, axis))
    dequantized = graph.makers.get(node.input[1])
    for name in (*(dequantized.input[1:2] if dequantized is not None else ()), *node.input[2:3]):
        graph.change(graph.tensor(name), lambda values: np.roll(values, 1))
    return changed


# integers


def pair(which: int, place: int, change: Change) -> Damage:
    """A Q/DQ pair's scale (1) or zero point (2), of Q (0), DQ (1) or both (2)."""

    def damage(graph: Graph) -> bool:
        pair = graph.pick(list(graph.pairs()))
        if pair is None:
            return False
        chosen = pair if which == 2 else (pair[which],)
        changed = [graph.change(graph.own(node, place), change) for node in chosen]
        return all(changed)

    return damage


def scales_exchanged(graph: Graph) -> bool:
    """The scales and zero points of two activations, exchanged."""
    pairs = list(graph.pairs())
    if len(pairs) < 2:
        return False
    first = int(graph.draw.integers(len(pairs) - 1))
    for one, other in zip(pairs[first], pairs[first + 1], strict=True):
        for place in (1, 2):
            one.input[place], other.input[place] = other.input[place], one.input[place]
    return True


def integers(place: int, change: Change, rank: int = 4) -> Damage:
    """A change to the integers (0), scales (1) or zero points (2) of one layer's weight; of rank 1, of its bias."""

    def damage(graph: Graph) -> bool:
        nodes = [node for node in graph.nodes("DequantizeLinear") if node.input[0] in graph.tensors]
        weights = [node for node in nodes if (len(graph.tensors[node.input[0]].dims) > 1) == (rank > 1)]
        node = graph.pick(weights)
        return node is not None and graph.change(graph.own(node, place), change)

    return damage


def axis_wrong(graph: Graph) -> bool:
    """A square weight's scales along its input channels."""
    nodes = [node for node in graph.nodes("DequantizeLinear") if node.input[0] in graph.tensors]
    shapes = {id(node): tuple(graph.tensors[node.input[0]].dims) for node in nodes}
    square = [node for node in nodes if len(shapes[id(node)]) > 1 and shapes[id(node)][0] == shapes[id(node)][1] > 1]
    node = graph.pick(square)
    return node is not None and graph.set(node, "axis", 1 - graph.attribute(node, "axis"))
