from __future__ import annotations

import dataclasses

import pytest
from helpers.report_example import example_report, small_network, small_report

from gpunet.core.frontier import Point
from gpunet.report.chart import Chart, padded, reach_without_outliers, tick_text, ticks
from gpunet.report.charts import all_charts, estimate_chart, progress_chart, sample_chart
from gpunet.report.data import Sample, TierReport, TrialPoint, WholePoint
from gpunet.report.drawing import Words
from gpunet.report.pareto import front_chart, pareto_chart
from gpunet.report.plot import draw_chart
from gpunet.report.references import Reference, published
from gpunet.zoo.choice.conditions import Query
from gpunet.zoo.query import candidates

REPORT = example_report()


def _series(chart: Chart) -> dict[str, list[tuple[float, float]]]:
    return {each.name: [(mark.x, mark.y) for mark in each.marks] for each in chart.shown}


def test_pareto_has_winners_trials_and_published_figures_apart():
    chart = pareto_chart(REPORT, published(REPORT))
    series = _series(chart)
    winner = REPORT.networks[0]
    assert series["winners, fast"] == [(winner.measured_ms, winner.top1_percent)]
    assert len(series["released GPUNets, published"]) == 7
    assert len(series["published baselines"]) == 25
    complete = [trial for tier in REPORT.tiers for trial in tier.complete]
    measured = [(t.measured_ms, t.top1_percent) for t in complete if t.measured_ms is not None]
    assert sorted(series["trials, at measured latency"]) == sorted(measured)
    assert len(series["trials, at estimated latency"]) == len(complete) - len(measured)
    assert all("estimated" in mark.tip[1] for mark in chart.series[0].marks)
    assert len(chart.rows) == 3 + len(complete) + 32


def test_the_front_is_of_measured_winners_only():
    first = dataclasses.replace(small_network("a"), measured_ms=1.0, top1_percent=80.0)
    beaten = dataclasses.replace(small_network("b"), measured_ms=2.0, top1_percent=79.0)
    best = dataclasses.replace(small_network("c"), measured_ms=3.0, top1_percent=81.0)
    nowhere = dataclasses.replace(small_network("d"), measured_ms=None, top1_percent=99.0)
    chart = pareto_chart(small_report(networks=(first, beaten, best, nowhere)))
    front = _series(chart)["front of the winners"]
    assert front[:2] == [(1.0, 80.0), (3.0, 81.0)]
    assert front[2][0] > 3.0
    assert front[2][1] == 81.0
    assert "Not measured, and so not shown: d." in chart.caption
    assert "Published" not in chart.caption


def test_one_diverged_trial_does_not_press_the_picture_together_but_stays_in_the_table():
    points = tuple(TrialPoint(n, "complete", 1.5, 70.0 + n / 10) for n in range(12))
    tier = TierReport("only", 1, 2, Sample(0), (*points, TrialPoint(12, "complete", 1.5, 0.1)))
    chart = pareto_chart(small_report(tiers=(tier,)))
    assert chart.y_range is not None
    assert 0.1 < chart.y_range[0] < 70
    assert any(row[4] == "0.10" for row in chart.rows)
    assert "1 trial scored less than is shown" in chart.caption


def test_a_samples_bars_have_the_area_of_its_points():
    report = small_report(tiers=(
        TierReport("only", 1, 2, Sample(1000, (1.0, 1.25, 2.0), (30, 70))), TierReport("none", 2, None, Sample(0)),
    ))  # fmt: skip
    chart = sample_chart(report)
    (series,) = chart.shown
    assert series.name == "only: 1,000 points"
    areas = [mark.y * ((mark.right or 0) - mark.x) for mark in series.marks]
    assert areas == pytest.approx([300, 700])
    assert chart.rules == (1, 2)
    assert "a part of the points" in chart.caption
    assert [row[2] for row in chart.rows] == ["30", "70"]


def test_an_estimate_is_held_against_the_least_repeat():
    points = (TrialPoint(0, "complete", 1.0, 60.0, 1.1, 1.02), TrialPoint(1, "complete", 1.0, 61.0, 1.1))
    chart = estimate_chart(small_report(tiers=(TierReport("only", 1, 2, Sample(0), points),)))
    assert [row[-1] for row in chart.rows if row[0].startswith("trial")] == ["-9.1", "-2.0"]


