"""The graphs that are measured are those that are deployed: node for node, number for number."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from gpunet import GPUNet, HeadSpec, NetworkSpec, StageSpec, StemSpec
from gpunet import runtime as runtimes
from gpunet.errors import InvalidArgumentError
from gpunet.exporters.graph.builder import GraphBuilder
from gpunet.exporters.onnx import onnx_from_network
from gpunet.latency.layers.convolutional import ConvLayerKey, keys_from_spec
from gpunet.latency.layers.graphs import border_graph, border_of, context_graph, lone_graph, network_graph

SPEC = NetworkSpec(
    48,
    StemSpec(8, 3, "swish"),
    (
        StageSpec("conv", 8, 2, 5, activation="relu"),
        StageSpec("fused_irb", 16, 2, 3, 2, 3, "swish", True),
        StageSpec("fused_irb", 24, 1, 5, 2, 2, "relu", pad_strided=False),
        StageSpec("irb", 32, 2, 5, 2, 4, "swish", True),
        StageSpec("irb", 48, 0, 3, 1, 2, "relu"),
        StageSpec("irb", 33, 2, 3, 1, 2, "relu"),
    ),
    HeadSpec(64, 40),
    hidden_divisor=1,
)


def _lively(spec: NetworkSpec) -> GPUNet:
    """A network whose BatchNorms and biases are not the neutral ones of a new network."""
    torch.manual_seed(0)
    model = GPUNet(spec, num_classes=10).eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.8, 1.2)
            nn.init.normal_(module.bias, std=0.1)
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.8, 1.2)
        elif isinstance(module, nn.Conv2d) and module.bias is not None:
            nn.init.normal_(module.bias, std=0.1)
    return model


def _folded(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[np.ndarray, np.ndarray]:
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    weight, bias = conv.weight * scale[:, None, None, None], norm.bias - norm.running_mean * scale
    return weight.detach().numpy(), bias.detach().numpy()


def _weights(model: GPUNet) -> dict[str, np.ndarray]:
    """A network's weights under the names of `network_graph`, BatchNorm folded."""
    layers = [(model, {"conv": ("conv_stem", "bn1")})]
    for stage, blocks in zip(model.spec.stages, model.blocks, strict=True):
        pairs = {
            "conv": {"conv": ("conv", "bn1")},
            "fused_irb": {"conv_exp": ("conv_exp", "bn1"), "conv_pwl": ("conv_pwl", "bn2")},
            "irb": {"conv_pw": ("conv_pw", "bn1"), "conv_dw": ("conv_dw", "bn2"), "conv_pwl": ("conv_pwl", "bn3")},
        }
        layers += [(block, pairs[stage.type]) for block in blocks]
    layers.append((model, {"conv_head": ("conv_head", "bn2")}))
    found = {}
    for number, (module, pairs) in enumerate(layers, start=1):
        for name, (conv, norm) in pairs.items():
            found[f"{number}.{name}.weight"], found[f"{number}.{name}.bias"] = _folded(
                getattr(module, conv), getattr(module, norm)
            )
        if isinstance(getattr(module, "se", None), nn.Module) and hasattr(module.se, "fc1"):
            for name in ("fc1", "fc2"):
                part = getattr(module.se, name)
                found[f"{number}.se.{name}.weight"] = part.weight.detach().numpy()
                found[f"{number}.se.{name}.bias"] = part.bias.detach().numpy()
    last = len(layers)
    if model.conv_hidden is not None:
        found[f"{last}.conv_hidden.weight"] = model.conv_hidden.weight.detach().numpy()
    found[f"{last}.classifier.weight"] = model.classifier.weight.detach().numpy()
    found[f"{last}.classifier.bias"] = model.classifier.bias.detach().numpy()
    return found


def _nodes(model: onnx.ModelProto) -> list[tuple[str, dict[str, object]]]:
    kept = ("kernel_shape", "strides", "pads", "group", "axis", "transB", "dilations")
    return [
        (node.op_type, {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute if a.name in kept})
        for node in model.graph.node
    ]


