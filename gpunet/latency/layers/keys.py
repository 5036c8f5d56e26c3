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

if TYPE_CHECKING:
    from gpunet.exporters.graph.builder import GraphBuilder

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


# ------------------------------------------------------------------------ text

# Kind -> module and class of its keys, a frozen dataclass whose first field is `kind`. A new family is a file and a
# line here.
_FAMILIES: dict[str, tuple[str, str]] = {
    **dict.fromkeys(
        ("input", "conv", "fused_irb", "irb", "head"), ("gpunet.latency.layers.convolutional", "ConvLayerKey")
    ),
    **dict.fromkeys(
        ("patch_embed", "transformer_block", "vit_head"), ("gpunet.latency.layers.transformer", "TransformerLayerKey")
    ),
}


def register_kinds(kinds: Sequence[str], key_class: type[Any]) -> None:
    """Let `key_from_text` read the keys of a family of layers that is not gpunet's own."""
    _FAMILIES.update(dict.fromkeys(kinds, (key_class.__module__, key_class.__qualname__)))


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
    if kind not in _FAMILIES:
        raise InvalidArgumentError(
            f"layer key {text!r}: there is no kind {kind!r}.", f"Known kinds: {', '.join(_FAMILIES)}."
        )
    module, class_name = _FAMILIES[kind]
    family = getattr(importlib.import_module(module), class_name)
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
