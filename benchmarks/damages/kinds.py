"""The kinds of damage: each changes a graph in place at one place drawn, or says that the graph has no such place."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import onnx

from damages.graph import Graph

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

Damage = Callable[[Graph], bool]
_Change = Callable[[np.ndarray], np.ndarray]
_ATTEMPTS = 4  # at other places, where one is not changed by it, such as a bias of zeros


def damaged(model: ModelProto, kind: str, seed: int) -> ModelProto | None:
    """A copy of a graph with one damage; None where it has no place for it, or is not valid any more."""
    for attempt in range(_ATTEMPTS):
        result = onnx.ModelProto()
        result.CopyFrom(model)
        del result.graph.value_info[:]
        if not DAMAGES[kind](Graph(result, np.random.default_rng((seed, attempt)))):
            continue
        try:
            onnx.checker.check_model(result, full_check=True)
        except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError):
            continue
        return result
    return None


# ------------------------------------------------------------------- constants


def _weight(change: _Change, rank: int | None = 4, keep: Callable[[tuple[int, ...]], bool] | None = None) -> Damage:
    def damage(graph: Graph) -> bool:
        layers = [node for node in graph.layers(rank) if keep is None or keep(graph.dims(node))]
        node = graph.pick(layers)
        return node is not None and graph.change(graph.tensor(node.input[1]), change)

    return damage


def _bias(change: _Change) -> Damage:
    def damage(graph: Graph) -> bool:
        node = graph.pick([node for node in graph.layers() if len(node.input) > 2 and graph.tensor(node.input[2])])
        return node is not None and graph.change(graph.tensor(node.input[2]), change)

    return damage


def _spatial(dims: tuple[int, ...]) -> bool:
    return dims[2] > 1


def _depthwise(dims: tuple[int, ...]) -> bool:
    return dims[1] == 1 and dims[2] > 1


def _dense(dims: tuple[int, ...]) -> bool:
    return dims[1] > 1


def _swapped(axis: int) -> _Change:
    def change(values: np.ndarray) -> np.ndarray:
        order = np.arange(values.shape[axis])
        order[[0, -1]] = order[[-1, 0]]
        return np.take(values, order, axis)

    return change


def _channel(scale: float) -> _Change:
    def change(values: np.ndarray) -> np.ndarray:
        values[np.abs(values.reshape(len(values), -1)).max(1).argmax()] *= scale
        return values

    return change


def _flipped_bit(values: np.ndarray) -> np.ndarray:
    """The highest bit of the exponent that leaves a number: four times the largest; of an integer, its 7th."""
    place = np.unravel_index(np.abs(values).argmax(), values.shape)
    values[place] = values[place] * 4 if np.abs(values).max() < 32 else values[place] - np.sign(values[place]) * 64
    return values


def _clipped(values: np.ndarray) -> np.ndarray:
    most = 0.5 * np.abs(values).max()
    return np.clip(values, -most, most)


def _coarse(values: np.ndarray) -> np.ndarray:
    """Weights of 4 bits."""
    step = np.abs(values).max() / 7
    return np.round(values / step) * step


def _exchanged(graph: Graph) -> bool:
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


def _last(change: _Change, place: int = 1) -> Damage:
    def damage(graph: Graph) -> bool:
        layers = graph.layers(2)
        return bool(layers) and len(layers[-1].input) > place and graph.change(
            graph.tensor(layers[-1].input[place]), change)  # fmt: skip

    return damage


def _first(change: _Change) -> Damage:
    def damage(graph: Graph) -> bool:
        layers = graph.layers(4)
        return bool(layers) and graph.change(graph.tensor(layers[0].input[1]), change)

    return damage


def _classes_rolled(graph: Graph) -> bool:
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


# --------------------------------------------------------------------- integers


def _pair(which: int, place: int, change: _Change) -> Damage:
    """A Q/DQ pair's scale (1) or zero point (2), of Q (0), DQ (1) or both (2)."""

    def damage(graph: Graph) -> bool:
        pair = graph.pick(list(graph.pairs()))
        if pair is None:
            return False
        chosen = pair if which == 2 else (pair[which],)
        changed = [graph.change(graph.own(node, place), change) for node in chosen]
        return all(changed)

    return damage