def test_a_network_written_directly_equals_its_traced_export():
    model = _lively(SPEC)
    traced = onnx_from_network(model)
    direct = network_graph(keys_from_spec(SPEC, num_classes=10), weights=_weights(model))
    onnx.checker.check_model(direct, full_check=True)
    assert _nodes(direct) == _nodes(traced)
    assert sorted(tuple(w.dims) for w in direct.graph.initializer if len(w.dims) > 1) == sorted(
        tuple(w.dims) for w in traced.graph.initializer if len(w.dims) > 1
    )
    images = np.random.default_rng(0).standard_normal((1, 3, 48, 48)).astype(np.float32)
    ort = runtimes.get("onnxruntime")
    ours, theirs = ort.load(direct, threads=1).run(images), ort.load(traced, threads=1).run(images)
    assert np.abs(theirs).max() > 0.05
    np.testing.assert_allclose(ours, theirs, atol=2e-5)
    with torch.inference_mode():
        np.testing.assert_allclose(ours, model(torch.from_numpy(images)).numpy(), atol=2e-5)


@pytest.mark.parametrize("key", list(dict.fromkeys(keys_from_spec(SPEC))), ids=lambda key: key.text)
@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_every_graph_of_a_layer_runs_and_stays_finite(key: ConvLayerKey, runtime: str):
    for graph in (lone_graph(key, batch_size=2), context_graph(key, batch_size=2), border_graph(key, batch_size=2)):
        onnx.checker.check_model(graph, full_check=True)
        session = runtimes.get(runtime).load(graph, threads=1)
        images = np.random.default_rng(0).standard_normal(session.input_shape).astype(np.float32)
        result = session.run(images)
        assert result.shape[0] == 2
        assert np.isfinite(result).all()
        assert np.abs(result).max() > 1e-3


def test_a_layer_in_context_reads_what_its_border_makes():
    key = ConvLayerKey("irb", 16, 12, 24, 3, 2, 1, hidden_channels=48, activation="relu")
    lead = [node.op_type for node in border_graph(key).graph.node]
    assert lead == ["Conv", "MaxPool"]
    context = [node.op_type for node in context_graph(key).graph.node]
    assert context == ["Conv", "Conv", "Relu", "Conv", "Relu", "Conv", "MaxPool"]
    assert tuple(d.dim_value for d in context_graph(key).graph.output[0].type.tensor_type.shape.dim) == (1, 24, 1, 1)
    other = ConvLayerKey("conv", 16, 12, 24, 5, 1, 2, activation="swish")
    assert border_of(key) == border_of(other)
    assert border_graph(key) == border_graph(other)


def test_what_reads_the_image_has_no_lead():
    stem = keys_from_spec(SPEC)[1]
    assert [node.op_type for node in border_graph(stem).graph.node] == ["MaxPool"]
    assert [node.op_type for node in context_graph(stem).graph.node] == ["Conv", "Sigmoid", "Mul", "MaxPool"]


def test_drawn_weights_keep_the_spread_and_are_the_same_each_time():
    key = ConvLayerKey("irb", 64, 8, 64, 3, 1, 1, hidden_channels=384, activation="swish", residual=True)
    graph = lone_graph(key)
    assert graph == lone_graph(key)
    weights = {w.name: onnx.numpy_helper.to_array(w) for w in graph.graph.initializer}
    assert abs(weights["conv_pw.weight"].std() - np.sqrt(2 / 64)) < 0.01
    assert not weights["conv_pw.bias"].any()


def test_a_weight_of_another_shape_is_a_bug_that_says_so():
    graph = GraphBuilder((4, 8, 8), weights={"conv.weight": np.zeros((1, 1), np.float32)})
    with pytest.raises(ValueError, match=r"conv.weight: its shape is \(1, 1\), not \(8, 4, 3, 3\)"):
        graph.conv("input", "conv", 4, 8, 3)


def test_an_activation_that_no_layer_has_is_refused():
    graph = GraphBuilder((4, 8, 8))
    assert graph.activation("input", "act", "") == "input"
    with pytest.raises(InvalidArgumentError, match="activation must be one of relu, swish, or '', but got 'prelu'"):
        graph.activation("input", "act", "prelu")
