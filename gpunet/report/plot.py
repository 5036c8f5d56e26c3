"""A chart as a drawing: axes, grid, marks, and labels where they hide least."""

from __future__ import annotations

import dataclasses
import itertools
import math
import textwrap
from dataclasses import dataclass

from gpunet.report.chart import Chart, Mark, Series, tick_text, ticks
from gpunet.report.drawing import GRID, INK, MUTED, Block, Dot, Drawing, Line, Shape, Words, fitted, text_width

_LEFT, _RIGHT, _TOP, _BOTTOM = 66, 18, 14, 48
_SPANS = 18  # px above the plot for the words of spans
_TITLE, _LEGEND, _NOTE = 34, 22, 20
_LABEL = 12
# Where a label may stand from its point, the preferred first.
_PLACES = ((-0.7, -0.7), (0.7, 0.7), (1, 0), (-1, 0), (0, -1), (0, 1), (0.7, -0.7), (-0.7, 0.7),
           (-0.4, -0.9), (-0.9, -0.4), (0.4, 0.9), (0.9, 0.4))  # fmt: skip
_REACHES = (9, 17, 28, 42, 60, 80)
_HIDES = 20.0  # the cost of what a label may not do
_Rectangle = tuple[float, float, float, float]  # left, top, right, bottom


@dataclass(frozen=True)
class _Frame:
    """The plot's place in px, and the ranges of its axes."""

    left: float
    top: float
    right: float
    bottom: float
    x_range: tuple[float, float]
    y_range: tuple[float, float]

    def x(self, value: float) -> float:
        low, high = self.x_range
        return self.left + (value - low) / (high - low) * (self.right - self.left)

    def y(self, value: float) -> float:
        low, high = self.y_range
        return self.bottom - (value - low) / (high - low) * (self.bottom - self.top)

    def holds(self, mark: Mark) -> bool:
        inside = self.y_range[0] <= mark.y <= self.y_range[1]
        return inside and self.x_range[0] <= mark.x <= self.x_range[1]


def series_key(number: int) -> str:
    """What marks the shapes of a chart's series `number` (of those shown)."""
    return f"s{number}"


def draw_chart(chart: Chart, *, alone: bool = False) -> Drawing:
    """A chart with at least one mark as a drawing.

    Args:
        chart: to draw.
        alone: with title and legend in the picture, which the page has beside it.
    """
    shapes: list[Shape] = []
    head = 0.0
    if alone:
        shapes.append(Words(14, 24, fitted(chart.title, 16, chart.width - 28, bold=True), 16, bold=True))
        legend, rows = _legend(chart)
        shapes += legend
        head = _TITLE + rows * _LEGEND
    shown = chart.shown
    marks = [mark for series in shown for mark in series.marks]
    x_range = chart.x_range or _reach([mark.x for mark in marks] + [m.right for m in marks if m.right is not None])
    y_range = chart.y_range or _reach([mark.y for mark in marks])
    top = head + _TOP + (_SPANS if chart.spans else 0)
    frame = _Frame(_LEFT, top, chart.width - _RIGHT, head + chart.height - _BOTTOM, x_range, y_range)
    shapes += _axes(chart, frame)
    labelled: list[tuple[Mark, Series, str]] = []
    spots: list[tuple[float, float]] = []
    walls: list[tuple[float, float]] = []
    for number, series in enumerate(shown):
        key = series_key(number)
        shapes += _series(series, key, frame)
        if series.kind in ("line", "steps"):
            walls += _along([shape for shape in shapes if isinstance(shape, Line) and shape.mark][-1])
        if series.kind in ("points", "line"):
            inside = [mark for mark in series.marks if frame.holds(mark) and (mark.tip or series.kind == "points")]
            labelled += [(mark, series, key) for mark in inside if mark.label]
            spots += [(frame.x(mark.x), frame.y(mark.y)) for mark in inside if not series.faint]
    shapes += _labels(labelled, spots, walls, frame, every=alone)
    base = head + chart.height
    for line in textwrap.wrap(chart.note, int((chart.width - 28) / text_width("n", _LABEL))):
        base += _NOTE
        shapes.append(Words(14, base - 8, line, _LABEL, colour=MUTED))
    return Drawing(chart.key, chart.title, chart.width, base, tuple(shapes))


