"""Layer keys: what the latency of a layer depends on, one key for all layers that cost the same.

A network becomes a list of keys (paper, section 3.2), and its latency is estimated from theirs. Keys are plain data
with a canonical text, which is the primary key of a latency table. Hidden widths stand in keys as channels, not as the
expansion that led to them, so that any `NetworkSpec` has keys, searched for or not.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from gpunet.errors import InvalidArgumentError
from gpunet.spec import ACTIVATIONS, NetworkSpec

if TYPE_CHECKING:
    from gpunet.latency.graph_builder import GraphBuilder
    from gpunet.spec_shapes import LayerShape

CONV_KINDS = ("input", "conv", "fused_irb", "irb", "head")
IMAGE_CHANNELS = 3


@dataclass(frozen=True)
class Work:
    """What a layer computes and moves for one image: the axes of a roofline.

    Args:
        multiply_adds: of its dense convolutions and linear layers.
        depthwise_multiply_adds: of its depthwise convolutions, which run far below the dense ones' speed.
        activation_elements: values that it reads and writes between its operations.
        weight_elements: values of its weights.
        swish_elements: values that pass through a swish.
        operations: kernels that it starts.
    """

    multiply_adds: int
    depthwise_multiply_adds: int
    activation_elements: int
    weight_elements: int
    swish_elements: int
    operations: int


@runtime_checkable
class LayerKey(Protocol):
    """What a table needs of a key. Keys are frozen and hashable."""

    @property
    def kind(self) -> str:
        """The kind of layer, e.g. 'irb'."""
        ...

    @property
    def text(self) -> str:
        """The canonical text: equal for equal keys; `key_from_text` gives the key back."""
        ...

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of what the layer reads, without the batch axis."""
        ...

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of what the layer makes, without the batch axis."""
        ...

    @property
    def follows(self) -> bool:
        """Whether another layer makes its input; False for what reads the image itself."""
        ...

    def work(self) -> Work:
        """What it computes and moves for one image."""
        ...

    def add_to(self, graph: GraphBuilder, source: str) -> str:
        """Append the layer's nodes to a graph; returns the name of its output tensor."""
        ...


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
        if self.kind not in CONV_KINDS:
            raise InvalidArgumentError(f"kind must be one of {', '.join(CONV_KINDS)}, but got {self.kind!r}.")
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
        from gpunet.latency.conv_graph import add_layer

        return add_layer(graph, self, source)


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


_WORK = {
    "input": _work_input,
    "conv": _work_conv,
    "fused_irb": _work_irb,
    "irb": _work_irb,
    "head": _work_head,
}


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


# ------------------------------------------------------------------------ text

_FAMILIES: dict[str, Any] = dict.fromkeys(CONV_KINDS, ConvLayerKey)
_ELSEWHERE = dict.fromkeys(("patch_embed", "transformer_block", "vit_head"), "gpunet.latency.transformer")


def register_kinds(kinds: Sequence[str], key_class: type[Any]) -> None:
    """Let `key_from_text` read the keys of another family of layers: a frozen dataclass whose first field is `kind`."""
    _FAMILIES.update(dict.fromkeys(kinds, key_class))


def text_of(key: Any) -> str:
    """The canonical text of a key that is a dataclass: kind, then every field that is not at its default."""
    words = [key.kind]
    for each in dataclasses.fields(key)[1:]:
        value = getattr(key, each.name)
        if each.default is dataclasses.MISSING or value != each.default:
            words.append(f"{each.name}={int(value) if isinstance(value, bool) else value}")
    return " ".join(words)


def key_from_text(text: str) -> LayerKey:
    """The key that has this text.

    Raises:
        InvalidArgumentError: (a ValueError) it is no key's text; the message names the word that is at fault.
    """
    kind, *words = text.split(" ")
    if kind in _ELSEWHERE:
        importlib.import_module(_ELSEWHERE[kind])  # which registers its kinds
    if kind not in _FAMILIES:
        raise InvalidArgumentError(
            f"layer key {text!r}: there is no kind {kind!r}.", f"Known kinds: {', '.join(_FAMILIES)}."
        )
    family = _FAMILIES[kind]
    types = {each.name: str(each.type) for each in dataclasses.fields(family)}
    values: dict[str, Any] = {}
    for word in words:
        name, _, value = word.partition("=")
        if name not in types or name == "kind" or name in values:
            raise InvalidArgumentError(f"layer key {text!r}: {word!r} is not a field of its kind.")
        if types[name] != "str" and not (value.isascii() and value.isdecimal()):
            raise InvalidArgumentError(f"layer key {text!r}: {word!r} is not an integer.")
        values[name] = value if types[name] == "str" else bool(int(value)) if types[name] == "bool" else int(value)
    missing = [
        each.name
        for each in dataclasses.fields(family)[1:]
        if each.default is dataclasses.MISSING and each.name not in values
    ]
    if missing:
        raise InvalidArgumentError(f"layer key {text!r}: {missing[0]} is missing.")
    key: LayerKey = family(kind, **values)
    return key