def test_progress_is_the_best_so_far_and_ends_with_its_trials():
    points = (
        TrialPoint(0, "complete", 1, 60.0), TrialPoint(1, "pruned", 1, 99.0), TrialPoint(2, "complete", 1, 50.0),
        TrialPoint(3, "complete", 1, 61.0), TrialPoint(4, "complete", 1, 61.0), TrialPoint(5, "fail", 1, None),
        TrialPoint(6, "running", 1, None),
    )  # fmt: skip
    chart = progress_chart(TierReport("only", 1, 2, Sample(0), points, (58.0, 59.0)), "#000000")
    series = _series(chart)
    assert series["search, best so far"] == [(1, 60.0), (4, 61.0), (6, 61.0)]
    assert series["random search, best so far"] == [(1, 58.0), (2, 59.0)]
    assert chart.caption == "4 of 7 trials complete, 1 failed, 1 pruned, 1 running; random search: 2 trials."
    assert chart.rows[1] == ("2", "-", "60.00", "59.00")
    assert chart.rows[3] == ("4", "61.00", "61.00", "-")
    assert len(chart.rows) == 6


def test_trials_that_end_without_a_score_count_before_the_first_that_has_one():
    points = (TrialPoint(0, "fail", 1, None), TrialPoint(1, "pruned", 1, 30.0), TrialPoint(2, "complete", 1, 50.0))
    chart = progress_chart(TierReport("only", 1, 2, Sample(0), points), "#000000")
    assert _series(chart)["search, best so far"] == [(3, 50.0)]
    assert chart.rows[0] == ("1", "-", "-", "-")
    assert chart.x_range is not None
    assert chart.x_range[1] > 3


def test_without_random_trials_their_line_is_left_out():
    chart = progress_chart(small_report().tiers[0], "#000000")
    assert list(_series(chart)) == ["search, best so far"]
    assert "random search: not known" in chart.caption


def test_estimates_stand_on_the_diagonal_where_they_are_right():
    right = dataclasses.replace(small_network("right"), measured_ms=1.4)
    wrong = dataclasses.replace(small_network("wrong"), measured_ms=2.0)
    chart = estimate_chart(small_report(networks=(right, wrong)))
    series = _series(chart)
    assert series["winners, only"] == [(1.4, 1.4), (2.0, 1.4)]
    assert [x == y for x, y in series["estimate = measurement"]] == [True, True]
    assert [mark.label for mark in chart.shown[-1].marks] == ["right +0.0 %", "wrong -30.0 %"]
    assert {row[0]: row[3] for row in chart.rows} == {"right": "+0.0", "wrong": "-30.0"}
    assert "mean relative error 15.0 %, bias -15.0 %, worst 30.0 %" in chart.caption
    assert chart.x_range == chart.y_range


def test_networks_of_the_latency_table_stand_among_the_estimates():
    chart = estimate_chart(small_report(networks=(), whole=(WholePoint(9, 1.1, 1.0), WholePoint(7, 1.9, 2.0))))
    assert _series(chart)["the table's networks"] == [(1.0, 1.1), (2.0, 1.9)]
    assert chart.rows[-1] == ("network 0 of the table (9 layers)", "1", "1.1", "+10.0")


def test_empty_reports_have_charts_that_say_so():
    charts = all_charts(small_report((), ()), ())
    assert [chart.key for chart in charts] == ["pareto", "samples", "estimates"]
    for chart in charts:
        assert chart.shown == ()
        assert chart.empty


def test_published_figures_alone_are_a_chart():
    reference = Reference("net", "released", 1.0, 80.0, "somewhere")
    chart = pareto_chart(small_report((), ()), (reference,))
    assert set(_series(chart)) == {"released GPUNets, published", "front of what was published"}


