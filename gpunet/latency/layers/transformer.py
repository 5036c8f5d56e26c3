"""The layers of vision transformers: keys, work, and ONNX nodes that compute what timm's VisionTransformer does.

    T, D        tokens (the class token is the first), width
    H           heads, of width D / H each
    M           hidden width of the block's two linear layers

Names of weights are those of timm's modules (`attn.qkv.weight`, ...), matrices transposed to `in x out`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gpunet.core.arguments import checked_choice
from gpunet.latency.layers.keys import IMAGE_CHANNELS, Work, text_of

if TYPE_CHECKING:
    from gpunet.exporters.graph.builder import GraphBuilder

TRANSFORMER_KINDS = ("patch_embed", "transformer_block", "vit_head")
NORM_EPS = 1e-6


@dataclass(frozen=True)
class TransformerLayerKey:
    """A layer of a vision transformer.

    Args:
        kind: 'patch_embed' (image to tokens, class token and position embedding), 'transformer_block', or 'vit_head'
            (norm, class token, linear).
        width: of a token.
        tokens: that the layer reads; for 'patch_embed' that it makes.
        in_px, patch_px: sides of the image and of a patch, for 'patch_embed'; else 0.
        heads, hidden_width: for 'transformer_block'; else 0.
        out_features: classes, for 'vit_head'; else 0.
    """

    kind: str
    width: int
    tokens: int
    in_px: int = 0
    patch_px: int = 0
    heads: int = 0
    hidden_width: int = 0
    out_features: int = 0

    def __post_init__(self) -> None:
        checked_choice("kind", self.kind, TRANSFORMER_KINDS)

    @property
    def text(self) -> str:
        """See `LayerKey.text`."""
        return text_of(self)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """T, D; C, H, W for 'patch_embed'."""
        if self.kind == "patch_embed":
            return (IMAGE_CHANNELS, self.in_px, self.in_px)
        return (self.tokens, self.width)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """T, D; the number of classes for 'vit_head'."""
        return (self.out_features,) if self.kind == "vit_head" else (self.tokens, self.width)

    @property
    def follows(self) -> bool:
        """See `LayerKey.follows`."""
        return self.kind != "patch_embed"

    def work(self) -> Work:
        """See `LayerKey.work`."""
        return _WORK[self.kind](self)

    def add_to(self, graph: GraphBuilder, source: str) -> str:
        """See `LayerKey.add_to`."""
        return _ADD[self.kind](graph, self, source)


# ----------------------------------------------------------------------- work


def _work_embed(key: TransformerLayerKey) -> Work:
    weights = IMAGE_CHANNELS * key.patch_px**2 * key.width
    made = key.tokens * key.width
    # Convolution, transposition, concatenation, addition.
    return Work(weights * (key.tokens - 1), 0, IMAGE_CHANNELS * key.in_px**2 + 7 * made, weights + made, 0, 4)


def _work_block(key: TransformerLayerKey) -> Work:
    tokens, width, hidden = key.tokens, key.width, key.hidden_width
    weights = 4 * width * width + 2 * width * hidden
    attention = 2 * tokens * tokens * width
    scores = key.heads * tokens * tokens
    # Norms and additions read and write a width each; attention's scores are written, normalised and read.
    moved = tokens * (10 * width + 8 * width + 4 * hidden) + 4 * scores
    return Work(weights * tokens + attention, 0, moved, weights, 0, 12)


def _work_head(key: TransformerLayerKey) -> Work:
    weights = key.width * key.out_features
    return Work(weights, 0, 2 * key.tokens * key.width, weights, 0, 3)


_WORK = {"patch_embed": _work_embed, "transformer_block": _work_block, "vit_head": _work_head}

# ---------------------------------------------------------------------- graph


def _add_embed(graph: GraphBuilder, key: TransformerLayerKey, source: str) -> str:
    batch, width = graph.input_shape[0], key.width
    x = graph.conv(source, "patch_embed.proj", IMAGE_CHANNELS, width, key.patch_px, stride=key.patch_px)
    x = _reshape(graph, x, "patch_embed.flatten", (batch, width, key.tokens - 1))
    x = graph.node("Transpose", [x], "patch_embed.transpose", perm=[0, 2, 1])
    token = graph.weight("cls_token", (1, 1, width), fan_in=width)
    if batch > 1:
        shape = graph.constant("cls_token.shape", np.array([batch, 1, width], np.int64))
        token = graph.node("Expand", [token, shape], "cls_token.expand")
    x = graph.node("Concat", [token, x], "cat", axis=1)
    return graph.node("Add", [x, graph.weight("pos_embed", (1, key.tokens, width), fan_in=width)], "pos")


def _add_block(graph: GraphBuilder, key: TransformerLayerKey, source: str) -> str:
    x = _attention(graph, key, _norm(graph, source, "norm1", key.width))
    source = graph.node("Add", [source, x], "add1")
    x = _norm(graph, source, "norm2", key.width)
    x = graph.tokens_linear(x, "mlp.fc1", key.width, key.hidden_width)
    x = _gelu(graph, x, "mlp.act")
    x = graph.tokens_linear(x, "mlp.fc2", key.hidden_width, key.width)
    return graph.node("Add", [source, x], "add2")


def _attention(graph: GraphBuilder, key: TransformerLayerKey, source: str) -> str:
    batch, tokens, width, heads = graph.input_shape[0], key.tokens, key.width, key.heads
    head_width = width // heads
    x = graph.tokens_linear(source, "attn.qkv", width, 3 * width)
    x = _reshape(graph, x, "attn.split", (batch, tokens, 3, heads, head_width))
    x = graph.node("Transpose", [x], "attn.transpose", perm=[2, 0, 3, 1, 4])
    query, keys, values = (
        graph.node("Gather", [x, graph.constant(f"attn.{name}.index", np.array(index))], f"attn.{name}", axis=0)
        for index, name in enumerate("qkv")
    )
    # torch scales both factors by the root of the scale: less overflow in half precision.
    scale = graph.constant("attn.scale", np.array(head_width**-0.25, np.float32))
    query = graph.node("Mul", [query, scale], "attn.q.scaled")
    keys = graph.node("Transpose", [keys], "attn.k.transpose", perm=[0, 1, 3, 2])
    keys = graph.node("Mul", [keys, scale], "attn.k.scaled")
    x = graph.node("MatMul", [query, keys], "attn.scores")
    x = graph.node("Softmax", [x], "attn.softmax", axis=-1)
    x = graph.node("MatMul", [x, values], "attn.values")
    x = graph.node("Transpose", [x], "attn.join", perm=[0, 2, 1, 3])
    x = _reshape(graph, x, "attn.flatten", (batch, tokens, width))
    return graph.tokens_linear(x, "attn.proj", width, width)


def _add_head(graph: GraphBuilder, key: TransformerLayerKey, source: str) -> str:
    x = graph.token(_norm(graph, source, "norm", key.width), "pool", 0)
    return graph.linear(x, "head", key.width, key.out_features)


_ADD = {"patch_embed": _add_embed, "transformer_block": _add_block, "vit_head": _add_head}


def _norm(graph: GraphBuilder, source: str, name: str, width: int) -> str:
    scale, bias = graph.weight(f"{name}.weight", (width,), fill=1.0), graph.weight(f"{name}.bias", (width,))
    return graph.node("LayerNormalization", [source, scale, bias], name, axis=-1, epsilon=NORM_EPS)


def _gelu(graph: GraphBuilder, source: str, name: str) -> str:
    """`x / 2 * (1 + erf(x / sqrt 2))`, the form that runtimes fuse; ONNX has Gelu from opset 20 on only."""
    root, one, half = (
        graph.constant(f"{name}.{label}", np.array(value, np.float32))
        for label, value in (("root", 2**0.5), ("one", 1.0), ("half", 0.5))
    )
    x = graph.node("Erf", [graph.node("Div", [source, root], f"{name}.div")], f"{name}.erf")
    x = graph.node("Mul", [source, graph.node("Add", [x, one], f"{name}.add")], f"{name}.mul")
    return graph.node("Mul", [x, half], name)


def _reshape(graph: GraphBuilder, source: str, name: str, shape: tuple[int, ...]) -> str:
    return graph.node("Reshape", [source, graph.constant(f"{name}.shape", np.array(shape, np.int64))], name)
