"""The start on a finite domain."""

from __future__ import annotations

import json

import numpy as np
import pytest

from gpunet.search import Box, GaussianProcessBo, LaMcts, Lattice, Pool
from gpunet.search.optimize.features import Features
from gpunet.search.optimize.starts.spread import SpreadPoints


def test_few_points_stand_for_all():
    generator = np.random.default_rng(0)
    clusters = np.array([[0, 0], [10, 0], [0, 1000], [10, 1000]])
    vectors = np.concatenate([each + generator.normal(size=(60, 2)) * [1, 100] / 20 for each in clusters])
    pool = Pool(vectors)
    points = SpreadPoints(pool, 3, Features(pool)).take(8)
    nearest = {int(np.abs((clusters - point) / [10, 1000]).sum(axis=1).argmin()) for point in points}
    assert nearest == {0, 1, 2, 3}


def test_a_sequence_goes_on_where_it_was_and_ends():
    lattice = Lattice([3, 4, 5], categorical=[True, False, False])
    first = SpreadPoints(lattice, 1, Features(lattice))
    points = first.take(70)
    assert 50 <= len(points) == len(np.unique(points, axis=0)) <= 60
    again = SpreadPoints(lattice, 1, Features(lattice), drawn=2)
    assert again.take(3).tolist() == points[2:5].tolist()
    assert first.take(5).shape == (0, 3)


@pytest.mark.parametrize(
    ("domain", "options", "count"),
    [
        (Lattice([6] * 41), {}, 8),
        (Lattice([6] * 41), {"budget": 30}, 6),
        (Lattice([6] * 41), {"budget": 5}, 2),
        (Lattice([6] * 41), {"budget": 1000}, 8),
        (Lattice([6] * 41), {"budget": 30, "initial": 9}, 9),
        (Box([0] * 20, [1] * 20), {}, 20),
        (Box([0] * 20, [1] * 20), {"budget": 60}, 12),
    ],
)
@pytest.mark.parametrize("make", [LaMcts, GaussianProcessBo])
def test_the_start_takes_a_fifth_of_the_budget_at_most(make, domain, options: dict, count: int):
    assert make(domain, **options).initial == count
    planned = make(domain, initial=options.get("initial"))
    planned.plan(options.get("budget", 10**6))
    assert planned.initial == count


def test_one_that_is_resumed_within_the_start_goes_on_with_it():
    first = LaMcts(Lattice([6] * 10), seed=2)
    first.ask(3)
    second = LaMcts(Lattice([6] * 10), seed=2)
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert np.array_equal(first.ask(4), second.ask(4))
