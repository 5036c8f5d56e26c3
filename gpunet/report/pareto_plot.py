"""The picture of `gpunet pareto`: latency to the right, accuracy upwards, the frontier as steps."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpunet.core.files import require
from gpunet.core.frontier import Point, frontier
from gpunet.core.pictures import SUFFIXES, save_figure
from gpunet.errors import InvalidArgumentError

if TYPE_CHECKING:
    from gpunet.model.entry import Match

# Colour-blind safe (Okabe and Ito).
_GREEN, _BLUE, _GREY = "#009e73", "#0072b2", "#666666"
_STYLES: dict[str, dict[str, Any]] = {
    "released": {"marker": "*", "s": 150, "color": _GREEN, "zorder": 4},
    "own": {"marker": "D", "s": 45, "color": _BLUE, "zorder": 4},
    "baseline": {"marker": "o", "s": 30, "color": _GREY, "zorder": 3},
    "baseline, figures only": {"marker": "o", "s": 30, "facecolors": "white", "edgecolors": _GREY, "zorder": 3},
}
# Directions in which a label may stand from its point, the preferred first: the frontier's corners have room to their
# upper left, the other points to their right.
_RIGHT = ((1, 0), (0.7, 0.7), (0.7, -0.7), (0, 1), (0, -1), (-1, 0), (-0.7, 0.7), (-0.7, -0.7))
_UPPER_LEFT = ((-0.7, 0.7), (-1, 0), (0, 1), (0.7, 0.7), (0.7, -0.7), (1, 0))
_REACHES_PT = (7, 14, 24, 36)


def check(path: Path) -> None:
    """Refuse what `draw` could not do, before anything is measured.

    Raises:
        InvalidArgumentError: the name's ending is not a picture's.
        MissingDependencyError: matplotlib is not installed.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise InvalidArgumentError(
            f"--plot must end in {', '.join(SUFFIXES)}, but got {str(path)!r}.", "Try --plot pareto.png."
        )
    require("matplotlib", "plots", purpose="to draw a picture")


def draw(path: Path, matches: Sequence[Match], points: Sequence[Point], *, title: str) -> None:
    """Draw the points (one for each match) and their frontier into `path`, atomically.

    Raises:
        InvalidArgumentError: the file cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 6.5), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    best = frontier(points)
    right = max(point.latency_ms for point in points) * 1.08
    steps = [*best, Point("", right, best[-1].top1_percent)]
    axes.step([p.latency_ms for p in steps], [p.top1_percent for p in steps], where="post",
              color=_GREEN, linewidth=1, alpha=0.6, label="frontier", zorder=1)  # fmt: skip
    groups = [_group(match) for match in matches]
    for group, style in _STYLES.items():
        own = [point for point, its in zip(points, groups, strict=True) if its == group]
        if own:
            axes.scatter([p.latency_ms for p in own], [p.top1_percent for p in own], label=group, **style)
    axes.set_xlim(0, right)
    axes.margins(y=0.08)
    axes.set_xlabel("latency in ms (where several records apply, the slowest)")
    axes.set_ylabel("ImageNet top-1 accuracy in %")
    axes.set_title(title)
    axes.grid(alpha=0.25)
    axes.legend(loc="lower right")
    _label(figure, axes, matches, points, steps)
    save_figure(figure, path)


def _group(match: Match) -> str:
    if match.entry.role == "released":
        return "released"
    if match.entry.role == "own":
        return "own"
    return "baseline" if match.entry.buildable else "baseline, figures only"


def _label(figure: Any, axes: Any, matches: Sequence[Match], points: Sequence[Point], best: Sequence[Point]) -> None:
    """Put each name where it hides the fewest names, points and frontier steps; the frontier's points choose first."""
    figure.canvas.draw()
    pixels = axes.transData.transform
    spots = [pixels((p.latency_ms, p.top1_percent)) for p in points]
    # Both ends and the corner of each step, and points between them, are not to be written over.
    steps = [
        pixels((a.latency_ms + (b.latency_ms - a.latency_ms) * part, a.top1_percent))
        for a, b in itertools.pairwise(best)
        for part in (0.1, 0.25, 0.5, 0.75, 1.0)
    ]
    steps += [
        pixels((b.latency_ms, a.top1_percent + (b.top1_percent - a.top1_percent) * part))
        for a, b in itertools.pairwise(best)
        for part in (0.25, 0.5, 0.75)
    ]
    taken = [axes.get_legend().get_window_extent()]
    inside = axes.get_window_extent()
    for index in sorted(range(len(points)), key=lambda i: (points[i] not in best, points[i].latency_ms)):
        point = points[index]
        chosen = point in best
        at = (point.latency_ms, point.top1_percent)
        text = axes.annotate(
            matches[index].entry.title or point.name,
            at,
            xytext=(0, 0),
            textcoords="offset points",
            fontsize=8 if chosen else 7,
            fontweight="bold" if chosen else "normal",
            zorder=5,
        )
        size = text.get_window_extent()
        costs = []
        places = [(dx * r, dy * r) for r in _REACHES_PT for dx, dy in (_UPPER_LEFT if chosen else _RIGHT)]
        for number, place in enumerate(places):
            box = _box(spots[index], place, size, figure.dpi / 72)
            near, wide = box.padded(1), box.padded(12)
            hidden = sum(wide.contains(*other) for n, other in enumerate(spots) if n != index)
            hidden += sum(near.contains(*step) for step in steps) + sum(near.overlaps(other) for other in taken)
            outside = not (inside.contains(box.x0, box.y0) and inside.contains(box.x1, box.y1))
            costs.append((hidden + outside, number))
        place = places[min(costs)[1]]
        _move(text, place)
        if math.hypot(*place) > 1.5 * _REACHES_PT[0]:
            line = {"arrowstyle": "-", "color": _GREY, "linewidth": 0.5, "shrinkA": 0, "shrinkB": 3}
            axes.annotate("", at, xytext=place, textcoords="offset points", arrowprops=line, zorder=2)
        taken.append(_box(spots[index], place, size, figure.dpi / 72))


def _box(spot: tuple[float, float], offset_pt: tuple[float, float], size: Any, px_per_pt: float) -> Any:
    """Where a text of this size lies, in pixels, once `_move` has put it there; asking matplotlib each time is slow."""
    from matplotlib.transforms import Bbox

    left, bottom = (
        at + offset * px_per_pt - (0 if offset > 0 else length if offset < 0 else length / 2)
        for at, offset, length in zip(spot, offset_pt, (size.width, size.height), strict=True)
    )
    return Bbox.from_bounds(left, bottom, size.width, size.height)


def _move(text: Any, offset_pt: tuple[float, float]) -> None:
    dx, dy = offset_pt
    text.set_position(offset_pt)
    text.set_horizontalalignment("left" if dx > 0 else "right" if dx < 0 else "center")
    text.set_verticalalignment("bottom" if dy > 0 else "top" if dy < 0 else "center")
