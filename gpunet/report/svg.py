"""Drawings as SVG for the page: inline, without anything from outside, every text escaped."""

from __future__ import annotations

import math

from gpunet.report.chart import Series
from gpunet.report.drawing import Block, Dot, Drawing, Line, Shape, Words
from gpunet.report.plot import swatch
from gpunet.report.words import escape


def svg(drawing: Drawing) -> str:
    """A drawing as an <svg> element; marks that have a tip can be reached by pointer and by the arrow keys."""
    title = escape(f"{drawing.title}: chart with {len(drawing.marks)} marks; its figures are in the table below it.")
    body = "".join(_shape(shape) for shape in drawing.shapes)
    return (
        f'<div class="across"><svg class="plot" id="{escape(drawing.key)}" '
        f'viewBox="0 0 {drawing.width:g} {drawing.height:g}" '
        f'style="max-width:{drawing.width:g}px;min-width:{0.62 * drawing.width:.0f}px" role="group" '
        f'aria-label="{title}">{body}</svg></div>'
    )


def swatch_svg(series: Series) -> str:
    """The sign of a series for a legend."""
    body = "".join(_shape(shape) for shape in swatch(series, 1, 8))
    return f'<svg class="swatch" viewBox="0 0 20 16" width="20" height="16" aria-hidden="true">{body}</svg>'


def _shape(shape: Shape) -> str:
    if isinstance(shape, Words):
        return _words(shape)
    series = f' data-series="{escape(shape.series)}"' if shape.series else ""
    if isinstance(shape, Line):
        points = " ".join(f"{x:.2f},{y:.2f}" for x, y in shape.points)
        dash = f' stroke-dasharray="{" ".join(f"{each:g}" for each in shape.dash)}"' if shape.dash else ""
        kind = ' class="mark"' if shape.mark else ""
        return (
            f'<polyline{kind}{series} points="{points}" fill="none" stroke="{shape.colour}" '
            f'stroke-width="{shape.width:g}"{dash}/>'
        )
    about = ""
    if shape.mark:
        about = f' class="mark{" dot" if isinstance(shape, Dot) else ""}"'
    if shape.tip:
        said = escape("\n".join(shape.tip))
        about += f' tabindex="-1" role="img" aria-label="{escape(", ".join(shape.tip))}" data-tip="{said}"'
    see_through = f' opacity="{shape.opacity:g}"' if shape.opacity < 1 else ""
    if isinstance(shape, Block):
        stroke = f' stroke="{shape.stroke}" stroke-width="1"' if shape.stroke else ""
        return (
            f'<rect{about}{series} x="{shape.x:.2f}" y="{shape.y:.2f}" width="{shape.width:.2f}" '
            f'height="{max(0.0, shape.height):.2f}" fill="{shape.fill}"{stroke}{see_through}/>'
        )
    return _dot(shape, about + series + see_through)


def _words(words: Words) -> str:
    series = f' data-series="{escape(words.series)}"' if words.series else ""
    turn = f' transform="rotate(-90 {words.x:.2f} {words.y:.2f})"' if words.turned else ""
    bold = ' font-weight="600"' if words.bold else ""
    halo = ' class="name"' if words.series else ""
    return (
        f'<text{halo}{series} x="{words.x:.2f}" y="{words.y:.2f}" font-size="{words.size:g}" '
        f'text-anchor="{words.anchor}" fill="{words.colour}"{bold}{turn}>{escape(words.text)}</text>'
    )


def _dot(dot: Dot, about: str) -> str:
    at = f' data-x="{dot.x:.2f}" data-y="{dot.y:.2f}"'
    if dot.marker in ("circle", "ring"):
        paint = (
            f'fill="{dot.colour}"'
            if dot.marker == "circle"
            else f'fill="#fff" stroke="{dot.colour}" stroke-width="1.2"'
        )
        return f'<circle{about}{at} cx="{dot.x:.2f}" cy="{dot.y:.2f}" r="{dot.radius:g}" {paint}/>'
    points = " ".join(f"{x:.2f},{y:.2f}" for x, y in corners(dot))
    return f'<polygon{about}{at} points="{points}" fill="{dot.colour}"/>'


def corners(dot: Dot) -> list[tuple[float, float]]:
    """The corners of a diamond or a star, px."""
    count, inner = (4, 1.0) if dot.marker == "diamond" else (10, 0.45)
    found = []
    for index in range(count):
        reach = dot.radius * (inner if index % 2 else 1.0)
        angle = math.pi * (2 * index / count - 0.5)
        found.append((dot.x + reach * math.cos(angle), dot.y + reach * math.sin(angle)))
    return found
