"""Transformer layers written directly compute what timm's do."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
import pytest
import torch
from timm.models import VisionTransformer

from gpunet import runtime as runtimes
from gpunet.errors import InvalidArgumentError
from gpunet.exporters.onnx import onnx_from_network
from gpunet.latency.layers.graphs import border_graph, border_of, context_graph, lone_graph, network_graph
from gpunet.latency.layers.keys import key_from_text
from gpunet.latency.layers.transformer import TransformerLayerKey

EMBED = TransformerLayerKey("patch_embed", 24, 17, in_px=32, patch_px=8)
BLOCK = TransformerLayerKey("transformer_block", 24, 17, heads=3, hidden_width=60)
HEAD = TransformerLayerKey("vit_head", 24, 17, out_features=10)
KEYS = [EMBED, BLOCK, HEAD]


@pytest.fixture(scope="module")
def model() -> VisionTransformer:
    """A transformer whose norms, biases and embeddings are not the neutral ones of a new network."""
    torch.manual_seed(0)
    model = VisionTransformer(
        img_size=32, patch_size=8, embed_dim=24, depth=2, num_heads=3, mlp_ratio=2.5, num_classes=10
    ).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.add_(torch.randn_like(parameter) * (0.1 if "norm" in name or parameter.ndim == 1 else 0.3))
    return model


def _weights(model: VisionTransformer) -> Iterator[tuple[str, np.ndarray]]:
    """Under the names of `network_graph`: the layers' numbers, matrices of tokens transposed."""
    for name, parameter in model.named_parameters():
        values = parameter.detach().numpy()
        if name.startswith("blocks."):
            _, number, rest = name.split(".", 2)
            yield f"{int(number) + 1}.{rest}", values.T if values.ndim == 2 else values
        else:
            yield f"{3 if name.startswith(('norm', 'head')) else 0}.{name}", values


@pytest.mark.parametrize("batch_size", [1, 2])
def test_a_network_written_directly_equals_timms(model: VisionTransformer, batch_size: int):
    direct = network_graph([EMBED, BLOCK, BLOCK, HEAD], batch_size=batch_size, weights=dict(_weights(model)))
    onnx.checker.check_model(direct, full_check=True)
    images = np.random.default_rng(0).standard_normal((batch_size, 3, 32, 32)).astype(np.float32)
    ours = runtimes.get("onnxruntime").load(direct, threads=1).run(images)
    with torch.inference_mode():
        theirs = model(torch.from_numpy(images)).numpy()
    assert np.abs(theirs).max() > 0.5
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_it_equals_the_traced_export_in_numbers_and_in_its_heavy_nodes(model: VisionTransformer):
    traced = onnx_from_network(model, input_px=32)
    direct = network_graph([EMBED, BLOCK, BLOCK, HEAD], weights=dict(_weights(model)))
    heavy = ("Conv", "Erf", "Gemm", "LayerNormalization", "MatMul", "Softmax")
    assert [node.op_type for node in direct.graph.node if node.op_type in heavy] == [
        node.op_type for node in traced.graph.node if node.op_type in heavy
    ]
    images = np.random.default_rng(1).standard_normal((1, 3, 32, 32)).astype(np.float32)
    ort = runtimes.get("onnxruntime")
    np.testing.assert_allclose(
        ort.load(direct, threads=1).run(images), ort.load(traced, threads=1).run(images), atol=1e-4
    )


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.kind)
@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_every_graph_of_a_layer_runs_and_stays_finite(key: TransformerLayerKey, runtime: str):
    for graph in (lone_graph(key, batch_size=2), context_graph(key, batch_size=2), border_graph(key, batch_size=2)):
        onnx.checker.check_model(graph, full_check=True)
        session = runtimes.get(runtime).load(graph, threads=1)
        result = session.run(np.random.default_rng(0).standard_normal(session.input_shape).astype(np.float32))
        assert result.shape[0] == 2
        assert np.isfinite(result).all()
        assert np.abs(result).max() > 1e-3


def test_a_block_in_context_stands_between_a_linear_layer_and_a_token():
    assert [node.op_type for node in border_graph(BLOCK).graph.node] == ["MatMul", "Add", "Gather"]
    nodes = [node.op_type for node in context_graph(BLOCK).graph.node]
    assert nodes[:3] == ["MatMul", "Add", "LayerNormalization"]
    assert nodes[-1] == "Gather"
    index = next(w for w in context_graph(BLOCK).graph.initializer if w.name == "tail.pick.index")
    assert onnx.numpy_helper.to_array(index) == 16  # the last of 17: the first need not depend on the image
    assert border_of(BLOCK) == border_of(HEAD)
    assert context_graph(EMBED).graph.node[0].op_type == "Conv"


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.kind)
def test_a_text_gives_its_key_back(key: TransformerLayerKey):
    assert key_from_text(key.text) == key


def test_layers_follow_each_other():
    assert EMBED.input_shape == (3, 32, 32)
    assert EMBED.output_shape == BLOCK.input_shape == BLOCK.output_shape == HEAD.input_shape == (17, 24)
    assert HEAD.output_shape == (10,)
    assert [key.follows for key in KEYS] == [False, True, True]


def test_work_is_counted():
    assert EMBED.work().multiply_adds == 16 * 24 * 3 * 64
    assert BLOCK.work().multiply_adds == 17 * (4 * 24 * 24 + 2 * 24 * 60) + 2 * 17 * 17 * 24
    assert HEAD.work().multiply_adds == 240
    assert all(key.work().activation_elements > 0 and key.work().operations > 0 for key in KEYS)


def test_a_key_of_no_kind_is_refused():
    with pytest.raises(InvalidArgumentError, match="kind must be one of patch_embed, transformer_block, vit_head"):
        TransformerLayerKey("mlp", 8, 8)
