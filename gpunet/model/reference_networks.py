"""The two networks of the reference, which are timed beside everything else: see `gpunet.runtime.reference`.

Neither is ever changed: figures and tables are compared by them.
"""

from __future__ import annotations

from gpunet.model.parts import HeadSpec, StageSpec, StemSpec
from gpunet.model.small import SMALL
from gpunet.model.spec import NetworkSpec

LARGE = NetworkSpec(
    160,
    StemSpec(32, activation="swish"),
    (
        StageSpec("conv", 32, activation="swish"),
        StageSpec("fused_irb", 48, stride=2, expansion=4, activation="swish"),
        StageSpec("irb", 96, layers=2, stride=2, expansion=4, activation="swish", squeeze_excitation=True),
        StageSpec("irb", 160, layers=2, stride=2, expansion=4, activation="swish", squeeze_excitation=True),
    ),
    HeadSpec(640),
)
"""Some milliseconds on one thread."""

REFERENCE_NETWORKS = ((SMALL, 10), (LARGE, 1000))
"""Each with its number of classes."""
