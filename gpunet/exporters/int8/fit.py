"""Whether the scales in a graph fit what its tensors held on the pictures of the calibration.

    v, v'   values that a tensor held (a sample of them), and what is left of them behind its Q/DQ pair
    loss    mean of (v - v') ** 2
    least   the loss at the best scale of such integers, and no less than what rounding to it costs values other than 0
            in the mean: scale ** 2 / 12

A few pictures do not tell: of 4 to 16 of the 128, sound scales lost up to 9 times the least, for outliers are among the
others. On all of them a sound scale loses the least, one twice too large 2.4 times as much or more.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from gpunet.exporters.int8.quantize import best_scale
from gpunet.exporters.rounding import Constants, QuantizedTensor
from gpunet.runtime.formats import PORTABLE_LAYOUT

if TYPE_CHECKING:
    from onnx import ModelProto

    from gpunet.exporters.int8.ranges import TensorRange

MOST_LOSS = 1.6  # of the least


def misfits(model: ModelProto, held: Mapping[str, TensorRange]) -> list[str]:
    """Activations of a graph whose integers lose more than they must, each as a sentence's part.

    Args:
        model: with Q/DQ nodes.
        held: what tensors held on the pictures that it was calibrated on, by name; others are not judged.
    """
    found = []
    for name, pair in Constants(model).quantized().items():
        if name in held and (ratio := loss_ratio(pair, held[name])) > MOST_LOSS:
            found.append(f"{name}: its scale {pair.scale:.3g} loses {ratio:.2g} times what it must on the calibration")
    return found


def loss_ratio(pair: QuantizedTensor, held: TensorRange) -> float:
    """The loss over the least; 1 where there is nothing to lose."""
    layout = dataclasses.replace(PORTABLE_LAYOUT, signed=pair.span[0] < 0)
    best = best_scale(held, layout)
    fitting = dataclasses.replace(
        pair, scale=best.scale, zero_point=best.zero_point, scale_after=best.scale, zero_point_after=best.zero_point
    )
    least = max(_loss(fitting, held.samples), float(np.mean(held.samples != 0)) * best.scale**2 / 12)
    return _loss(pair, held.samples) / least if least > 0 else 1.0


def _loss(pair: QuantizedTensor, values: np.ndarray) -> float:
    return float(np.mean((pair.rounded(values) - values) ** 2, dtype=np.float64))
