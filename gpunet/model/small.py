"""The network that is trained where none is named: the paper's stages in small, for images of 32 px."""

from __future__ import annotations

from gpunet.model.parts import HeadSpec, StageSpec, StemSpec
from gpunet.model.spec import NetworkSpec

SMALL = NetworkSpec(
    32,
    StemSpec(16, activation="swish"),
    (
        StageSpec("conv", 16, activation="swish"),
        StageSpec("fused_irb", 24, stride=2, expansion=3, activation="swish"),
        StageSpec("irb", 40, stride=2, expansion=4, activation="swish", squeeze_excitation=True),
        StageSpec("irb", 48, layers=2, expansion=4, activation="swish", squeeze_excitation=True),
    ),
    HeadSpec(128),
)
"""0.1 million parameters; 99 % of scikit-learn's digits in a minute on two cores."""
