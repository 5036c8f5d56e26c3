"""The layers of convolutional networks as ONNX nodes: what gpunet's export makes of `gpunet.blocks`, BatchNorm folded.

Names of weights are those of the modules (`conv_pw.weight`, `se.fc1.bias`, ...), so that a module's own, folded, can be
put in their place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpunet.latency.graph_builder import GraphBuilder

if TYPE_CHECKING:
    from gpunet.latency.layers import ConvLayerKey


def add_layer(graph: GraphBuilder, key: ConvLayerKey, source: str) -> str:
    """See `LayerKey.add_to`."""
    if key.kind == "input":
        return source
    if key.kind == "conv":
        return _conv(graph, key, source)
    if key.kind == "head":
        return _head(graph, key, source)
    return _inverted_residual(graph, key, source)


def _conv(graph: GraphBuilder, key: ConvLayerKey, source: str) -> str:
    args = {"stride": key.stride, "padding": key.padding}
    x = graph.conv(source, "conv", key.in_channels, key.out_channels, key.kernel_size, **args)
    return graph.activation(x, "act", key.activation)


def _inverted_residual(graph: GraphBuilder, key: ConvLayerKey, source: str) -> str:
    hidden, spatial = key.hidden_channels, {"stride": key.stride, "padding": key.padding}
    if key.kind == "fused_irb":
        x = graph.conv(source, "conv_exp", key.in_channels, hidden, key.kernel_size, **spatial)
        x = graph.activation(x, "act1", key.activation)
    else:
        x = graph.conv(source, "conv_pw", key.in_channels, hidden)
        x = graph.activation(x, "act1", key.activation)
        x = graph.conv(x, "conv_dw", hidden, hidden, key.kernel_size, groups=hidden, **spatial)
        x = graph.activation(x, "act2", key.activation)
    if key.reduced_channels:
        x = squeeze_excitation(graph, x, hidden, key.reduced_channels, key.activation)
    x = graph.conv(x, "conv_pwl", hidden, key.out_channels)
    return graph.node("Add", [source, x], "add") if key.residual else x


def squeeze_excitation(graph: GraphBuilder, source: str, channels: int, reduced: int, activation: str) -> str:
    """Global average, two 1x1 convolutions with the block's activation between them, sigmoid, product."""
    x = graph.node("GlobalAveragePool", [source], "se.pool")
    x = graph.conv(x, "se.fc1", channels, reduced)
    x = graph.activation(x, "se.act", activation)
    x = graph.conv(x, "se.fc2", reduced, channels)
    gate = graph.node("Sigmoid", [x], "se.gate")
    return graph.node("Mul", [source, gate], "se.mul")


def _head(graph: GraphBuilder, key: ConvLayerKey, source: str) -> str:
    features = key.hidden_channels
    x = graph.conv(source, "conv_head", key.in_channels, features)
    x = graph.activation(x, "act", key.activation)
    x = graph.node("GlobalAveragePool", [x], "pool")
    if key.reduced_channels:
        x = graph.conv(x, "conv_hidden", features, key.reduced_channels)
        x = graph.activation(x, "act_hidden", key.activation)
        features = key.reduced_channels
    x = graph.node("Flatten", [x], "flatten", axis=1)
    return graph.linear(x, "classifier", features, key.out_channels)
