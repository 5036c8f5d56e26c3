"""PAPER_SPACE against the paper, digit for digit; RELEASE_SPACE against the release."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpunet.errors import SpecError
from gpunet.search import PAPER_SPACE, RELEASE_SPACE
from gpunet.zoo.catalog import catalog

SPECS = {name: entry.spec for name, entry in catalog().items() if entry.role == "released"}


def test_the_digits_are_those_of_table_2():
    order = ["filters", "kernel_size", "expansion", "squeeze_excitation", "activation", "layers"]
    assert [digit.name for digit in PAPER_SPACE.digits] == [
        "resolution_px", "stem.filters", "stages[0].kernel_size", "stages[0].activation", "stages[0].layers",
        *(f"stages[{stage}].{name}" for stage in range(1, 7) for name in order),
    ]  # fmt: skip
    assert len(PAPER_SPACE.digits) == 41
    assert {digit.name.split(".")[-1] for digit in PAPER_SPACE.digits if digit.categorical} == {
        "activation", "squeeze_excitation",
    }  # fmt: skip


# Table 1: stage, type, stride, layers, filters [low, high, step].
@pytest.mark.parametrize(
    ("stage", "kind", "stride", "layers", "filters"),
    [
        (1, "conv", 1, (1, 4), None),
        (2, "fused_irb", 2, (1, 8), (32, 80, 16)),
        (3, "fused_irb", 2, (1, 8), (48, 112, 16)),
        (4, "irb", 2, (1, 10), (96, 192, 16)),
        (5, "irb", 1, (0, 15), (112, 224, 16)),
        (6, "irb", 2, (1, 15), (128, 416, 32)),
        (7, "irb", 1, (0, 15), (256, 832, 64)),
    ],
)
def test_the_choices_are_those_of_table_1(stage: int, kind: str, stride: int, layers, filters):
    choices = PAPER_SPACE.stages[stage - 1]
    assert (choices.type, choices.stride, choices.kernel_sizes) == (kind, stride, (3, 5))
    assert choices.layers == tuple(range(layers[0], layers[1] + 1))
    assert choices.filters == (filters and tuple(range(filters[0], filters[1] + 1, filters[2])))
    assert set(choices.activations) == {"relu", "swish"}
    assert choices.expansions == (() if kind == "conv" else (2, 3, 4, 5, 6))
    assert choices.squeeze_excitations == (() if kind == "conv" else (False, True))


def test_the_rest_of_table_1():
    assert PAPER_SPACE.resolutions_px == (224, 256, 288, 320, 352, 384, 416, 448, 480, 512)
    assert PAPER_SPACE.stem_filters == (24, 32)
    assert PAPER_SPACE.head_filters == 1792
    assert f"{PAPER_SPACE.size:.1e}" == "3.6e+23"


@settings(deadline=None, max_examples=50)
@given(st.sampled_from([PAPER_SPACE, RELEASE_SPACE]), st.integers(0, 2**63))
def test_decode_and_encode_are_inverse_on_the_papers_space(space, seed: int):
    for vector in space.lattice().draw(3, np.random.default_rng(seed)):
        spec = space.decode(vector)
        assert np.array_equal(space.encode(spec), vector)
        assert spec.stages[0].filters == spec.stem.filters


def test_the_releases_space_holds_gpunet_2():
    spec = SPECS["gpunet_2"]
    vector = RELEASE_SPACE.encode(spec)
    assert RELEASE_SPACE.decode(vector) == spec
    assert RELEASE_SPACE.contains([vector]).all()


@pytest.mark.parametrize(
    ("name", "faults"),
    [
        ("gpunet_0", ["stages: 5 is not 7", "stages[3].filters: 256 is not one of 96, 112, 128, 144, 160, 176, 192"]),
        (
            "gpunet_1",
            ["stages: 6 is not 7", "stages[4].filters: 288 is not one of 112, 128, 144, 160, 176, 192, 208, 224"],
        ),
        (
            "gpunet_p0",
            ["stem.activation: 'relu' is not 'swish'", "head.filters: 1984 is not 1280", "stages: 12 is not 7"],
        ),
        (
            "gpunet_p1",
            ["stages[1].type: 'conv' is not 'fused_irb'", "stages[4].expansion: 8 is not one of 2, 3, 4, 5, 6"],
        ),
        ("gpunet_d1", ["head.hidden_features: 1984 is not None", "stem.filters: 33 is not one of 24, 32"]),
        ("gpunet_d2", ["batch_norm_eps: 1e-05 is not 0.001", "hidden_divisor: 1 is not 8"]),
    ],
)
def test_the_others_lie_outside_and_each_fault_is_named(name: str, faults: list[str]):
    with pytest.raises(SpecError) as raised:
        RELEASE_SPACE.encode(SPECS[name])
    lines = raised.value.message.splitlines()
    assert set(faults) <= set(lines)
    assert all(re.match(r"[\w.\[\]]+: .+ is not .+", line) for line in lines)
