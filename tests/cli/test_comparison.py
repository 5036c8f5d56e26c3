from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from gpunet.cli.comparison import Point, Verdict, dominator, frontier, swapped, verdicts

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


def test_a_baseline_is_compared_with_the_fastest_network_at_least_as_accurate():
    (verdict,) = verdicts([FAST, SLOW, MIDDLE, BEATEN])
    assert verdict == Verdict(BEATEN, MIDDLE)
    assert verdict.speedup == 1.5
    assert verdict.holds is True
    assert verdict.words == "holds"


def test_a_faster_baseline_refutes_the_claim():
    (verdict,) = verdicts([SLOW, MIDDLE, Point("quick", 1.0, 79.0, baseline=True)])
    assert verdict.speedup == 0.5
    assert verdict.holds is False
    assert verdict.words == "DOES NOT HOLD"


def test_equal_latency_does_not_count_as_faster():
    (verdict,) = verdicts([MIDDLE, Point("level", 2.0, 80.0, baseline=True)])
    assert verdict.holds is False


def test_where_nothing_is_as_accurate_there_is_no_verdict():
    (verdict,) = verdicts([FAST, Point("sharp", 9.0, 99.0, baseline=True)])
    assert verdict.rival is None
    assert verdict.speedup is None
    assert verdict.holds is None
    assert verdict.words == "nothing as accurate"


def test_baselines_are_not_compared_with_each_other():
    assert verdicts([Point("a", 1, 80, baseline=True)])[0].rival is None


def test_swapped_names_the_pairs_whose_order_changed_and_no_others():
    here = [Point("fast", 30.0, 78.0), Point("middle", 20.0, 80.0), Point("slow", 40.0, 82.0)]
    assert swapped([FAST, MIDDLE, SLOW, BEATEN], here) == [(FAST, MIDDLE)]
    assert swapped([FAST, SLOW], [Point("slow", 1.0, 82.0)]) == []


def test_swapped_leaves_ties_out():
    tie = Point("tie", 1.0, 79.0)
    assert swapped([FAST, tie], [Point("fast", 2.0, 78.0), Point("tie", 1.0, 79.0)]) == []
