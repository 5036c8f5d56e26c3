"""Drawings as files, by matplotlib: the page's pictures, with title and legend in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gpunet.core.pictures import picture
from gpunet.core.text import printable
from gpunet.report.drawing import Block, Dot, Drawing, Line, Shape, Words
from gpunet.report.svg import corners

_PX_PER_INCH = 96
_PT_PER_PX = 72 / _PX_PER_INCH
_ANCHORS = {"start": "left", "middle": "center", "end": "right"}


def save_picture(drawing: Drawing, path: Path, *, scale: float = 1.5) -> None:
    """Write a drawing as a picture, atomically.

    Args:
        drawing: what to draw.
        path: ends in .png, .svg or .pdf.
        scale: pixels of a PNG for each px of the drawing.

    Raises:
        MissingDependencyError: (an ImportError) matplotlib is not installed.
        InvalidArgumentError: (a ValueError) the file cannot be written.
    """
    size = (drawing.width / _PX_PER_INCH, drawing.height / _PX_PER_INCH)
    with picture(path, size, fills=True, dpi=scale * _PX_PER_INCH) as figure:
        axes = figure.add_axes((0, 0, 1, 1), xlim=(0, drawing.width), ylim=(drawing.height, 0))
        axes.set_axis_off()
        for order, shape in enumerate(drawing.shapes, start=1):
            _draw(axes, shape, order)


def _draw(axes: Any, shape: Shape, order: int) -> None:
    from matplotlib.patches import Circle, Polygon, Rectangle

    if isinstance(shape, Words):
        axes.text(
            shape.x, shape.y, printable(shape.text), fontsize=shape.size * _PT_PER_PX * 0.94, color=shape.colour,
            ha="center" if shape.turned else _ANCHORS[shape.anchor], va="center" if shape.turned else "baseline",
            rotation=90 if shape.turned else 0, fontweight="bold" if shape.bold else "normal", zorder=order,
            parse_math=False,
        )  # fmt: skip
    elif isinstance(shape, Line):
        dashes: Any = (
            (0, tuple(each * _PT_PER_PX / (shape.width * _PT_PER_PX) for each in shape.dash)) if shape.dash else "-"
        )
        axes.plot(
            [x for x, _ in shape.points], [y for _, y in shape.points], color=shape.colour,
            linewidth=shape.width * _PT_PER_PX, linestyle=dashes, zorder=order, solid_capstyle="butt",
        )  # fmt: skip
    elif isinstance(shape, Block):
        axes.add_patch(Rectangle(
            (shape.x, shape.y), shape.width, shape.height, facecolor=shape.fill, alpha=shape.opacity,
            edgecolor=shape.stroke or "none", linewidth=_PT_PER_PX, zorder=order,
        ))  # fmt: skip
    elif isinstance(shape, Dot):
        paint: dict[str, Any] = {
            "facecolor": shape.colour,
            "edgecolor": "none",
            "alpha": shape.opacity,
            "zorder": order,
        }
        if shape.marker == "ring":
            paint |= {"facecolor": "white", "edgecolor": shape.colour, "linewidth": 1.2 * _PT_PER_PX}
        round_one = shape.marker in ("circle", "ring")
        at = (shape.x, shape.y)
        axes.add_patch(Circle(at, shape.radius, **paint) if round_one else Polygon(corners(shape), **paint))