def _scales_exchanged(graph: Graph) -> bool:
    pairs = list(graph.pairs())
    if len(pairs) < 2:
        return False
    first = int(graph.draw.integers(len(pairs) - 1))
    for one, other in zip(pairs[first], pairs[first + 1], strict=True):
        for place in (1, 2):
            one.input[place], other.input[place] = other.input[place], one.input[place]
    return True


def _weight_scale(change: _Change) -> Damage:
    def damage(graph: Graph) -> bool:
        nodes = [node for node in graph.nodes("DequantizeLinear") if node.input[0] in graph.tensors]
        node = graph.pick([node for node in nodes if len(graph.tensors[node.input[0]].dims) > 1])
        return node is not None and graph.change(graph.own(node, 1), change)

    return damage


# --------------------------------------------------------------------- operators


def _replaced(old: str, new: str, **attributes: object) -> Damage:
    def damage(graph: Graph) -> bool:
        node = graph.pick(graph.nodes(old))
        return node is not None and graph.replace(node, new, **attributes)

    return damage


def _dropped(*operators: str) -> Damage:
    def damage(graph: Graph) -> bool:
        node = graph.pick([node for node in graph.nodes(*operators) if graph.tensor(node.input[0]) is None])
        return node is not None and graph.bypass(node, node.input[0])

    return damage


def _gate_cut(graph: Graph) -> bool:
    """The product of a map with what a sigmoid, a hard sigmoid or an activation made of its mean."""
    gates = []
    for node in graph.nodes("Mul"):
        for place, name in enumerate(node.input):
            maker = graph.makers.get(name)
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


def _residual(new: str | None) -> Damage:
    def damage(graph: Graph) -> bool:
        node = graph.pick([node for node in graph.nodes("Add") if graph.reads_its_input(node)])
        if node is None:
            return False
        if new is None:
            return graph.bypass(node, node.input[int(graph.draw.integers(2))])
        node.op_type = new
        return True

    return damage


def _padding_moved(graph: Graph) -> bool:
    """All of the padding at the end: the map moves by a pixel."""
    node = graph.pick([node for node in graph.nodes("Conv") if any(graph.attribute(node, "pads") or ())])
    if node is None:
        return False
    top, left, bottom, right = graph.attribute(node, "pads")
    moved = [top - 1, left - 1, bottom + 1, right + 1] if top else [top + 1, left + 1, bottom - 1, right - 1]
    return graph.set(node, "pads", moved)


def _dilated(graph: Graph) -> bool:
    node = graph.pick([node for node in graph.layers(4) if graph.dims(node)[2] == 3 and graph.attribute(node, "pads")])
    if node is None:
        return False
    pads = [each + 1 for each in graph.attribute(node, "pads")]
    return graph.set(node, "dilations", [2, 2]) and graph.set(node, "pads", pads)


def _concat_reversed(graph: Graph) -> bool:
    node = graph.pick([node for node in graph.nodes("Concat") if graph.attribute(node, "axis") == 1])
    if node is None or len(set(node.input)) < 2:
        return False
    node.input[:] = list(reversed(node.input))
    return True


def _axis(*operators: str) -> Damage:
    def damage(graph: Graph) -> bool:
        node = graph.pick(graph.nodes(*operators))
        return node is not None and graph.set(node, "axis", -2 if graph.attribute(node, "axis") == -1 else -1)

    return damage


def _epsilon(graph: Graph) -> bool:
    """Of a LayerNorm, whole or in parts: 1e-1."""
    node = graph.pick(graph.nodes("LayerNormalization", "InstanceNormalization"))
    if node is not None:
        return graph.set(node, "epsilon", 0.1)
    roots = [graph.makers.get(node.input[0]) for node in graph.nodes("Sqrt")]
    names = [name for node in roots if node is not None and node.op_type == "Add" for name in node.input]
    return graph.change(graph.tensor(graph.pick(names) or ""), lambda values: np.full_like(values, 0.1))


def _attribute(operator: str, name: str, value: object) -> Damage:
    def damage(graph: Graph) -> bool:
        node = graph.pick(graph.nodes(operator))
        return node is not None and graph.set(node, name, value)

    return damage


def _clip_changed(graph: Graph) -> bool:
    """ReLU6 ends at 3."""
    node = graph.pick([node for node in graph.nodes("Clip") if len(node.input) > 2])
    return node is not None and graph.change(graph.tensor(node.input[2]), lambda values: values / 2)


