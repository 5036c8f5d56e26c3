"""The ONNX nodes of a convolutional network's layers, written directly: what its export is, in milliseconds.

The nodes are what the export makes of `gpunet.model.blocks`, BatchNorm folded. Weights have the modules' names
(`conv_pw.weight`, `se.fc1.bias`, ...), so that a module's own, folded, can be put in their place.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Protocol

from gpunet.exporters.graph.builder import GraphBuilder
from gpunet.exporters.graph.rewrite import optimize

if TYPE_CHECKING:
    import onnx

    from gpunet.model.spec import NetworkSpec

_IMAGE_CHANNELS = 3


class ConvLayer(Protocol):
    """What the nodes of a layer depend on; see `gpunet.latency.layers.convolutional.ConvLayerKey`."""

    @property
    def kind(self) -> str:
        """'input', 'conv', 'fused_irb', 'irb' or 'head'."""
        ...

    @property
    def in_channels(self) -> int:
        """Of its input."""
        ...

    @property
    def out_channels(self) -> int:
        """Of its output; for 'head' the number of classes."""
        ...

    @property
    def kernel_size(self) -> int:
        """Of its spatial convolution; so are the next two."""
        ...

    @property
    def stride(self) -> int:
        """Of its spatial convolution."""
        ...

    @property
    def padding(self) -> int:
        """Of its spatial convolution."""
        ...

    @property
    def hidden_channels(self) -> int:
        """Width after expansion; for 'head' of the convolution before pooling."""
        ...

    @property
    def reduced_channels(self) -> int:
        """Inner width of squeeze-excitation; for 'head' of the convolution after pooling; 0 for none."""
        ...

    @property
    def activation(self) -> str:
        """'relu', 'swish', or '' for none."""
        ...

    @property
    def residual(self) -> bool:
        """Whether its input is added to its output."""
        ...


def add_layer(graph: GraphBuilder, layer: ConvLayer, source: str) -> str:
    """Append a layer's nodes to a graph; returns the name of its output tensor."""
    return _ADD[layer.kind](graph, layer, source)


def graph_from_spec(spec: NetworkSpec, *, num_classes: int = 1000, batch_size: int = 1) -> onnx.ModelProto:
    """A whole network with drawn weights: what its export is, without torch."""
    shapes = spec.layer_shapes(num_classes=num_classes)
    body = [shape for shape in shapes if shape.name == "stem" or shape.name.startswith("stages[")]
    head = dataclasses.replace(
        next(shape for shape in shapes if shape.name == "head"),
        kind="head", activation="relu", out_channels=num_classes,
        hidden_channels=spec.head.filters, reduced_channels=spec.head.hidden_features or 0,
    )  # fmt: skip
    side = shapes[0].in_px
    graph = GraphBuilder((_IMAGE_CHANNELS, side, side), batch_size=batch_size)
    x = graph.input
    for number, layer in enumerate([*body, head], 1):
        graph.prefix = f"{number}."
        x = add_layer(graph, layer, x)
    return optimize(graph.model(x, (num_classes,)))


def _squeeze_excitation(graph: GraphBuilder, source: str, channels: int, reduced: int, activation: str) -> str:
    """Global average, two 1x1 convolutions with the block's activation between them, sigmoid, product."""
    x = graph.node("GlobalAveragePool", [source], "se.pool")
    x = graph.conv(x, "se.fc1", channels, reduced)
    x = graph.activation(x, "se.act", activation)
    x = graph.conv(x, "se.fc2", reduced, channels)
    gate = graph.node("Sigmoid", [x], "se.gate")
    return graph.node("Mul", [source, gate], "se.mul")


def _add_input(graph: GraphBuilder, layer: ConvLayer, source: str) -> str:
    return source


def _add_conv(graph: GraphBuilder, layer: ConvLayer, source: str) -> str:
    args = {"stride": layer.stride, "padding": layer.padding}
    x = graph.conv(source, "conv", layer.in_channels, layer.out_channels, layer.kernel_size, **args)
    return graph.activation(x, "act", layer.activation)


def _add_irb(graph: GraphBuilder, layer: ConvLayer, source: str) -> str:
    hidden, spatial = layer.hidden_channels, {"stride": layer.stride, "padding": layer.padding}
    if layer.kind == "fused_irb":
        x = graph.conv(source, "conv_exp", layer.in_channels, hidden, layer.kernel_size, **spatial)
        x = graph.activation(x, "act1", layer.activation)
    else:
        x = graph.conv(source, "conv_pw", layer.in_channels, hidden)
        x = graph.activation(x, "act1", layer.activation)
        x = graph.conv(x, "conv_dw", hidden, hidden, layer.kernel_size, groups=hidden, **spatial)
        x = graph.activation(x, "act2", layer.activation)
    if layer.reduced_channels:
        x = _squeeze_excitation(graph, x, hidden, layer.reduced_channels, layer.activation)
    x = graph.conv(x, "conv_pwl", hidden, layer.out_channels)
    return graph.node("Add", [source, x], "add") if layer.residual else x


def _add_head(graph: GraphBuilder, layer: ConvLayer, source: str) -> str:
    features = layer.hidden_channels
    x = graph.conv(source, "conv_head", layer.in_channels, features)
    x = graph.activation(x, "act", layer.activation)
    x = graph.node("GlobalAveragePool", [x], "pool")
    if layer.reduced_channels:
        x = graph.conv(x, "conv_hidden", features, layer.reduced_channels)
        x = graph.activation(x, "act_hidden", layer.activation)
        features = layer.reduced_channels
    x = graph.node("Flatten", [x], "flatten", axis=1)
    return graph.linear(x, "classifier", features, layer.out_channels)


_ADD = {"input": _add_input, "conv": _add_conv, "fused_irb": _add_irb, "irb": _add_irb, "head": _add_head}