def _reach(values: list[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    return (low, high) if low < high else (low - 0.5, high + 0.5)


def swatch(series: Series, x: float, y: float, key: str = "") -> list[Shape]:
    """The sign of a series in a legend, 18 px wide from x, its middle at y."""
    if series.kind == "bars":
        return [Block(x + 2, y - 5, 14, 10, series.colour, opacity=0.75, series=key)]
    if series.kind in ("line", "steps"):
        return [Line(((x, y), (x + 18, y)), series.colour, 2, (5, 4) if series.dashed else (), key)]
    return [Dot(x + 9, y, series.marker, min(5.5, series.radius + 1), series.colour, series=key)]


def _legend(chart: Chart) -> tuple[list[Shape], int]:
    shapes: list[Shape] = []
    x, row = 16.0, 0
    for series in chart.shown:
        name = fitted(series.name, 12, chart.width - 60)
        wide = 24 + text_width(name, 12) + 18
        if x + wide > chart.width and x > 16:
            x, row = 16.0, row + 1
        y = _TITLE + row * _LEGEND + 12
        shapes += [*swatch(series, x, y), Words(x + 24, y + 4, name, 12)]
        x += wide
    return shapes, row + 1


def _axes(chart: Chart, frame: _Frame) -> list[Shape]:
    shapes: list[Shape] = []
    values, decimals = ticks(*frame.x_range, about=int((frame.right - frame.left) / 90))
    for value in values:
        x = frame.x(value)
        shapes.append(Line(((x, frame.top), (x, frame.bottom)), GRID, 1))
        shapes.append(Words(x, frame.bottom + 17, tick_text(value, decimals), 12, "middle", MUTED))
    values, decimals = ticks(*frame.y_range, about=int((frame.bottom - frame.top) / 48))
    for value in values:
        y = frame.y(value)
        shapes.append(Line(((frame.left, y), (frame.right, y)), GRID, 1))
        shapes.append(Words(frame.left - 8, y + 4, tick_text(value, decimals), 12, "end", MUTED))
    for value in chart.rules:
        if frame.x_range[0] <= value <= frame.x_range[1]:
            x = frame.x(value)
            shapes.append(Line(((x, frame.top - 6), (x, frame.bottom)), MUTED, 1, (3, 3)))
    for left, right, words in chart.spans:
        low, high = (frame.x(min(max(each, frame.x_range[0]), frame.x_range[1])) for each in (left, right))
        if high - low >= text_width(words, 12):
            shapes.append(Words((low + high) / 2, frame.top - 8, words, 12, "middle", INK))
    corner = ((frame.left, frame.top), (frame.left, frame.bottom), (frame.right, frame.bottom))
    shapes.append(Line(corner, MUTED, 1))
    x_label = fitted(chart.x_label, 12.5, frame.right - frame.left)
    shapes.append(Words((frame.left + frame.right) / 2, frame.bottom + 38, x_label, 12.5, "middle", INK))
    shapes.append(Words(18, (frame.top + frame.bottom) / 2, chart.y_label, 12.5, "middle", INK, turned=True))
    return shapes


def _series(series: Series, key: str, frame: _Frame) -> list[Shape]:
    shapes: list[Shape] = []
    if series.kind == "bars":
        for mark in series.marks:
            left, right, top = (
                frame.x(mark.x),
                frame.x(mark.right if mark.right is not None else mark.x),
                frame.y(mark.y),
            )
            wide = max(1.0, right - left - 1)
            shapes.append(Block(left, top, wide, frame.bottom - top, series.colour, "", 0.75, key, mark.tip, True))
        return shapes
    if series.kind in ("line", "steps"):
        corners = [(mark.x, mark.y) for mark in series.marks]
        if series.kind == "steps":
            level = [((a[0], a[1]), (b[0], a[1])) for a, b in itertools.pairwise(corners)]
            corners = [each for pair in level for each in pair] + corners[-1:]
        points = tuple((frame.x(x), frame.y(y)) for x, y in corners)
        shapes.append(Line(points, series.colour, 2, (6, 4) if series.dashed else (), key, True))
    for mark in series.marks:
        if frame.holds(mark) and (series.kind == "points" or mark.tip):
            opacity = 0.4 if series.faint else 1.0
            x, y = frame.x(mark.x), frame.y(mark.y)
            shapes.append(Dot(x, y, series.marker, series.radius, series.colour, opacity, key, mark.tip, True))
    return shapes


def _labels(
    labelled: list[tuple[Mark, Series, str]],
    spots: list[tuple[float, float]],
    walls: list[tuple[float, float]],
    frame: _Frame,
    *,
    every: bool,
) -> list[Shape]:
    """Names beside their points, off other points (`spots`) and lines (`walls`); the last series choose first.

    One that would hide another name or point is left to the tips and the table, unless `every` one is wanted.
    """
    shapes: list[Shape] = []
    taken: list[_Rectangle] = []
    for mark, series, key in reversed(labelled):
        own = frame.x(mark.x), frame.y(mark.y)
        wide = text_width(mark.label, _LABEL, bold=True)
        others = [spot for spot in spots if spot != own]
        best: tuple[float, int, _Rectangle] | None = None
        for number, (reach, place) in enumerate(itertools.product(_REACHES, _PLACES)):
            box = _beside(own, place, reach, wide)
            inside = frame.left <= box[0] and box[2] <= frame.right and frame.top <= box[1] and box[3] <= frame.bottom
            hidden = any(_overlap(box, other) for other in taken)
            away = _distance(own, box)
            covered = any(_distance(spot, box) < 5 for spot in others)
            mistaken = any(_distance(spot, box) < away for spot in others)
            crossed = any(_distance(wall, box) < 1 for wall in walls)
            led = _along(_leader(own, box)) if reach > _REACHES[1] else []
            astray = any(math.dist(spot, each) < 8 for spot in others for each in led)
            cost = _HIDES * (not inside or hidden or covered) + 3 * astray + 1.5 * mistaken + 1.5 * crossed
            cost += 0.04 * number
            if best is None or cost < best[0]:
                best = (cost, reach, box)
        if best is None or (best[0] >= _HIDES and not every):
            continue
        _, reach, box = best
        taken.append(box)
        if reach > _REACHES[1]:
            shapes.append(dataclasses.replace(_leader(own, box), colour=series.colour, series=key))
        middle, base = (box[0] + box[2]) / 2, box[3] - 4
        shapes.append(Words(middle, base, mark.label, _LABEL, "middle", series.colour, True, series=key))
    return shapes


def _beside(own: tuple[float, float], place: tuple[float, float], reach: int, wide: float) -> _Rectangle:
    """The place of a label of this width, `reach` px from its point in a direction."""
    (x, y), (dx, dy) = own, place
    middle = x + dx * reach + (dx > 0) * wide / 2 - (dx < 0) * wide / 2
    base = y + dy * reach + 4 + (dy > 0) * 4 - (dy < 0) * 2
    return middle - wide / 2 - 2, base - 11, middle + wide / 2 + 2, base + 4


def _distance(spot: tuple[float, float], box: _Rectangle) -> float:
    """From a point to a rectangle, px; 0 inside."""
    return math.hypot(max(box[0] - spot[0], 0, spot[0] - box[2]), max(box[1] - spot[1], 0, spot[1] - box[3]))


def _leader(own: tuple[float, float], box: _Rectangle) -> Line:
    """From a point to its label's nearest edge."""
    return Line((own, (min(max(own[0], box[0]), box[2]), min(max(own[1], box[1]), box[3]))), MUTED, 0.8)


def _along(line: Line) -> list[tuple[float, float]]:
    """Points of a line, 8 px apart."""
    found = []
    for (x0, y0), (x1, y1) in itertools.pairwise(line.points):
        count = max(1, int(max(abs(x1 - x0), abs(y1 - y0)) / 8))
        found += [(x0 + (x1 - x0) * k / count, y0 + (y1 - y0) * k / count) for k in range(count + 1)]
    return found


def _overlap(one: _Rectangle, other: _Rectangle) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
