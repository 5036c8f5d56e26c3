"""The layers of convolutional networks of the GPUNet family: keys and work; their nodes are the export's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpunet.core.arguments import checked_choice
from gpunet.errors import InvalidArgumentError
from gpunet.latency.layers.keys import IMAGE_CHANNELS, LayerKey, Work, text_of
from gpunet.model.parts import ACTIVATIONS
from gpunet.model.shapes import LayerShape
from gpunet.model.spec import NetworkSpec

if TYPE_CHECKING:
    from gpunet.exporters.graph.builder import GraphBuilder

CONV_KINDS = ("input", "conv", "fused_irb", "irb", "head")


@dataclass(frozen=True)
class ConvLayerKey:
    """A layer of a convolutional network of the GPUNet family.

    Args:
        kind: 'input' (the run itself: handing over an image, starting, returning); 'conv', 'fused_irb', 'irb'; or
            'head' (1x1 convolution, ReLU, global pooling, [1x1 convolution, ReLU,] linear).
        in_channels, in_px: channels and side of its input.
        out_channels: of its output; for 'head' the number of classes.
        kernel_size, stride, padding: of its spatial convolution.
        hidden_channels: width after expansion; for 'head' of the convolution before pooling; else 0.
        reduced_channels: inner width of squeeze-excitation; for 'head' of the convolution after pooling; 0 for none.
        activation: 'relu', 'swish', or '' for none.
        residual: whether its input is added to its output.
    """

    kind: str
    in_channels: int
    in_px: int
    out_channels: int
    kernel_size: int = 1
    stride: int = 1
    padding: int = 0
    hidden_channels: int = 0
    reduced_channels: int = 0
    activation: str = ""
    residual: bool = False

    def __post_init__(self) -> None:
        checked_choice("kind", self.kind, CONV_KINDS)
        if self.activation and self.activation not in ACTIVATIONS:
            raise InvalidArgumentError(
                f"activation must be one of {', '.join(ACTIVATIONS)}, or '', but got {self.activation!r}."
            )

    @property
    def text(self) -> str:
        """See `LayerKey.text`."""
        return text_of(self)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """C, H, W."""
        return (self.in_channels, self.in_px, self.in_px)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """C, H, W; the number of classes for 'head'."""
        return (self.out_channels,) if self.kind == "head" else (self.out_channels, self.out_px, self.out_px)

    @property
    def follows(self) -> bool:
        """See `LayerKey.follows`: an image has three channels, a map in a network more."""
        return self.in_channels != IMAGE_CHANNELS

    @property
    def out_px(self) -> int:
        """Side of the output map."""
        return 1 if self.kind == "head" else (self.in_px + 2 * self.padding - self.kernel_size) // self.stride + 1

    def work(self) -> Work:
        """See `LayerKey.work`."""
        return _WORK[self.kind](self)

    def add_to(self, graph: GraphBuilder, source: str) -> str:
        """See `LayerKey.add_to`."""
        from gpunet.exporters.graph.conv_nodes import add_layer

        return add_layer(graph, self, source)


# ----------------------------------------------------------------------- work


def _work_input(key: ConvLayerKey) -> Work:
    return Work(0, 0, key.in_channels * key.in_px**2, 0, 0, 1)


def _work_conv(key: ConvLayerKey) -> Work:
    weights = key.kernel_size**2 * key.in_channels * key.out_channels
    area_in, area_out = key.in_px**2, key.out_px**2
    moved = key.in_channels * area_in + key.out_channels * area_out
    swish = key.out_channels * area_out if key.activation == "swish" else 0
    return Work(weights * area_out, 0, moved, weights, swish, 1)


def _work_irb(key: ConvLayerKey) -> Work:
    hidden, area_in, area_out = key.hidden_channels, key.in_px**2, key.out_px**2
    fused = key.kind == "fused_irb"
    spatial = key.kernel_size**2 * hidden * (key.in_channels if fused else 1)
    expand, project = (0 if fused else key.in_channels * hidden), hidden * key.out_channels
    squeeze = 2 * hidden * key.reduced_channels
    dense = expand * area_in + project * area_out + squeeze + (spatial * area_out if fused else 0)
    hidden_in = 0 if fused else 2 * hidden * area_in
    hidden_out = 2 * hidden * area_out + (3 * hidden * area_out if key.reduced_channels else 0)
    border = key.in_channels * area_in * (2 if key.residual else 1) + key.out_channels * area_out
    swish = hidden * (area_out + (0 if fused else area_in)) if key.activation == "swish" else 0
    operations = (2 if fused else 3) + (4 if key.reduced_channels else 0)
    weights = spatial + expand + project + squeeze
    return Work(dense, 0 if fused else spatial * area_out, border + hidden_in + hidden_out, weights, swish, operations)


def _work_head(key: ConvLayerKey) -> Work:
    area, width = key.in_px**2, key.hidden_channels
    features = key.reduced_channels or width
    first, linear = key.in_channels * width, features * key.out_channels
    middle = width * key.reduced_channels
    moved = key.in_channels * area + 2 * width * area
    return Work(first * area + middle + linear, 0, moved, first + middle + linear, 0, 4 if key.reduced_channels else 3)


_WORK = {"input": _work_input, "conv": _work_conv, "fused_irb": _work_irb, "irb": _work_irb, "head": _work_head}

# ----------------------------------------------------------------------- keys


def keys_from_spec(spec: NetworkSpec, *, num_classes: int = 1000, resolution_px: int | None = None) -> list[LayerKey]:
    """The keys of a network's layers, in network order, the run itself ('input') first; equal layers repeat.

    Raises:
        SpecError: (a ValueError) the resolution is too small for a layer.
    """
    shapes = spec.layer_shapes(num_classes=num_classes, resolution_px=resolution_px)
    body = [shape for shape in shapes if shape.name == "stem" or shape.name.startswith("stages[")]
    head = next(shape for shape in shapes if shape.name == "head")
    first = ConvLayerKey("input", IMAGE_CHANNELS, shapes[0].in_px, IMAGE_CHANNELS)
    last = head_key(spec, head.in_channels, head.in_px, num_classes)
    return [first, *(key_from_shape(shape) for shape in body), last]


def key_from_shape(shape: LayerShape) -> ConvLayerKey:
    """The key of a stem's or a stage's layer."""
    return ConvLayerKey(
        shape.kind, shape.in_channels, shape.in_px, shape.out_channels, shape.kernel_size, shape.stride, shape.padding,
        shape.hidden_channels, shape.reduced_channels, shape.activation, shape.residual,
    )  # fmt: skip


def head_key(spec: NetworkSpec, in_channels: int, in_px: int, num_classes: int) -> ConvLayerKey:
    """The key of everything behind the last stage."""
    return ConvLayerKey(
        "head", in_channels, in_px, num_classes, activation="relu",
        hidden_channels=spec.head.filters, reduced_channels=spec.head.hidden_features or 0,
    )  # fmt: skip
