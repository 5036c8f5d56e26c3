from __future__ import annotations

from gpunet.cli.bench.comparison import Verdict, swapped, verdicts
from gpunet.core.frontier import Point

FAST = Point("fast", 1.0, 78.0)
MIDDLE = Point("middle", 2.0, 80.0)
SLOW = Point("slow", 4.0, 82.0)
BEATEN = Point("beaten", 3.0, 79.0, baseline=True)


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


def test_accuracies_of_other_images_are_not_compared():
    points = [Point("baseline", 2.0, 70.0, True), Point("digits", 1.0, 99.0), Point("imagenet", 1.5, 71.0)]
    datasets = {"baseline": "a", "digits": "b", "imagenet": "a"}
    (verdict,) = verdicts(points, datasets)
    assert verdict.rival == points[2]
