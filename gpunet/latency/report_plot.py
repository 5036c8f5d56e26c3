"""The picture of an error report: estimates against measurements, their relative errors (paper, Fig. 4), and how the
machine's speed went while the table was measured.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gpunet.core.pictures import checked_picture, picture
from gpunet.latency.reference import Course
from gpunet.latency.report import ErrorSummary
from gpunet.runtime.measurement import MOVED_PERCENT

# Colour-blind safe (Okabe and Ito), with a marker of its own for each.
_COLOURS = ("#d55e00", "#e69f00", "#0072b2", "#009e73", "#cc79a7")
_MARKERS = ("x", "^", "o", "D", "s")


def draw(
    path: str | Path,
    measured_ms: Sequence[float],
    summaries: Sequence[ErrorSummary],
    *,
    title: str,
    course: Course | None = None,
) -> None:
    """Draw the ways of estimating side by side into `path`, atomically.

    Args:
        path: .png, .svg or .pdf.
        measured_ms: networks measured whole.
        summaries: of the same networks.
        title: above the picture: machine, runtime, precision.
        course: of the table's reference, drawn below; None for a table that has none.

    Raises:
        MissingDependencyError: (an ImportError) matplotlib is not installed.
    """
    checked_picture(path)
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    looked = course is not None and bool(course.points)
    with picture(path, (11, 9 if looked else 6)) as figure:
        grid = figure.add_gridspec(2 if looked else 1, 2, height_ratios=(3, 1) if looked else None)
        left, right = figure.add_subplot(grid[0, 0]), figure.add_subplot(grid[0, 1])
        if course is not None and looked:
            _draw_course(figure.add_subplot(grid[1, :]), course)
        ends = [0.9 * min(measured_ms), 1.1 * max(measured_ms)]
        left.plot(ends, ends, color="#999999", linewidth=1, zorder=1, label="estimate = measurement")
        right.axhline(0, color="#999999", linewidth=1, zorder=1)
        for number, each in enumerate(summaries):
            style = {"color": _COLOURS[number % len(_COLOURS)], "marker": _MARKERS[number % len(_MARKERS)], "s": 22}
            label = f"{each.name}: MAPE {each.mape_percent:.1f} %, tau {each.kendall_tau:.3f}"
            left.scatter(measured_ms, each.estimates_ms, label=label, alpha=0.8, **style)
            errors = [100.0 * (x / y - 1.0) for x, y in zip(each.estimates_ms, measured_ms, strict=True)]
            right.scatter(
                measured_ms, errors, label=f"{each.name}: bias {each.bias_percent:+.1f} %", alpha=0.8, **style
            )
        for axes in (left, right):
            axes.set_xscale("log")
            axes.set_xlabel("whole network, measured, ms")
            axes.grid(alpha=0.25, which="both")
            axes.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.13))
        left.set_yscale("log")
        for axis in (left.xaxis, left.yaxis, right.xaxis):
            axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            axis.set_major_formatter(StrMethodFormatter("{x:g}"))
            axis.set_minor_formatter(NullFormatter())
        left.set_ylabel("whole network, estimated, ms")
        right.set_ylabel("error of the estimate, %")
        figure.suptitle(title, fontsize=10)


def _draw_course(axes: Any, course: Course) -> None:
    """Both networks of the reference over time, in percent above their medians; where they moved is shaded."""
    start_s = min(point.at_s for point in course.points)
    for name, colour in (("small", 2), ("large", 1)):
        median_ms = getattr(course.median, f"{name}_ms")
        label: str | None = f"the reference's {name} network, {median_ms:.3g} ms in the median"
        for own in course.by_builder.values():
            minutes = [(point.at_s - start_s) / 60.0 for point in own]
            percent = [100.0 * (getattr(point.look, f"{name}_ms") / median_ms - 1.0) for point in own]
            axes.plot(minutes, percent, color=_COLOURS[colour], linewidth=1, marker=".", markersize=3, label=label)
            label = None
    for own in course.by_builder.values():
        for before, after in itertools.pairwise(own):
            if before.look.moved_percent(after.look) > MOVED_PERCENT:
                ends = [(each.at_s - start_s) / 60.0 for each in (before, after)]
                axes.axvspan(*ends, color="#999999", alpha=0.25, linewidth=0)
    axes.set_xlabel(f"minutes; where it moved by more than {MOVED_PERCENT:g} % (grey), layers were measured again")
    axes.set_ylabel("slower by, %")
    axes.grid(alpha=0.25)
    axes.legend(fontsize=8, loc="upper right")
