from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from gpunet.core.frontier import Point, dominator, frontier

FAST = Point("fast", 1.0, 78.0)
MIDDLE = Point("middle", 2.0, 80.0)
SLOW = Point("slow", 4.0, 82.0)
BEATEN = Point("beaten", 3.0, 79.0, baseline=True)


def test_a_point_that_is_slower_and_less_accurate_is_dominated():
    assert MIDDLE.dominates(BEATEN)
    assert not BEATEN.dominates(MIDDLE)
    assert not FAST.dominates(SLOW)
    assert not SLOW.dominates(FAST)


def test_points_of_equal_figures_do_not_dominate_each_other():
    twin = Point("twin", 2.0, 80.0)
    assert not MIDDLE.dominates(twin)
    assert {p.name for p in frontier([MIDDLE, twin])} == {"middle", "twin"}


def test_one_equal_figure_is_enough_to_dominate():
    assert MIDDLE.dominates(Point("as fast", 2.0, 79.9))
    assert MIDDLE.dominates(Point("as accurate", 2.1, 80.0))


def test_the_frontier_leaves_the_dominated_out_and_is_sorted_by_latency():
    assert frontier([SLOW, BEATEN, FAST, MIDDLE]) == [FAST, MIDDLE, SLOW]


def test_the_dominator_named_is_the_fastest():
    faster = Point("faster", 1.5, 79.5)
    assert dominator(BEATEN, [SLOW, MIDDLE, faster]) == faster
    assert dominator(MIDDLE, [SLOW, FAST, BEATEN]) is None


figures = st.lists(
    st.tuples(st.floats(0.01, 100), st.floats(1, 100)).map(lambda f: Point(f"{f}", *f)), min_size=1, max_size=12
)


@given(figures)
def test_every_point_off_the_frontier_is_dominated_by_one_on_it(points: list[Point]):
    best = frontier(points)
    assert best
    for point in points:
        assert (point in best) != any(other.dominates(point) for other in best)


@given(figures)
def test_along_the_frontier_more_time_buys_more_accuracy(points: list[Point]):
    best = frontier(points)
    for before, after in itertools.pairwise(best):
        same = (before.latency_ms, before.top1_percent) == (after.latency_ms, after.top1_percent)
        assert same or (before.latency_ms < after.latency_ms and before.top1_percent < after.top1_percent)