@pytest.mark.parametrize(
    ("low", "high", "about", "expected", "decimals"),
    [
        (0.0, 1.0, 5, [0, 0.2, 0.4, 0.6, 0.8, 1.0], 1),
        (0.0, 1.0, 4, [0, 0.25, 0.5, 0.75, 1.0], 2),
        (61.2, 85.9, 5, [65, 70, 75, 80, 85], 0),
        (-2.0, 3e6, 4, [0, 1e6, 2e6, 3e6], 0),
        (1.0, 1.0004, 2, [1.0, 1.0002, 1.0004], 4),
    ],
)
def test_ticks_are_round(low: float, high: float, about: int, expected: list[float], decimals: int):
    found = ticks(low, high, about)
    assert found[0] == pytest.approx(expected)
    assert found[1] == decimals


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [
        (0.25, 2, "0.25"),
        (-0.0, 0, "0"),
        (12e6, 0, "12 M"),
        (5e4, 0, "50 k"),
        (9_000, 0, "9000"),
        (2.5e9, 0, "2.5 G"),
    ],
)
def test_ticks_are_short(value: float, decimals: int, text: str):
    assert tick_text(value, decimals) == text


@pytest.mark.parametrize("values", [[3.0], [0.0], [1.0, 2.0]])
def test_a_padded_range_is_never_empty(values: list[float]):
    low, high = padded(values)
    assert low < min(values) <= max(values) < high
    assert padded(values, zero=True)[0] == 0


def test_a_far_outlier_is_said_and_does_not_press_the_picture_together():
    chart = pareto_chart(REPORT, published(REPORT))
    assert chart.x_range is not None
    assert 2.4 < chart.x_range[1] < 3
    assert "Slower than is shown here: RegNet-X 16GF, RegNet-X 32GF; the table has them." in chart.caption
    assert "RegNet-X 32GF" in {row[0] for row in chart.rows}
    assert all(mark.x <= chart.x_range[1] for each in chart.series if each.kind == "steps" for mark in each.marks)


@pytest.mark.parametrize(
    ("values", "kept", "right"),
    [
        ([1.0, 2.0, 100.0], [], 100.0), ([*map(float, range(1, 10)), 100.0], [], 9.0),
        ([*map(float, range(1, 10)), 100.0], [50.0], 9.0), ([*map(float, range(1, 10)), 100.0], [100.0], 100.0),
        ([3.0] * 9, [], 3.0),
    ],
)  # fmt: skip
def test_where_an_axis_may_end(values: list[float], kept: list[float], right: float):
    assert reach_without_outliers(values, kept) == right


def test_the_front_of_a_query_names_what_lies_beyond_its_axis():
    matches = candidates(Query(device="gv100", include_baselines=True), figures_only=True)
    chart = front_chart(matches, title="GV100", dataset="ImageNet-1k validation")
    assert chart.note == "Beyond the axis: RegNet-X 16GF, 3.9 ms, 80 %; RegNet-X 32GF, 5.7 ms, 80.5 %."
    assert chart.y_label == "top-1 accuracy in %, ImageNet-1k validation"
    assert [each.name for each in chart.series][:2] == ["frontier without distillation", "frontier"]
    drawing = draw_chart(chart, alone=True)
    assert chart.note in {shape.text for shape in drawing.shapes if isinstance(shape, Words)}
    assert drawing.height > draw_chart(dataclasses.replace(chart, note=""), alone=True).height


def test_a_curve_beside_a_front_leaves_the_picture_where_its_axis_ends():
    matches = candidates(Query(device="gv100", include_baselines=True), figures_only=True)
    curve = [Point("one", 2.0, 84.0), Point("two", 4.0, 85.0), Point("three", 9.0, 86.0)]
    chart = front_chart(matches, title="GV100", dataset="ImageNet-1k validation", curve=curve, curve_name="others")
    (line,) = [series for series in chart.series if series.name == "others"]
    assert chart.x_range is not None
    right = chart.x_range[1]
    assert [(mark.x, mark.y, mark.label) for mark in line.marks] == [
        (2.0, 84.0, "one"), (right, pytest.approx(84.0 + (right - 2.0) / 2), ""),
    ]  # fmt: skip
    assert "two, 4 ms, 85 %" in chart.note
    words = {shape.text for shape in draw_chart(chart, alone=True).shapes if isinstance(shape, Words)}
    assert "one" in words
    assert not {"two", "three"} & words
