from __future__ import annotations

import json
import math

import numpy as np
import pytest
from helpers.estimates import Roofline, paper_roofline, roofline_of
from helpers.spaces import SMALL_SPACE
from hypothesis import given, settings
from hypothesis import strategies as st

from gpunet.errors import InvalidArgumentError, SpecError
from gpunet.search import PAPER_SPACE, Tier
from gpunet.search.tiers.stratify import stratify
from gpunet.testing.domains import check_neighbours, check_points

SMALL = roofline_of(SMALL_SPACE)
LOW_MS, MIDDLE_MS, HIGH_MS = np.quantile(
    Tier(SMALL_SPACE, SMALL, 0, math.inf).latency_ms(SMALL_SPACE.lattice().draw(4000, np.random.default_rng(0))),
    [0.01, 0.5, 0.9],
)
STRATA = stratify(SMALL_SPACE, SMALL, bounds_ms=(LOW_MS, MIDDLE_MS, HIGH_MS), count=1 << 15, reservoir=50)


def small_tier(index: int) -> Tier:
    return STRATA.tiers[index]


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 3), st.integers(0, 20), st.integers(0, 2**32))
def test_a_tier_keeps_the_protocol_of_a_domain(index: int, count: int, seed: int):
    check_points(small_tier(index), count, seed)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 3), st.none() | st.integers(0, 10), st.integers(0, 2**32))
def test_neighbours_are_inside(index: int, count: int | None, seed: int):
    check_neighbours(small_tier(index), count, seed)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 3), st.integers(0, 2**32))
def test_every_point_of_the_cube_decodes_to_one_inside(index: int, seed: int):
    tier = small_tier(index)
    unit = np.random.default_rng(seed).random((10, tier.dimensions))
    points = tier.decode(unit)
    assert tier.contains(points).all()
    assert np.array_equal(tier.decode(unit), points)
    assert np.array_equal(tier.decode(tier.encode(points)), points)


def test_the_papers_space_has_tiers_that_keep_the_protocol():
    strata = stratify(PAPER_SPACE, paper_roofline(), bounds_ms=(0.9, 2, 20), count=1 << 16, reservoir=100)
    for index in (0, 1, 2):
        check_points(strata.tiers[index], 50, 0)
        check_neighbours(strata.tiers[index], None, 0)
        assert strata.tiers[index].contains(strata.tiers[index].decode(np.random.default_rng(0).random((5, 41)))).all()


def test_bounds_are_half_open_and_decided_by_the_estimate():
    tier = small_tier(1)
    points = SMALL_SPACE.lattice().draw(2000, np.random.default_rng(1))
    latency_ms = tier.latency_ms(points)
    expected = [sum(roofline_sum(point)) for point in points[:50]]
    np.testing.assert_allclose(latency_ms[:50], expected)
    assert np.array_equal(tier.contains(points), (latency_ms >= LOW_MS) & (latency_ms < MIDDLE_MS))
    exact = latency_ms[0]
    assert Tier(SMALL_SPACE, SMALL, exact, math.inf).contains(points[:1]).all()
    assert not Tier(SMALL_SPACE, SMALL, 0, exact).contains(points[:1]).any()


def roofline_sum(point: np.ndarray) -> list[float]:
    from helpers.estimates import roofline_ms

    return [roofline_ms(key) for key in SMALL_SPACE.keys(point, num_classes=10)]


def test_what_is_no_vector_is_not_inside():
    tier = Tier(SMALL_SPACE, SMALL, 0, math.inf)
    points = np.zeros((4, tier.dimensions))
    points[1, 0], points[2, 0], points[3, 0] = 0.5, 99, np.nan
    assert tier.contains(points).tolist() == [True, False, False, False]


def test_of_no_points_none_is_inside():
    tier = small_tier(1)
    for none in ([], np.empty((0, tier.dimensions))):
        assert tier.contains(none).tolist() == []
        assert tier.latency_ms(none).tolist() == []
    assert tier.contains([[0, 0]]).tolist() == [False]


