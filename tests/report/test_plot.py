from __future__ import annotations

import pytest
from helpers.report_example import example_report, small_report

from gpunet.report.chart import Chart, Mark, Series
from gpunet.report.charts import all_charts
from gpunet.report.drawing import Block, Dot, Drawing, Line, Words, fitted, text_width
from gpunet.report.plot import draw_chart, series_key
from gpunet.report.references import published

CHARTS = [chart for chart in all_charts(example_report(), published(example_report())) if chart.shown]


def _corners(drawing: Drawing) -> list[tuple[float, float]]:
    found: list[tuple[float, float]] = []
    for shape in drawing.shapes:
        if isinstance(shape, Line):
            found += shape.points
        elif isinstance(shape, Block):
            found += [(shape.x, shape.y), (shape.x + shape.width, shape.y + shape.height)]
        else:
            found.append((shape.x, shape.y))
    return found


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: chart.key)
def test_every_mark_of_a_chart_is_drawn_within_the_picture(chart: Chart, alone: bool):
    drawing = draw_chart(chart, alone=alone)
    for number, series in enumerate(chart.shown):
        own = [each for each in drawing.marks if each.series == series_key(number)]
        corners = [mark for mark in series.marks if mark.tip]
        within = [mark for mark in series.marks if chart.x_range is None or mark.x <= chart.x_range[1]]
        assert len(own) == {"points": len(within), "bars": len(series.marks)}.get(series.kind, 1 + len(corners))
    assert all(0 <= x <= drawing.width and 0 <= y <= drawing.height for x, y in _corners(drawing))
    said = {shape.text for shape in drawing.shapes if isinstance(shape, Words)}
    assert {chart.x_label, chart.y_label} <= said
    assert ({chart.title, *(each.name for each in chart.shown)} <= said) == alone


def test_greater_is_to_the_right_and_upwards():
    series = Series("s", "points", (Mark(1, 1), Mark(2, 3)), "#000000")
    low, high = (shape for shape in draw_chart(Chart("c", "c", "x", "y", (series,))).marks if isinstance(shape, Dot))
    assert low.x < high.x
    assert low.y > high.y


def test_a_step_stays_level_until_the_next():
    series = Series("s", "steps", (Mark(0, 1), Mark(1, 2)), "#000000")
    (line,) = draw_chart(Chart("c", "c", "x", "y", (series,))).marks
    assert isinstance(line, Line)
    first, corner, last = line.points
    assert (first[1], corner[0]) == (corner[1], last[0])
    assert last[1] < corner[1]


def test_names_stand_clear_of_each_other_of_points_and_of_lines():
    marks = tuple(Mark(1 + index / 30, 80 + index % 2, ("tip",), f"network {index}") for index in range(5))
    chart = Chart("c", "c", "x", "y", (Series("s", "points", marks, "#000000"),), x_range=(0, 2), y_range=(70, 90))
    drawing = draw_chart(chart)
    names = [shape for shape in drawing.shapes if isinstance(shape, Words) and shape.series]
    assert len(names) == 5
    half = text_width(names[0].text, names[0].size, bold=True) / 2
    boxes = [(name.x - half, name.y - 10, name.x + half, name.y) for name in names]
    for index, (left, top, right, bottom) in enumerate(boxes):
        for other in boxes[index + 1 :]:
            assert right <= other[0] or other[2] <= left or bottom <= other[1] or other[3] <= top
        assert not any(left < dot.x < right and top < dot.y < bottom for dot in drawing.marks if isinstance(dot, Dot))


def test_texts_that_are_too_long_are_cut_to_fit():
    series = Series("series " * 40, "points", (Mark(1, 1),), "#000000")
    drawing = draw_chart(Chart("c", "title " * 40, "label " * 40, "y", (series,), width=520), alone=True)
    long = [shape for shape in drawing.shapes if isinstance(shape, Words) and len(shape.text) > 30]
    assert [words.text[:5] for words in long] == ["title", "serie", "label"]
    for words in long:
        assert words.text.endswith("...")
        assert text_width(words.text, words.size, bold=words.bold) < 520
    assert fitted("short", 12, 100) == "short"


def test_a_single_point_and_a_single_bar_have_axes():
    for chart in all_charts(small_report(), ()):
        if chart.shown:
            assert draw_chart(chart).marks
    point = Series("s", "points", (Mark(1, 1),), "#000000")
    assert len(draw_chart(Chart("c", "c", "x", "y", (point,))).marks) == 1
