"""The kinds of damage: each changes a graph in place at one place drawn, or says that the graph has no such place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx

from damages.attention import (
    border_cut,
    channels_at_input,
    constant_of,
    gelu_by_tanh,
    resized_otherwise,
    scaled_before,
    toggled,
    unclipped,
)
from damages.constants import (
    axis_wrong,
    bias,
    channel,
    classes_rolled,
    clipped,
    coarse,
    copied,
    dense,
    depthwise,
    exchanged,
    first,
    flipped_bit,
    integers,
    last,
    late_bias,
    pair,
    scales_exchanged,
    spatial,
    swapped,
    weight,
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
    pooled_otherwise,
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
    "LayerNorm's weight": constant_of("LayerNormalization", 1, lambda values: 0.9 * values),
    "LayerNorm's bias": constant_of("LayerNormalization", 2, lambda values: values + 0.1),
    "attention's scale halved": scaled_before(0.5, "Softmax"),
    "Softmax dropped": dropped("Softmax"),
    "Softmax to sigmoid": replaced("Softmax", "Sigmoid"),
    "a position's embedding rolled": constant_of("Add", 1, lambda values: np.roll(values, 1, 1), 3),
    "GELU approximated by tanh": gelu_by_tanh,
    "GELU's tanh to erf": replaced("Tanh", "Erf"),
    "ReLU6 to ReLU": unclipped,
    "Resize's mode": resized_otherwise,
    "Resize's coordinates": attribute("Resize", "coordinate_transformation_mode", "align_corners"),
    "maximum pool to mean": pooled_otherwise,
    "mean pool and its padding": toggled("AveragePool", "count_include_pad"),
    "global mean without the last row": border_cut,
    "a residual scaled": scaled_before(0.9, "Add"),
    "two channels of a late bias swapped": late_bias(swapped(0)),
    "an output channel copied": weight(copied),
    "a BatchNorm's epsilon dropped": weight(channel(1.005)),
    "preprocessing's means of red and blue": channels_at_input("Add", (0.08, 0.0, -0.08)),
    "preprocessing's deviations of red and blue": channels_at_input("Mul", (0.983, 1.0, 1.018)),
    "int8: scale doubled": pair(2, 1, lambda values: 2 * values),
    "int8: scale halved": pair(2, 1, lambda values: values / 2),
    "int8: scale doubled after": pair(1, 1, lambda values: 2 * values),
    "int8: zero point off by one": pair(1, 2, lambda values: values + 1),
    "int8: both zero points off by one": pair(2, 2, lambda values: values + 1),
    "int8: scales exchanged": scales_exchanged,
    "int8: weight scale doubled": integers(1, lambda values: 2 * values),
    "int8: one weight scale doubled": integers(1, channel(2.0)),
    "int8: weight scales rolled": integers(1, lambda values: np.roll(values, 1)),
    "int8: weight's zero points off by one": integers(2, lambda values: values + 1),
    "int8: scales along the wrong axis": axis_wrong,
    "int8: bias's scales rolled": integers(1, lambda values: np.roll(values, 1), 1),
    "int8: bias rounded down": integers(0, lambda values: values - 1, 1),
    "int8: scale of 0.8": pair(2, 1, lambda values: 0.8 * values),
}