def test_whole_numbers_of_floating_point_are_a_point_everywhere():
    tier = small_tier(1)
    point = tier.candidates[:1]
    same, other = point.astype(float), point + 0.25
    assert tier.contains(same).all()
    assert tier.latency_ms(same) == tier.latency_ms(point)
    assert SMALL_SPACE.decode(same[0]) == SMALL_SPACE.decode(point[0])
    near, near_same = (tier.neighbours(each, np.random.default_rng(0)) for each in (point[0], same[0]))
    assert np.array_equal(near, near_same)
    assert np.array_equal(Tier(SMALL_SPACE, SMALL, 0, math.inf, same).candidates, point)
    assert not tier.contains(other).any()
    for call in (
        lambda: tier.latency_ms(other),
        lambda: SMALL_SPACE.decode(other[0]),
        lambda: tier.neighbours(other[0], np.random.default_rng(0)),
        lambda: Tier(SMALL_SPACE, SMALL, 0, math.inf, other),
    ):
        with pytest.raises(InvalidArgumentError, match=r"digit 0 \(resolution_px\)"):
            call()


def test_candidates_keep_their_order_and_the_first_of_equal_ones():
    points = small_tier(1).draw(20, np.random.default_rng(3))
    points = points[np.sort(np.unique(points, axis=0, return_index=True)[1])]
    assert (np.diff(points[:, 0]) < 0).any()
    tier = Tier(SMALL_SPACE, SMALL, 0, math.inf, np.concatenate([points, points[::-1]]))
    assert np.array_equal(tier.candidates, points)


def test_candidates_that_are_no_vectors_are_refused():
    data = small_tier(1).to_dict()
    short = [row[:-1] for row in data["candidates"]]
    with pytest.raises(InvalidArgumentError, match=r"candidates must be an array of n x \d+, but its shape is"):
        Tier.from_dict({**data, "candidates": short}, SMALL)
    with pytest.raises(InvalidArgumentError, match="candidates must be rows of one length"):
        Tier.from_dict({**data, "candidates": [short[0], *data["candidates"]]}, SMALL)
    with pytest.raises(InvalidArgumentError, match="candidates must hold whole numbers"):
        Tier.from_dict({**data, "candidates": [["0"] * len(SMALL_SPACE.digits)]}, SMALL)
    with pytest.raises(InvalidArgumentError, match=r"candidates\[0\]: digit 0 \(resolution_px\)"):
        Tier.from_dict({**data, "candidates": [[9] * len(SMALL_SPACE.digits)]}, SMALL)


@pytest.mark.parametrize("count", [1.5, -1, "2", True])
def test_counts_that_are_none_are_refused(count: object):
    tier, generator = small_tier(1), np.random.default_rng(0)
    for call in (lambda: tier.draw(count, generator), lambda: tier.neighbours(tier.candidates[0], generator, count)):
        with pytest.raises(InvalidArgumentError, match=f"count must be an integer of 0 or more, but got {count!r}"):
            call()
    assert len(tier.draw(np.int64(2), generator)) == 2
    with pytest.raises(InvalidArgumentError, match=r"count must be an integer of 0 or more, but got None"):
        tier.draw(None, generator)


def test_neighbours_of_what_is_no_vector_are_refused():
    with pytest.raises(
        InvalidArgumentError, match=r"not a vector of the space: a vector has \d+ digits, but its shape"
    ):
        small_tier(1).neighbours([0, 0], np.random.default_rng(0))


def test_equal_networks_are_one_point():
    tier = Tier(SMALL_SPACE, SMALL, 0, math.inf)
    points = tier.draw(500, np.random.default_rng(0))
    assert np.array_equal(SMALL_SPACE.canonical(points), points)
    empty = points[(points[:, [digit.name for digit in SMALL_SPACE.digits].index("stages[1].layers")] == 0)][0]
    assert not any(
        np.array_equal(SMALL_SPACE.canonical([other])[0], empty)
        for other in tier.neighbours(empty, np.random.default_rng(0))
    )


