"""Numbers, steps and categories side by side: what is proposed is what can be evaluated, and good."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpunet.search import LaMcts, RegularizedEvolution, SobolSearch
from gpunet.search.optimize.features import Features
from gpunet.search.optimize.mixed import Mixed
from gpunet.testing.domains import check_neighbours, check_points

KINDS = st.sampled_from([(0, False), (2, False), (5, False), (2, True), (4, True)])
MIXED = Mixed([0, 5, 4, 2], [False, False, True, True])


@st.composite
def mixed(draw: st.DrawFn) -> Mixed:
    counts, unordered = zip(*draw(st.lists(KINDS, min_size=1, max_size=5)), strict=True)
    return Mixed(counts, unordered)


def worth(point: np.ndarray) -> float:
    return -float((point[0] - 0.37) ** 2 + (point[1] - 0.75) ** 2 + (point[2] != 1 / 3) + 0.5 * (point[3] != 1))


@settings(deadline=None)
@given(mixed(), st.integers(0, 20), st.integers(0, 2**32))
def test_it_keeps_the_protocol(domain: Mixed, count: int, seed: int):
    check_points(domain, count, seed)
    check_neighbours(domain, count, seed)


def test_what_is_not_inside():
    assert MIXED.contains(np.array([[0.3, 0.25, 1 / 3, 1], [0.3, 0.3, 0, 0], [1.1, 0, 0, 0]])).tolist() == [
        True,
        False,
        False,
    ]


def test_each_value_has_an_equal_part():
    points = MIXED.draw(4000, np.random.default_rng(0))
    for column, count in enumerate(MIXED.counts[1:], 1):
        _, found = np.unique(points[:, column], return_counts=True)
        assert found / 4000 == pytest.approx(1 / count, abs=0.03)


def test_changes_are_of_one_column_each():
    rows, columns = MIXED.changes(np.array([0.5, 0.5, 0.0, 1.0]), np.full(4, 0.2), np.full(4, 0.8), 3)
    assert np.unique(columns, return_counts=True)[1].tolist() == [2, 2, 3, 1]
    assert rows[columns == 1, 1].tolist() == [0.25, 0.75]  # between the bounds
    assert rows[columns == 2, 2].tolist() == [1 / 3, 2 / 3, 1.0]  # which the others do not know


def test_features_keep_categories_apart():
    features = Features(MIXED)
    assert features.unordered.tolist() == [False, False, True, False]
    spread = features.spread(np.array([[0.5, 0.25, 1 / 3, 1]]))
    assert spread[0].tolist() == [0.5, 0.25, 1, 0, pytest.approx(0.5**0.5), 0, 0]


def test_the_best_is_found_and_no_point_tried_twice():
    optimizer = LaMcts(MIXED, seed=0, initial=8)
    for _ in range(30):
        point = optimizer.ask()[0]
        optimizer.tell(point, worth(point))
    assert optimizer.best[1] > -0.01
    assert len(np.unique(optimizer.points, axis=0)) == 30
    assert MIXED.contains(optimizer.ask(40)).all()
    everything = np.concatenate([optimizer.points, optimizer.pending])
    assert len(np.unique(everything, axis=0)) == 70


def test_steps_alone_may_be_wanted_twice_or_not():
    steps = [Mixed([2, 3], [True, False], repeats=repeats) for repeats in (False, True)]
    for domain in steps:
        optimizer = LaMcts(domain, seed=0, initial=3)
        for _ in range(9):
            point = optimizer.ask()[0]
            optimizer.tell(point, float(point.sum()))
    assert optimizer.points[-2:].tolist() == [[1, 1], [1, 1]]


def test_a_state_goes_on():
    first, second = LaMcts(MIXED, seed=0, initial=4), LaMcts(MIXED, seed=0, initial=4)
    for _ in range(6):
        first.tell(first.ask()[0], 1.0 * len(first.points))
    first.ask()
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert np.array_equal(first.ask(3), second.ask(3))


@pytest.mark.parametrize("make", [SobolSearch, RegularizedEvolution])
def test_the_others_search_it_too(make):
    optimizer = make(MIXED, seed=0)
    for _ in range(60):
        point = optimizer.ask()[0]
        optimizer.tell(point, worth(point))
    assert MIXED.contains(optimizer.points).all()
