"""The kinds of damage: each changes a graph in place at one place drawn, or says that the graph has no such place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx

from damages.constants import (
    bias,
    channel,
    classes_rolled,
    clipped,
    coarse,
    dense,
    depthwise,
    exchanged,
    first,
    flipped_bit,
    last,
    pair,
    scales_exchanged,
    spatial,
    swapped,
    weight,
    weight_scale,
)
from damages.graph import Damage, Graph
from damages.operators import (
    at_input,
    attribute,
    axis,
    clip_changed,
    concat_reversed,
    dilated,
    dropped,
    epsilon,
    gate_cut,
    padding_moved,
    replaced,
    residual,
    turned,
)

if TYPE_CHECKING:
    from onnx import ModelProto

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


DAMAGES: dict[str, Damage] = {
    "kernel turned by 180 degrees": weight(lambda values: values[..., ::-1, ::-1], keep=spatial),
    "depthwise kernel turned by 180 degrees": weight(lambda values: values[..., ::-1, ::-1], keep=depthwise),
    "kernel transposed": weight(lambda values: np.swapaxes(values, 2, 3), keep=spatial),
    "two input channels swapped": weight(swapped(1), keep=dense),
    "two output channels swapped": weight(swapped(0)),
    "channels rolled (groups mixed)": weight(lambda values: np.roll(values, 1, 0), keep=depthwise),
    "red and blue exchanged": first(lambda values: values[:, ::-1]),
    "one channel zeroed": weight(channel(0.0)),
    "one channel doubled": weight(channel(2.0)),
    "a layer zeroed": weight(lambda values: 0 * values),
    "a layer's sign": weight(lambda values: -values),
    "a BatchNorm's scale dropped": weight(lambda values: 0.7 * values),
    "a BatchNorm's mean zeroed": bias(lambda values: values + 0.5 * np.abs(values).max()),
    "a bias dropped": bias(lambda values: 0 * values),
    "a bias rolled": bias(lambda values: np.roll(values, 1)),
    "one bit of a weight": weight(flipped_bit, None),
    "weights clipped at half": weight(clipped, None),
    "weights of 4 bits": weight(coarse, None),
    "two layers exchanged": exchanged,
    "classes permuted": classes_rolled,
    "one class zeroed": last(channel(0.0)),
    "classifier's bias dropped": last(lambda values: 0 * values, 2),
    "preprocessing's mean": at_input("Add", 0.5),
    "preprocessing's deviation": at_input("Mul", 0.6),
    "height and width exchanged": turned,
    "a gate cut": gate_cut,
    "gate's sigmoid hard": replaced("Sigmoid", "HardSigmoid", alpha=1 / 6, beta=0.5),
    "gate's hard sigmoid soft": replaced("HardSigmoid", "Sigmoid"),
    "hard sigmoid's slope": attribute("HardSigmoid", "alpha", 0.2),
    "ReLU to hard swish": replaced("Relu", "HardSwish"),
    "hard swish to ReLU": replaced("HardSwish", "Relu"),
    "ReLU to leaky ReLU": replaced("Relu", "LeakyRelu", alpha=0.1),
    "ReLU6 to ReLU3": clip_changed,
    "GELU's erf to tanh": replaced("Erf", "Tanh"),
    "an activation dropped": dropped("Relu", "HardSwish", "Clip", "Sigmoid", "HardSigmoid", "Erf"),
    "a residual dropped": residual(None),
    "a residual subtracted": residual("Sub"),
    "padding moved by a pixel": padding_moved,
    "dilation 2": dilated,
    "global mean to maximum": replaced("GlobalAveragePool", "GlobalMaxPool"),
    "concatenation reversed": concat_reversed,
    "Softmax over another axis": axis("Softmax"),
    "LayerNorm's epsilon": epsilon,
    "int8: scale doubled": pair(2, 1, lambda values: 2 * values),
    "int8: scale halved": pair(2, 1, lambda values: values / 2),
    "int8: scale doubled after": pair(1, 1, lambda values: 2 * values),
    "int8: zero point off by one": pair(1, 2, lambda values: values + 1),
    "int8: both zero points off by one": pair(2, 2, lambda values: values + 1),
    "int8: scales exchanged": scales_exchanged,
    "int8: weight scale doubled": weight_scale(lambda values: 2 * values),
    "int8: one weight scale doubled": weight_scale(channel(2.0)),
    "int8: weight scales rolled": weight_scale(lambda values: np.roll(values, 1)),
}