def _input(operator: str, value: float) -> Damage:
    """Preprocessing folded in wrongly: another mean (Add) or standard deviation (Mul)."""

    def damage(graph: Graph) -> bool:
        name = graph.graph.input[0].name
        graph.graph.initializer.append(onnx.numpy_helper.from_array(np.array(value, np.float32), "damage"))
        return graph.insert(name, operator, ["damage"], 0)

    return damage


def _turned(graph: Graph) -> bool:
    """Height and width exchanged."""
    return graph.insert(graph.graph.input[0].name, "Transpose", [], 0, perm=[0, 1, 3, 2])


DAMAGES: dict[str, Damage] = {
    "kernel turned by 180 degrees": _weight(lambda values: values[..., ::-1, ::-1], keep=_spatial),
    "depthwise kernel turned by 180 degrees": _weight(lambda values: values[..., ::-1, ::-1], keep=_depthwise),
    "kernel transposed": _weight(lambda values: np.swapaxes(values, 2, 3), keep=_spatial),
    "two input channels swapped": _weight(_swapped(1), keep=_dense),
    "two output channels swapped": _weight(_swapped(0)),
    "channels rolled (groups mixed)": _weight(lambda values: np.roll(values, 1, 0), keep=_depthwise),
    "red and blue exchanged": _first(lambda values: values[:, ::-1]),
    "one channel zeroed": _weight(_channel(0.0)),
    "one channel doubled": _weight(_channel(2.0)),
    "a layer zeroed": _weight(lambda values: 0 * values),
    "a layer's sign": _weight(lambda values: -values),
    "a BatchNorm's scale dropped": _weight(lambda values: 0.7 * values),
    "a BatchNorm's mean zeroed": _bias(lambda values: values + 0.5 * np.abs(values).max()),
    "a bias dropped": _bias(lambda values: 0 * values),
    "a bias rolled": _bias(lambda values: np.roll(values, 1)),
    "one bit of a weight": _weight(_flipped_bit, None),
    "weights clipped at half": _weight(_clipped, None),
    "weights of 4 bits": _weight(_coarse, None),
    "two layers exchanged": _exchanged,
    "classes permuted": _classes_rolled,
    "one class zeroed": _last(_channel(0.0)),
    "classifier's bias dropped": _last(lambda values: 0 * values, 2),
    "preprocessing's mean": _input("Add", 0.5),
    "preprocessing's deviation": _input("Mul", 0.6),
    "height and width exchanged": _turned,
    "a gate cut": _gate_cut,
    "gate's sigmoid hard": _replaced("Sigmoid", "HardSigmoid", alpha=1 / 6, beta=0.5),
    "gate's hard sigmoid soft": _replaced("HardSigmoid", "Sigmoid"),
    "hard sigmoid's slope": _attribute("HardSigmoid", "alpha", 0.2),
    "ReLU to hard swish": _replaced("Relu", "HardSwish"),
    "hard swish to ReLU": _replaced("HardSwish", "Relu"),
    "ReLU to leaky ReLU": _replaced("Relu", "LeakyRelu", alpha=0.1),
    "ReLU6 to ReLU3": _clip_changed,
    "GELU's erf to tanh": _replaced("Erf", "Tanh"),
    "an activation dropped": _dropped("Relu", "HardSwish", "Clip", "Sigmoid", "HardSigmoid", "Erf"),
    "a residual dropped": _residual(None),
    "a residual subtracted": _residual("Sub"),
    "padding moved by a pixel": _padding_moved,
    "dilation 2": _dilated,
    "global mean to maximum": _replaced("GlobalAveragePool", "GlobalMaxPool"),
    "concatenation reversed": _concat_reversed,
    "Softmax over another axis": _axis("Softmax"),
    "LayerNorm's epsilon": _epsilon,
    "int8: scale doubled": _pair(2, 1, lambda values: 2 * values),
    "int8: scale halved": _pair(2, 1, lambda values: values / 2),
    "int8: scale doubled after": _pair(1, 1, lambda values: 2 * values),
    "int8: zero point off by one": _pair(1, 2, lambda values: values + 1),
    "int8: both zero points off by one": _pair(2, 2, lambda values: values + 1),
    "int8: scales exchanged": _scales_exchanged,
    "int8: weight scale doubled": _weight_scale(lambda values: 2 * values),
    "int8: one weight scale doubled": _weight_scale(_channel(2.0)),
    "int8: weight scales rolled": _weight_scale(lambda values: np.roll(values, 1)),
}
