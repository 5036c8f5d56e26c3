"""Operations: a network's graph as the rules of fusion see it, whichever format it was read from.

Kinds:

    conv        convolution, dense, grouped or depthwise
    matmul      linear layer, or product of two activations
    batchnorm   scale and shift a channel
    act         cheap activation: ReLU, sigmoid, clamp, hard sigmoid, ...
    swish       activation that reads its input twice: SiLU, hard swish, GELU, mish
    binary      sum or product of two operands, or of one and a constant
    norm        layer, group or instance normalisation, softmax
    reduce      mean or sum over axes
    pool        pooling or resizing
    pad         padding
    copy        what moves elements: transposition in memory, roll, gather, shuffle
    concat      concatenation
"""

from __future__ import annotations

from dataclasses import dataclass

KINDS = (
    "conv", "matmul", "batchnorm", "act", "swish", "binary", "norm", "reduce", "pool", "pad", "copy", "concat",
)  # fmt: skip


@dataclass(frozen=True)
class Operation:
    """One operation, for one image; views are no operations.

    Args:
        kind: one of KINDS.
        inputs: numbers of the activations that it reads; constants have none.
        output: number of the activation that it makes.
        read: elements of each of `inputs`.
        written: elements of its output.
        weights: elements of its constants.
        rows, columns, depth, groups: of a convolution or product: output positions, output channels and summed
            products a group, and groups.
        kernel_size, stride: of a convolution.
        per_image: of a product: whether `groups` counts images, as where attention multiplies two activations; else
            `rows` does.
    """

    kind: str
    inputs: tuple[int, ...]
    output: int
    read: tuple[int, ...]
    written: int
    weights: int = 0
    rows: int = 0
    columns: int = 0
    depth: int = 0
    groups: int = 1
    kernel_size: int = 1
    stride: int = 1
    per_image: bool = False
