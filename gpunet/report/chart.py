"""Charts as data: series of points, steps or bars, their axes, and the same figures as a table."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass

Row = tuple[str, ...]


@dataclass(frozen=True)
class Mark:
    """One figure of a series.

    Args:
        x, y: in the units of the axes; a bar's x is its left end, a step's line goes on level until the next x.
        tip: lines that say what it is.
        label: written beside it; '' for none.
        right: a bar's right end.
    """

    x: float
    y: float
    tip: tuple[str, ...] = ()
    label: str = ""
    right: float | None = None


@dataclass(frozen=True)
class Series:
    """Marks that look alike and are shown or hidden together.

    Args:
        name: as the legend has it.
        kind: 'points', 'line', 'steps' or 'bars'.
        marks: its figures.
        colour: '#rrggbb'.
        marker: see `drawing.Dot`; of points, and of those corners of a line that have a tip.
        radius: of the marker, px.
        faint: drawn behind, and lightly.
        dashed: of lines.
    """

    name: str
    kind: str
    marks: tuple[Mark, ...]
    colour: str
    marker: str = "circle"
    radius: float = 5
    faint: bool = False
    dashed: bool = False


@dataclass(frozen=True)
class Chart:
    """A chart, whatever draws it.

    Args:
        key: names its file and its place in the page.
        title, x_label, y_label: in words, with units.
        series: from the back to the front.
        caption: what to know when reading it.
        columns, rows: the same figures as a table; a column that ends in '>' is set flush right.
        x_range, y_range: of the axes; None for as far as the marks reach.
        rules: x of vertical lines.
        spans: (left, right, words) written above the plot between two x.
        width, height: px.
        empty: what is said where there are no marks.
        note: written below the chart, such as what lies beyond its axes.
    """

    key: str
    title: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    caption: str = ""
    columns: Row = ()
    rows: tuple[Row, ...] = ()
    x_range: tuple[float, float] | None = None
    y_range: tuple[float, float] | None = None
    rules: tuple[float, ...] = ()
    spans: tuple[tuple[float, float, str], ...] = ()
    width: float = 1060
    height: float = 470
    empty: str = ""
    note: str = ""

    @property
    def shown(self) -> tuple[Series, ...]:
        """The series that have marks."""
        return tuple(each for each in self.series if each.marks)


def padded(values: Iterable[float], *, share: float = 0.06, zero: bool = False) -> tuple[float, float]:
    """A range that holds all values with room around them; from 0 where `zero`."""
    found = list(values)
    low, high = (0.0 if zero else min(found)), max(found)
    room = share * (high - low) or share * abs(high) or 1.0
    return (low if zero else low - room), high + room


def reach_without_outliers(values: Iterable[float], kept: Iterable[float]) -> float:
    """Where an axis of these values may end: at the greatest that is no far outlier (Tukey's fence), nor one of `kept`.

    A few slow networks would press all others together at the left. Of fewer than eight values none is an outlier.
    """
    found = sorted(values)
    if len(found) < 8:
        return found[-1]
    low, _, high = statistics.quantiles(found, n=4)
    fence = max([high + 1.5 * (high - low), *kept])
    return max(value for value in found if value <= fence)


def ticks(low: float, high: float, about: int) -> tuple[list[float], int]:
    """Round numbers from low to high, `about` of them, and the decimals that tell them apart."""
    rough = (high - low) / max(1, about)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(each * power for each in (1, 2, 2.5, 5, 10) if each * power >= rough * (1 - 1e-9))
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    if round(step, decimals) != round(step, decimals + 1):
        decimals += 1
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [number * step for number in range(first, last + 1)], decimals


def tick_text(value: float, decimals: int) -> str:
    """12000000 -> '12 M', 0.25 -> '0.25'."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            return f"{value / (1e3 if unit == 'k' else size):g} {unit}"
    return f"{value + 0.0:.{decimals}f}"
