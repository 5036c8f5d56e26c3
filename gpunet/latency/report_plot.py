"""The picture of an error report: estimates against measurements, and their relative errors (paper, Fig. 4)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gpunet.core.pictures import checked_picture, picture
from gpunet.latency.report import ErrorSummary

# Colour-blind safe (Okabe and Ito), with a marker of its own for each.
_COLOURS = ("#d55e00", "#e69f00", "#0072b2", "#009e73", "#cc79a7")
_MARKERS = ("x", "^", "o", "D", "s")


def draw(path: str | Path, measured_ms: Sequence[float], summaries: Sequence[ErrorSummary], *, title: str) -> None:
    """Draw the ways of estimating side by side into `path`, atomically.

    Args:
        path: .png, .svg or .pdf.
        measured_ms: networks measured whole.
        summaries: of the same networks.
        title: above the picture: machine, runtime, precision.

    Raises:
        MissingDependencyError: (an ImportError) matplotlib is not installed.
    """
    checked_picture(path)
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    with picture(path, (11, 6)) as figure:
        left, right = figure.subplots(1, 2)
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
