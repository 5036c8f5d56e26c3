from __future__ import annotations

import dataclasses
import math
from collections import Counter

import numpy as np
import pytest
from helpers.spaces import SMALL_SPACE, drawn

from gpunet.latency.layers.convolutional import keys_from_spec
from gpunet.search import PAPER_SPACE, RELEASE_SPACE
from gpunet.testing.spaces import counted

PLANS = {
    "paper": (PAPER_SPACE, PAPER_SPACE.lookup_plan()),
    "release": (RELEASE_SPACE, RELEASE_SPACE.lookup_plan()),
    "small": (SMALL_SPACE, SMALL_SPACE.lookup_plan()),
}


@pytest.mark.parametrize("name", PLANS)
def test_the_plans_layers_are_the_networks(name: str):
    space, plan = PLANS[name]
    for vector in drawn(space, 40, 0):
        assert counted(plan.layers_of(vector)) == Counter(keys_from_spec(space.decode(vector)))


def test_the_papers_space_has_about_fourteen_thousand_keys_a_resolution():
    one = dataclasses.replace(PAPER_SPACE, resolutions_px=(224,)).lookup_plan()
    # 14,148 places, some of which hold the same layer: a stage's first, for instance, where it keeps the channels.
    assert len(one.keys()) == 13_428
    assert len(PLANS["paper"][1].keys()) == 133_000
    assert all(math.prod(plan.shape(term.inputs)) <= 200_000 for _, plan in PLANS.values() for term in plan.terms)


def test_every_key_of_the_small_space_is_one_that_a_network_has():
    space, plan = PLANS["small"]
    seen = {key for vector in drawn(space, 4000, 1) for key, count in plan.layers_of(vector) if count}
    assert seen == set(plan.keys())


def test_networks_that_do_not_pad_have_a_map_side_for_each_kernel():
    plan = PLANS["release"][1]
    assert any(each.name == "stages[1].out_px" for each in plan.derived)
    assert not any(each.name.endswith("out_px") for each in PLANS["paper"][1].derived)
    assert np.prod([size for _, size in plan.digits], dtype=float) == float(RELEASE_SPACE.size)
