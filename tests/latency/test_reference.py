"""The reference's course: by how much a machine was slower or faster at a time than in the median."""

from __future__ import annotations

import math

import pytest

from gpunet.exporters.graph.conv_nodes import graph_from_spec
from gpunet.latency.layers.graphs import network_graph
from gpunet.latency.reference import Course, ReferencePoint, reference_networks
from gpunet.model.reference_networks import REFERENCE_NETWORKS
from gpunet.runtime.reference import Look


def course(*looks: tuple[float, float, float], builder: str = "b") -> Course:
    return Course(ReferencePoint(at_s, builder, Look(small, large)) for at_s, small, large in looks)


STEADY = course(*((float(second), 0.1, 10.0) for second in range(9)))
SLOWED = course(*((float(second), 0.1, 10.0) for second in range(20)), *((20.0 + s, 0.12, 15.0) for s in range(10)))


def test_a_steady_machine_changes_nothing() -> None:
    assert STEADY.factor(3.5, "b", 1.0) == 1.0
    assert not STEADY.moved(3.5, "b")
    assert STEADY.spread_percent == 0.0


@pytest.mark.parametrize(("cost_ms", "factor"), [(0.01, 1.2), (0.1, 1.2), (10.0, 1.5), (80.0, 1.5),
                                                 (1.0, math.sqrt(1.2 * 1.5))])  # fmt: skip
def test_a_graph_is_slowed_as_the_network_is_that_is_like_it(cost_ms: float, factor: float) -> None:
    assert SLOWED.factor(26.0, "b", cost_ms) == pytest.approx(factor)
    assert SLOWED.factor(5.0, "b", cost_ms) == pytest.approx(1.0)
    assert SLOWED.factor(1e9, "b", cost_ms) == pytest.approx(factor)  # beyond the ends, the nearest


def test_it_is_interpolated_and_the_movement_is_known() -> None:
    moving = course((0.0, 0.1, 10.0), (10.0, 0.1, 10.0), (20.0, 0.1, 20.0), (30.0, 0.1, 20.0))
    assert moving.median.large_ms == 15.0
    ends = [moving.factor(at_s, "b", 100.0) for at_s in (0.0, 30.0)]
    assert ends == pytest.approx([10 / 15, 20 / 15])
    assert ends[0] < moving.factor(15.0, "b", 100.0) < ends[1]
    assert [moving.moved(at_s, "b") for at_s in (5.0, 15.0, 25.0)] == [False, True, False]
    assert moving.spread_percent == pytest.approx(100.0)


def test_one_look_that_a_neighbour_disturbed_does_not_count() -> None:
    once = course(*((float(s), 0.1, 30.0 if s == 4 else 10.0) for s in range(9)))
    assert once.factor(4.0, "b", 100.0) == pytest.approx(1.0)


def test_each_builder_has_a_course_of_its_own_and_all_have_one_median() -> None:
    both = Course([*(ReferencePoint(float(s), "quick", Look(0.1, 8.0)) for s in range(5)),
                   *(ReferencePoint(float(s), "slow", Look(0.1, 12.0)) for s in range(5))])  # fmt: skip
    assert both.median.large_ms == 10.0
    assert both.factor(2.0, "quick", 100.0) == pytest.approx(0.8)
    assert both.factor(2.0, "slow", 100.0) == pytest.approx(1.2)
    assert both.factor(2.0, "another", 100.0) == both.factor(None, "slow", 100.0) == 1.0


def test_what_was_timed_in_turn_with_a_figure_says_more_than_any_look() -> None:
    looks = [ReferencePoint(float(s), "b", Look(0.1 * 1.5 ** (s % 2), 10.0 * 1.3 ** (s % 2))) for s in range(21)]
    beside = Course(looks, beside_ms=[0.12, 0.12, 0.18])
    assert beside.factor(3.0, "b", 0.01, 0.18) == pytest.approx(1.5)
    assert beside.factor(None, "", 0.01, 0.12) == pytest.approx(1.0)
    assert beside.factor(3.0, "b", 100.0, 0.18) == pytest.approx(1.3)  # the large one is slowed by less
    assert beside.continued([]).factor(None, "", 100.0, 0.18) == pytest.approx(1.3)
    assert beside.factor(3.0, "b", 100.0) == pytest.approx(1.3)  # by the looks


def test_nobody_looked() -> None:
    assert Course([]).factor(1.0, "b", 3.0) == 1.0
    assert not Course([]).moved(1.0, "b")


def test_the_two_networks_are_what_tables_have_been_joined_by() -> None:
    """A change here makes figures of older tables another thing."""
    small, large = reference_networks()
    works = [sum(key.work().multiply_adds + key.work().depthwise_multiply_adds for key in keys) for keys in
             (small, large)]  # fmt: skip
    assert (len(small), len(large)) == (8, 9)
    assert works == [2_118_656, 240_271_872]
    for keys, (spec, classes) in zip((small, large), REFERENCE_NETWORKS, strict=True):  # beside figures they are these
        assert graph_from_spec(spec, num_classes=classes) == network_graph(keys)
