"""Search spaces to test with, small and random ones."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from gpunet.search.spaces.conv_space import ConvSpace
from gpunet.search.spaces.stage_choices import StageChoices

SMALL_SPACE = ConvSpace(
    resolutions_px=(28, 32, 40),
    stem_filters=(8, 12),
    stages=(
        StageChoices("conv", 1, None, layers=(1, 2)),
        StageChoices("irb", 1, (8, 16), layers=(0, 1, 3), expansions=(1, 2.5), squeeze_excitations=(False, True)),
        StageChoices("fused_irb", 2, (16, 24), (3,), (2,), ("relu",), (2,), (False,)),
        StageChoices("irb", 1, (16, 32), layers=(0, 1), expansions=(2, 4), squeeze_excitations=(True, False)),
    ),
    head_filters=64,
)


def _some(*values: object, most: int = 3) -> st.SearchStrategy[tuple]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=most, unique=True).map(lambda v: tuple(sorted(v)))


@st.composite
def stages(draw: st.DrawFn) -> StageChoices:
    kind, stride = draw(st.sampled_from(["conv", "fused_irb", "irb"])), draw(st.sampled_from([1, 2]))
    layers = draw(_some(0, 1, 2, 3) if (kind, stride) == ("irb", 1) else _some(1, 2, 4))
    filters = draw(st.none() | _some(8, 16, 20, 24, 33))
    irb = (
        {}
        if kind == "conv"
        else {"expansions": draw(_some(1, 2, 2.5, 6)), "squeeze_excitations": draw(_some(False, True))}
    )
    return StageChoices(kind, stride, filters, draw(_some(1, 3, 5)), layers, draw(_some("relu", "swish")), **irb)


@st.composite
def conv_spaces(draw: st.DrawFn) -> ConvSpace:
    chosen = draw(st.lists(stages(), max_size=3))
    chosen.insert(draw(st.integers(0, len(chosen))), StageChoices("conv", 1, draw(st.none() | _some(8, 16))))
    return ConvSpace(
        draw(_some(64, 65, 67, 70, 96)), draw(_some(8, 12, 16)), tuple(chosen),
        draw(st.sampled_from([16, 40])), draw(st.sampled_from([3, 5])), draw(st.sampled_from(["relu", "swish"])),
        draw(st.booleans()), draw(st.sampled_from([1, 8])),
    )  # fmt: skip


def drawn(space: ConvSpace, count: int, seed: int) -> np.ndarray:
    return space.lattice().draw(count, np.random.default_rng(seed))
