"""The paper's search space as data (Table 1), and the same as the released networks were built."""

from __future__ import annotations

import dataclasses

from gpunet.search.spaces.conv_space import ConvSpace
from gpunet.search.spaces.stage_choices import StageChoices


def _stage(kind: str, stride: int, filters: range, layers: range) -> StageChoices:
    return StageChoices(
        kind,
        stride,
        tuple(filters),
        layers=tuple(layers),
        expansions=(2, 3, 4, 5, 6),
        squeeze_excitations=(False, True),
    )


# Table 1's stages 1 to 7, whose stage 0 is the stem here. The table gives the stem's kernel and activation a range too,
# but Table 2 gives them no digits: "we only search the filter size for the first 3x3 convolution (stage 0)". Swish is
# what the released networks of this space have.
PAPER_SPACE = ConvSpace(
    resolutions_px=(224, 256, 288, 320, 352, 384, 416, 448, 480, 512),
    stem_filters=(24, 32),
    stages=(
        StageChoices("conv", 1, None, layers=(1, 2, 3, 4)),
        _stage("fused_irb", 2, range(32, 81, 16), range(1, 9)),
        _stage("fused_irb", 2, range(48, 113, 16), range(1, 9)),
        _stage("irb", 2, range(96, 193, 16), range(1, 11)),
        _stage("irb", 1, range(112, 225, 16), range(16)),
        _stage("irb", 2, range(128, 417, 32), range(1, 16)),
        _stage("irb", 1, range(256, 833, 64), range(16)),
    ),
)
"""Table 1: 41 digits in Table 2's order, 3.6e23 vectors (the paper speaks of 10^30)."""

RELEASE_SPACE = dataclasses.replace(PAPER_SPACE, head_filters=1280, pad_strided=False)
"""PAPER_SPACE with the released networks' head and missing padding: it holds gpunet_2, and no other of the seven."""
