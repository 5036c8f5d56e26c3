"""Shapes, parameters and multiply-adds of every layer of a NetworkSpec, counted without building it.

    c_in, c_out   channels in and out
    h             hidden width of a layer (after expansion)
    k, s, p       kernel, stride, padding; square
    r_in, r_out   side in px before and after; r_out = (r_in + 2 p - k) // s + 1

Multiply-adds count convolutions and linear layers (squeeze-excitation's included), not BatchNorm, activations
or pooling. Parameters count weights and biases: two per BatchNorm channel, no running statistics.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gpunet.errors import SpecError
from gpunet.model.parts import HeadSpec, StageSpec, StemSpec, hidden_channels


@dataclass(frozen=True)
class LayerShape:
    """One layer of a network, with what fixes its cost.

    Args:
        name: its place, e.g. 'stem', 'stages[2][0]', 'head', 'classifier'.
        kind: 'conv', 'fused_irb', 'irb', 'pool' or 'linear'.
        in_channels, out_channels: channels of input and output.
        hidden_channels: width after expansion; 0 where there is none.
        reduced_channels: inner width of squeeze-excitation; 0 where there is none.
        in_px, out_px: sides of the input and output maps.
        kernel_size, stride, padding: of the layer's spatial convolution.
        activation: 'relu', 'swish' or '' for none.
        residual: whether the input is added to the output.
        parameters, multiply_adds: counts; the latter for one image.
    """

    name: str
    kind: str
    in_channels: int
    out_channels: int
    hidden_channels: int
    reduced_channels: int
    in_px: int
    out_px: int
    kernel_size: int
    stride: int
    padding: int
    activation: str
    residual: bool
    parameters: int
    multiply_adds: int


def padding_of(stage: StageSpec, index: int) -> int:
    """Padding of the spatial convolution of layer `index` of a stage."""
    strided = stage.layer_stride(index) == 2
    return 0 if strided and stage.type == "fused_irb" and not stage.pad_strided else stage.kernel_size // 2


def reduced_channels(hidden: int, expansion: float) -> int:
    """Inner width of squeeze-excitation: a quarter of the layer's input width, as the release rounds it."""
    return max(1, round(hidden * 0.25 / expansion))


def layer_shapes(
    stem: StemSpec, stages: Sequence[StageSpec], head: HeadSpec, hidden_divisor: int,
    *, in_channels: int, num_classes: int, resolution_px: int,
) -> tuple[LayerShape, ...]:  # fmt: skip
    """See NetworkSpec.layer_shapes."""
    shapes = [_conv("stem", in_channels, stem.filters, resolution_px, stem.kernel_size, 2, stem.activation)]
    for number, stage in enumerate(stages):
        for index in range(stage.layers):
            before = shapes[-1]
            name = f"stages[{number}][{index}]"
            if stage.type == "conv":
                args = (stage.kernel_size, stage.layer_stride(index), stage.activation)
                shapes.append(_conv(name, before.out_channels, stage.filters, before.out_px, *args))
            else:
                hidden = hidden_channels(before.out_channels, stage.expansion, hidden_divisor)
                c_in, in_px = before.out_channels, before.out_px
                shapes.append(_inverted_residual(name, stage, index, c_in, hidden, in_px))
    last = _conv("head", shapes[-1].out_channels, head.filters, shapes[-1].out_px, 1, 1, "relu")
    shapes += [last, _plain("pool", "pool", last.out_channels, last.out_channels, last.out_px)]
    features = head.filters
    if head.hidden_features is not None:
        hidden = head.hidden_features
        shapes.append(_plain("head_hidden", "conv", features, hidden, 1, weights=features * hidden, activation="relu"))
        features = hidden
    if num_classes > 0:
        cost = features * num_classes
        shapes.append(_plain("classifier", "linear", features, num_classes, 1, weights=cost, biases=num_classes))
    return tuple(shapes)


def _out_px(name: str, in_px: int, kernel_size: int, stride: int, padding: int) -> int:
    out_px = (in_px + 2 * padding - kernel_size) // stride + 1
    if in_px + 2 * padding < kernel_size or out_px < 1:
        raise SpecError(
            f"{name}: its input of {in_px} px is too small for a {kernel_size} x {kernel_size} kernel "
            f"with padding {padding}",
            "Raise resolution_px or lower the number of stride-2 stages.",
        )
    return out_px


def _conv(name: str, c_in: int, c_out: int, in_px: int, kernel: int, stride: int, activation: str) -> LayerShape:
    out_px = _out_px(name, in_px, kernel, stride, kernel // 2)
    weights = kernel * kernel * c_in * c_out
    return LayerShape(
        name, "conv", c_in, c_out, 0, 0, in_px, out_px, kernel, stride, kernel // 2, activation, False,
        parameters=weights + 2 * c_out, multiply_adds=weights * out_px * out_px,
    )  # fmt: skip


def _plain(
    name: str, kind: str, c_in: int, c_out: int, in_px: int, *, weights: int = 0, biases: int = 0, activation: str = ""
) -> LayerShape:
    kernel = in_px if kind == "pool" else 1
    return LayerShape(
        name, kind, c_in, c_out, 0, 0, in_px, 1, kernel, 1, 0, activation, False,
        parameters=weights + biases, multiply_adds=weights,
    )  # fmt: skip


def _inverted_residual(name: str, stage: StageSpec, index: int, c_in: int, hidden: int, in_px: int) -> LayerShape:
    c_out, kernel, stride, padding = (
        stage.filters,
        stage.kernel_size,
        stage.layer_stride(index),
        padding_of(stage, index),
    )
    out_px = _out_px(name, in_px, kernel, stride, padding)
    if stage.type == "fused_irb":
        weights = kernel * kernel * c_in * hidden
        multiply_adds = weights * out_px * out_px
        norms = 2 * (hidden + c_out)
    else:
        expand, spatial = c_in * hidden, kernel * kernel * hidden
        weights = expand + spatial
        multiply_adds = expand * in_px * in_px + spatial * out_px * out_px
        norms = 2 * (2 * hidden + c_out)
    reduced = reduced_channels(hidden, stage.expansion) if stage.squeeze_excitation else 0
    squeeze = 2 * hidden * reduced
    project = hidden * c_out
    biases = hidden + reduced if reduced else 0
    return LayerShape(
        name, stage.type, c_in, c_out, hidden, reduced, in_px, out_px, kernel, stride, padding, stage.activation,
        residual=stride == 1 and c_in == c_out,
        parameters=weights + norms + squeeze + biases + project,
        multiply_adds=multiply_adds + squeeze + project * out_px * out_px,
    )  # fmt: skip