def test_a_rare_tier_is_drawn_from_by_walks_that_leave_their_start():
    """A tier that uniform points do not hit: 36 digits at their first choices or nearly so."""
    estimator = paper_roofline()
    start = np.zeros((1, 41), np.int64)
    low_ms = Tier(PAPER_SPACE, estimator, 0, math.inf).latency_ms(start)[0]
    tier = Tier(PAPER_SPACE, estimator, low_ms * 0.99, low_ms * 1.1, start)
    points = tier.draw(64, np.random.default_rng(0))
    assert tier.contains(points).all()
    assert len(np.unique(points, axis=0)) > 48
    assert np.array_equal(points, tier.draw(64, np.random.default_rng(0)))


def test_an_empty_tier_says_so():
    tier = Tier(SMALL_SPACE, SMALL, 1e6, 2e6)
    assert tier.draw(0, np.random.default_rng(0)).shape == (0, tier.dimensions)
    with pytest.raises(
        InvalidArgumentError, match=r"no network with an estimate 1e\+06 to 2e\+06 ms was found.\n.*range_ms"
    ):
        tier.draw(1, np.random.default_rng(0))
    with pytest.raises(InvalidArgumentError, match="has no candidate to start from"):
        tier.decode(np.zeros((1, tier.dimensions)))


@pytest.mark.parametrize(
    ("low_ms", "high_ms", "label"),
    [(0, 0.5, "below 0.5 ms"), (0.5, 1, "0.5 to 1 ms"), (1, math.inf, "1 ms or more")],
)
def test_labels(low_ms: float, high_ms: float, label: str):
    tier = Tier(SMALL_SPACE, SMALL, low_ms, high_ms)
    assert tier.label == label
    assert repr(tier) == f"<Tier {label}, 0 candidates>"


def test_json_gives_the_tier_back():
    for tier in (small_tier(1), small_tier(3)):
        data = json.loads(json.dumps(tier.to_dict(), allow_nan=False))
        again = Tier.from_dict(data, SMALL)
        assert (again.space, again.low_ms, again.high_ms) == (tier.space, tier.low_ms, tier.high_ms)
        assert np.array_equal(again.candidates, tier.candidates)
        own = Tier.from_dict({**data, "space": {"space": "mine"}}, SMALL, SMALL_SPACE)
        assert own.space is SMALL_SPACE


def test_another_estimator_is_noticed():
    slower = Roofline(SMALL.plan, [array * 1.5 for array in SMALL.arrays])
    with pytest.raises(InvalidArgumentError, match=r"\d+ of \d+ candidates do not lie in .*\n.*stratify again"):
        Tier.from_dict(small_tier(1).to_dict(), slower)
    with pytest.raises(InvalidArgumentError, match="the estimator is of another space"):
        Tier(PAPER_SPACE, SMALL, 0, 1)
    with pytest.raises(SpecError, match=r"^space: 'mine' is not one of"):
        Tier.from_dict({**small_tier(1).to_dict(), "space": {"space": "mine"}}, SMALL)
    with pytest.raises(InvalidArgumentError, match="tier_version: 2 is not 1"):
        Tier.from_dict({**small_tier(1).to_dict(), "tier_version": 2}, SMALL)
    with pytest.raises(InvalidArgumentError, match=r"low_ms: missing\nA tier has space, low_ms, "):
        Tier.from_dict({"tier_version": 1, "space": {}}, SMALL)
    with pytest.raises(InvalidArgumentError, match=r"tier: \[\] is not an object"):
        Tier.from_dict([], SMALL)


@pytest.mark.parametrize(
    ("bounds", "text"),
    [
        ((1, 1), "bounds in ms must rise, but are 1, 1"),
        ((2, 1), "bounds in ms must rise, but are 2, 1"),
        ((-1, 1), "from 0 up, but are"),
        ((True, 2), "from 0 up, but are"),
        ((None, 1), "from 0 up, but are"),
        ((math.nan, 1), "from 0 up, but are"),
        (("a", 1), "from 0 up, but are"),
    ],
)
def test_bounds_that_are_none_are_refused(bounds, text: str):
    with pytest.raises(InvalidArgumentError, match=text):
        Tier(SMALL_SPACE, SMALL, *bounds)
