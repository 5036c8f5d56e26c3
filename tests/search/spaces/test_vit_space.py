"""A space that is not GPUNet's works from its vectors to a latency, a tier and a training step."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from helpers.estimates import roofline_of
from helpers.spaces import SMALL_SPACE
from helpers.training import losses_of_training
from hypothesis import given, settings
from hypothesis import strategies as st

from gpunet.errors import InvalidArgumentError, SpecError
from gpunet.search import Tier, VitSpace
from gpunet.search.spaces.vit_space import VitSpec
from gpunet.search.tiers.stratify import stratify
from gpunet.testing.spaces import check_vectors

SPACE = VitSpace((32, 48), (4, 8), (24, 48), (1, 2, 4), (2, 3, 6), (2, 4))


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32))
def test_vectors_specs_keys_and_plan_agree(seed: int):
    check_vectors(SPACE, 4, seed)


def test_every_vector_is_a_network():
    vectors = np.array(np.meshgrid(*[range(len(d.values)) for d in SPACE.digits], indexing="ij")).reshape(6, -1).T
    assert len(vectors) == SPACE.size == 2 * 2 * 2 * 3 * 3 * 2
    assert SPACE.contains(vectors).all()
    assert len({SPACE.decode(vector) for vector in vectors}) == SPACE.size
    assert np.array_equal(SPACE.canonical(vectors), vectors)
    assert SPACE.contains([[0, 0, 0, 0, 3, 0]]).tolist() == [False]
    assert SPACE.faults([0, 0, 0, 0, 3, 0]) == ["digit 4 (heads): 3 is not a choice index from 0 to 2"]
    with pytest.raises(InvalidArgumentError, match=r"digit 4 \(heads\)"):
        SPACE.decode([0, 0, 0, 0, 3, 0])


def test_parameters_are_those_of_the_spec():
    model = SPACE.build(SPACE.encode(VitSpec(48, 8, 48, 2, 3, 4)), num_classes=10)
    assert (model.patch_embed.img_size, model.patch_embed.patch_size) == ((48, 48), (8, 8))
    assert (model.embed_dim, len(model.blocks), model.blocks[0].attn.num_heads) == (48, 2, 3)
    assert model.blocks[0].mlp.fc1.out_features == 192
    assert model.pos_embed.shape[1] == VitSpec(48, 8, 48, 2, 3, 4).tokens


def test_a_network_of_a_tier_trains():
    estimator = roofline_of(SPACE)
    vectors = SPACE.lattice().draw(500, np.random.default_rng(0))
    bounds_ms = np.quantile(Tier(SPACE, estimator, 0, math.inf).latency_ms(vectors), [0.3, 0.7])
    strata = stratify(SPACE, estimator, bounds_ms=bounds_ms.tolist(), count=2000, reservoir=50)
    assert all(strata.counts)
    vector = strata.tiers[0].draw(1, np.random.default_rng(0))[0]
    torch.manual_seed(0)
    model = SPACE.build(vector, num_classes=4, drop_path_rate=0.0)
    losses = losses_of_training(model, SPACE.decode(vector).resolution_px, learning_rate=1e-2)
    assert losses[-1] < losses[0]


def test_a_dict_of_another_version_or_key_is_refused():
    with pytest.raises(SpecError, match=r"^space_version: 2 is not 1"):
        VitSpace.from_dict({**SPACE.to_dict(), "space_version": 2})
    with pytest.raises(SpecError, match=r"^depth: unknown key"):
        VitSpace.from_dict({**SPACE.to_dict(), "depth": [2]})


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"widths": (24, 50)}, "^widths: 50 is not a multiple of 3, one of heads\nGive multiples of 6"),
        (
            {"resolutions_px": (32, 36)},
            "^resolutions_px: 36 is not a multiple of 8, one of patches_px\nGive multiples of 8",
        ),
        ({"heads": (0, 2)}, "^heads: 0 is out of range; it is at least 1 and at most 65536"),
        ({"depths": (1.5, 2)}, "^depths: 1.5 is not an integer"),
        ({"mlp_ratios": (0, 4)}, "^mlp_ratio: 0 of a width of 24 is no hidden width"),
        ({"depths": (2, 1)}, "^depths: choices must rise, but are 2, 1"),
        ({"depths": ()}, r"^depths: \(\) is not a list"),
    ],
)
def test_a_space_with_holes_or_bad_choices_is_refused(change: dict[str, object], text: str):
    with pytest.raises(SpecError, match=text):
        dataclasses.replace(SPACE, **change)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"patch_px": 5}, "^patch_px: 5 does not divide the resolution of 48 px"),
        ({"heads": 5}, "^heads: 5 do not divide the width of 48"),
        ({"depth": True}, "^depth: True is not an integer"),
        ({"mlp_ratio": float("inf")}, "^mlp_ratio: inf of a width of 48 is no hidden width"),
        ({"mlp_ratio": "4"}, "^mlp_ratio: '4' of a width of 48"),
    ],
)
def test_a_spec_that_breaks_a_rule_is_refused(change: dict[str, object], text: str):
    with pytest.raises(SpecError, match=text):
        dataclasses.replace(VitSpec(48, 8, 48, 2, 3, 4), **change)


def test_what_the_space_cannot_express_is_named():
    with pytest.raises(SpecError, match=r"^width: 96 is not one of 24, 48\ndepth: 3 is not one of 1, 2, 4"):
        SPACE.encode(VitSpec(48, 8, 96, 3, 3, 4))


def test_what_is_no_vit_spec_is_refused():
    convolutional = SMALL_SPACE.decode([0] * len(SMALL_SPACE.digits))
    with pytest.raises(SpecError, match=r"^architecture: NetworkSpec\(.* is of type NetworkSpec, not VitSpec"):
        SPACE.encode(convolutional)
    with pytest.raises(SpecError, match=r"^architecture: {'width': 24} is of type dict, not VitSpec"):
        SPACE.encode({"width": 24})
