"""A small network's spec, and specs of any kind."""

from __future__ import annotations

from hypothesis import strategies as st

from gpunet import HeadSpec, NetworkSpec, StageSpec, StemSpec

SMALL = {
    "resolution_px": 64,
    "stem": {"filters": 8},
    "stages": [
        {"type": "conv", "filters": 8},
        {"type": "fused_irb", "filters": 16, "stride": 2, "expansion": 2},
        {"type": "irb", "filters": 24, "stride": 2, "expansion": 4, "squeeze_excitation": True, "layers": 2},
        {"type": "irb", "filters": 24, "layers": 0},
    ],
    "head": {"filters": 32},
}

stages = st.builds(
    lambda kind, filters, layers, kernel, stride, expansion, act, se: StageSpec(
        kind, filters, layers, kernel, stride, 1 if kind == "conv" else expansion, act, se and kind != "conv"
    ),
    st.sampled_from(["conv", "fused_irb", "irb"]),
    st.integers(1, 64),
    st.integers(1, 3),
    st.sampled_from([1, 3, 5]),
    st.sampled_from([1, 2]),
    st.one_of(st.integers(1, 8), st.floats(0.5, 8)),
    st.sampled_from(["relu", "swish"]),
    st.booleans(),
)
specs = st.builds(
    NetworkSpec,
    st.integers(64, 512),
    st.builds(StemSpec, st.integers(1, 64), st.sampled_from([3, 5]), st.sampled_from(["relu", "swish"])),
    st.lists(stages, min_size=1, max_size=5).map(tuple),
    st.builds(HeadSpec, st.integers(1, 64), st.one_of(st.none(), st.integers(1, 64))),
    st.sampled_from([1, 8]),
)
