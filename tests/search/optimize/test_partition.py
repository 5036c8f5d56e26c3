"""The partition tree: what it cuts, what it must not fall over, and which leaf it selects."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.svm import SVC

from gpunet.search.optimize.domain import Box, Lattice, Pool
from gpunet.search.optimize.features import Features
from gpunet.search.optimize.partition import MAX_DEPTH, PartitionTree

values = st.sampled_from([0.0, 1.0, -1.0, 3.5, 1e300, -1e300, np.nan, np.inf, -np.inf]) | st.floats(-10, 10)


@st.composite
def samples(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    dimensions = draw(st.integers(1, 3))
    coordinates = st.sampled_from([0.0, 0.25, 0.5, 1.0])  # few, so that there are duplicates
    row = st.lists(coordinates, min_size=dimensions, max_size=dimensions)
    rows = draw(st.lists(row, min_size=1, max_size=40))
    return np.array(rows), np.array(draw(st.lists(values, min_size=len(rows), max_size=len(rows))))


def parted(seed: int = 0, count: int = 200) -> PartitionTree:
    """Of a bowl whose best lies in a corner."""
    points = np.random.default_rng(seed).random((count, 2))
    return PartitionTree(points, -np.square(points - 0.9).sum(axis=1), leaf_size=20)


@settings(deadline=None)
@given(samples(), st.integers(1, 5))
def test_leaves_part_the_samples_and_the_space(given_samples: tuple[np.ndarray, np.ndarray], leaf_size: int):
    features, found = given_samples
    tree = PartitionTree(features, found, leaf_size=leaf_size)
    rows = np.concatenate([leaf.rows for leaf in tree.leaves()])
    assert sorted(rows) == list(range(len(features)))
    everywhere = np.random.default_rng(0).random((50, features.shape[1]))
    inside = np.array([tree.inside(leaf, everywhere) for leaf in tree.leaves()])
    assert (inside.sum(axis=0) == 1).all()
    assert tree.inside(tree.root, everywhere).all()
    for leaf in tree.leaves():
        assert leaf.depth <= MAX_DEPTH
        assert tree.inside(leaf, features)[leaf.rows].all()
    assert tree.select().children is None
    assert str(tree).count("\n") + 1 == len(list(tree.nodes()))


@settings(deadline=None)
@given(samples())
def test_an_update_with_the_same_samples_changes_nothing(given_samples: tuple[np.ndarray, np.ndarray]):
    features, found = given_samples
    tree = PartitionTree(features, found, leaf_size=3)
    before = str(tree)
    tree.update(features, found)
    assert str(tree) == before


def test_the_good_side_holds_the_best_and_is_selected():
    tree = parted()
    tree.exploration = 0.0
    assert len(tree.leaves()) > 2
    best = np.array([[0.9, 0.9]])
    assert tree.inside(tree.leaves()[0], best).all()
    assert tree.select() in (tree.leaf_of(best)[0], tree.leaves()[0])
    assert tree.select().mean > 0.9


def test_exploration_selects_the_leaf_with_few_samples():
    tree = parted()
    tree.exploration = 10.0
    assert len(tree.select().rows) < len(tree.leaves()[0].rows)


def test_samples_added_go_to_their_leaf():
    tree = parted()
    more = np.vstack([tree.features, np.full((30, 2), 0.95)])
    tree.update(more, np.append(tree.values, np.full(30, -1.0)))
    leaf = tree.leaf_of(np.array([[0.95, 0.95]]))[0]
    assert set(range(200, 230)) <= set(leaf.rows.tolist())


@pytest.mark.parametrize("worth", [0.0, 1e300, np.nan, np.inf])
def test_samples_of_one_value_are_one_leaf(worth: float):
    tree = PartitionTree(np.random.default_rng(0).random((50, 3)), np.full(50, worth))
    assert str(tree).startswith("all: 50 samples")
    assert len(tree.leaves()) == 1


def test_one_point_with_many_values_is_one_leaf():
    tree = PartitionTree(np.zeros((50, 2)), np.arange(50.0), leaf_size=5)
    assert len(tree.leaves()) == 1


def test_a_tree_is_cheap():
    generator = np.random.default_rng(0)
    features = generator.random((1000, 41))
    values = -np.square(features).sum(axis=1)
    started_s = time.process_time()
    tree = PartitionTree(features, values)
    grown_s = time.process_time()
    SVC().fit(features, values > np.median(values))
    fitted_s = time.process_time()
    assert len(tree.leaves()) > 5
    # Beside one boundary over all the samples, which it learns first; those further down have few.
    assert grown_s - started_s < 60 * (fitted_s - grown_s)


def test_the_tree_as_text():
    lines = str(parted()).splitlines()
    assert lines[0].startswith("all: 200 samples, best -0.00")
    assert lines[0].endswith("<")
    assert lines[1].startswith("  good: ")


# ------------------------------------------------------------------- features


def test_features_of_a_lattice_spread_its_categories():
    features = Features(Lattice([3, 3, 2], categorical=[False, True, True]))
    assert features.unordered.tolist() == [False, True, False]
    points = np.array([[1, 0, 1], [1, 2, 1], [1, 1, 1]])
    assert features(points)[1].tolist() == [0.5, 1, 1]
    rows = features.spread(points)
    assert rows[0].tolist() == [0.5, 1, pytest.approx(0.5**0.5), 0, 0]
    distances = np.sqrt(np.square(rows[:, None] - rows[None]).sum(axis=2))
    assert np.allclose(distances, 1 - np.eye(3))


@pytest.mark.parametrize("domain", [Box([0, 1], [1, 3]), Lattice([3, 3]), Pool([[1, 2], [3, 5]])])
def test_features_of_all_else_are_the_unit_cube(domain):
    points = domain.draw(5, np.random.default_rng(0))
    features = Features(domain)
    assert np.array_equal(features(points), domain.encode(points))
    assert np.array_equal(features.spread(points), domain.encode(points))
    assert features.columns == 2
