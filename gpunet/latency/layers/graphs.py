"""Graphs that are measured: a layer alone, a layer between its neighbours, a whole network; made directly, not traced.

A lone layer pays for what a network does not: layout changes at its borders, an input and an output of full size. A
layer in context stands between

    the lead    what makes its input from an image of three channels (for maps a 1x1 convolution), in the layout that
                the runtime likes, and leaves it in the caches, as the layer before it would
    the tail    a consumer that costs next to nothing: a pooling that reads one pixel of each channel, or one token

and is worth what its graph takes more than lead and tail alone (`border_graph`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from gpunet.exporters.graph.builder import GraphBuilder
from gpunet.exporters.graph.rewrite import optimize
from gpunet.latency.layers.keys import IMAGE_CHANNELS, LayerKey

if TYPE_CHECKING:
    import numpy as np
    import onnx

Shape = tuple[int, ...]


def lone_graph(
    key: LayerKey, *, batch_size: int = 1, weights: Mapping[str, np.ndarray] | None = None
) -> onnx.ModelProto:
    """A layer by itself: its own input, its own output.

    Args:
        key: the layer.
        batch_size: images a run.
        weights: by name as in `gpunet.model.blocks`, BatchNorm folded; drawn where they are missing.
    """
    graph = GraphBuilder(key.input_shape, batch_size=batch_size, weights=weights)
    output = key.add_to(graph, graph.input)
    if output == graph.input:  # the run itself, without a layer: its image is read, hardly more
        return _with_tail(graph, output, key.output_shape)
    return optimize(graph.model(output, key.output_shape))


def context_graph(key: LayerKey, *, batch_size: int = 1) -> onnx.ModelProto:
    """A layer between lead and tail; a layer that reads the image itself has no lead."""
    graph, source = _led(key, batch_size) if key.follows else _unled(key, batch_size)
    graph.prefix = "layer."
    return _with_tail(graph, key.add_to(graph, source), key.output_shape)


def border_graph(key: LayerKey, *, batch_size: int = 1) -> onnx.ModelProto:
    """Lead and tail alone; for a layer that reads the image itself the tail alone. Equal for equal `border_of`."""
    graph, source = _led(key, batch_size) if key.follows else _unled(key, batch_size)
    return _with_tail(graph, source, key.input_shape)


def border_of(key: LayerKey) -> tuple[Shape, bool]:
    """What a border graph depends on."""
    return key.input_shape, key.follows


def network_graph(
    keys: Sequence[LayerKey], *, batch_size: int = 1, weights: Mapping[str, np.ndarray] | None = None
) -> onnx.ModelProto:
    """A whole network from its keys, in network order: what its export is, without building or tracing it.

    Args:
        keys: as `keys_from_spec` gives them.
        batch_size: images a run.
        weights: by name as in `gpunet.model.blocks`, behind the key's number and a dot; drawn where they are missing.
    """
    graph = GraphBuilder(keys[0].input_shape, batch_size=batch_size, weights=weights)
    x = graph.input
    for index, key in enumerate(keys):
        graph.prefix = f"{index}."
        x = key.add_to(graph, x)
    return optimize(graph.model(x, keys[-1].output_shape))


def _unled(key: LayerKey, batch_size: int) -> tuple[GraphBuilder, str]:
    graph = GraphBuilder(key.input_shape, batch_size=batch_size)
    return graph, graph.input


def _led(key: LayerKey, batch_size: int) -> tuple[GraphBuilder, str]:
    """The graph of a lead, and the name of the tensor that it makes."""
    shape = key.input_shape
    if len(shape) == 3:
        channels, height, width = shape
        graph = GraphBuilder((IMAGE_CHANNELS, height, width), batch_size=batch_size)
        graph.prefix = "lead."
        return graph, graph.conv(graph.input, "conv", IMAGE_CHANNELS, channels)
    tokens, width = shape
    graph = GraphBuilder((tokens, IMAGE_CHANNELS), batch_size=batch_size)
    graph.prefix = "lead."
    return graph, graph.tokens_linear(graph.input, "linear", IMAGE_CHANNELS, width)


def _with_tail(graph: GraphBuilder, source: str, shape: Shape) -> onnx.ModelProto:
    graph.prefix = "tail."
    if len(shape) == 3:
        channels, height, width = shape
        source = graph.node("MaxPool", [source], "pick", kernel_shape=[1, 1], strides=[height, width])
        shape = (channels, 1, 1)
    elif len(shape) == 2:
        # The last token: the first may be a class token, which an embedding makes of no image.
        source = graph.token(source, "pick", shape[0] - 1)
        shape = shape[1:]
    elif source == graph.input:
        source = graph.node("Identity", [source], "pick")
    return optimize(graph.model(source, shape))
