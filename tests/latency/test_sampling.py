from __future__ import annotations

import numpy as np
import pytest
from helpers.spaces import SMALL_SPACE

from gpunet.errors import InvalidArgumentError
from gpunet.latency.sampling import choose_keys, weighted_sample

PLAN = SMALL_SPACE.lookup_plan(num_classes=10)


def test_expected_counts_are_the_averages_over_networks():
    draws = SMALL_SPACE.lattice().draw(4000, np.random.default_rng(0))
    found: dict[object, float] = {}
    for vector in draws:
        for key, count in PLAN.layers_of(vector):
            found[key] = found.get(key, 0.0) + count / len(draws)
    expected = PLAN.expected_counts()
    assert sum(expected.values()) == pytest.approx(sum(found.values()), rel=0.01)
    for key, count in expected.items():
        assert found.get(key, 0.0) == pytest.approx(count, abs=0.05), key


def test_a_part_has_its_size_every_kind_and_mostly_what_repeats():
    keys = PLAN.keys()
    chosen = choose_keys(PLAN, 0.2, seed=3)
    assert abs(len(chosen) - 0.2 * len(keys)) <= 3
    assert len(set(chosen)) == len(chosen)
    assert set(chosen) <= set(keys)
    assert {key.kind for key in chosen} == {key.kind for key in keys}
    assert chosen == choose_keys(PLAN, 0.2, seed=3)
    assert chosen != choose_keys(PLAN, 0.2, seed=4)
    counts = PLAN.expected_counts()
    assert np.mean([counts[key] for key in chosen]) > 1.5 * np.mean(list(counts.values()))


def test_the_whole_is_the_whole():
    assert choose_keys(PLAN, 1.0) == PLAN.keys()


@pytest.mark.parametrize("fraction", [0, -0.1, 1.1, float("nan")])
def test_a_fraction_out_of_range_is_refused(fraction: float):
    with pytest.raises(InvalidArgumentError, match="0 < fraction <= 1"):
        choose_keys(PLAN, fraction)


def test_a_weighted_sample_prefers_heavy_places_and_repeats_none():
    weights = [0.0] + [1.0] * 50 + [100.0] * 50
    chosen = weighted_sample(weights, 40, seed=0)
    assert len(set(chosen)) == 40
    assert 0 not in chosen
    assert sum(place > 50 for place in chosen) > 35
    assert chosen == weighted_sample(weights, 40, seed=0)
    assert len(weighted_sample(weights, 1000, seed=0)) == 100
