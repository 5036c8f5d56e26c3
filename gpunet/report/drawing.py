"""Pictures as shapes in pixels, from which the page's SVG and the PNG files are both made.

Lengths are in px, y grows downwards. A shape that stands for data is a mark: it may carry a tip (lines that a reader
sees on pointing at it), and belongs to a series that can be hidden.
"""

from __future__ import annotations

from dataclasses import dataclass

INK, MUTED, GRID = "#1a1a1a", "#595959", "#e3e3e3"
# Colour-blind safe, each dark enough for lines on white.
PALETTE = ("#0072b2", "#d55e00", "#007a5a", "#aa4499", "#8c6d00", "#332288")


@dataclass(frozen=True)
class Line:
    """Straight pieces between points."""

    points: tuple[tuple[float, float], ...]
    colour: str
    width: float = 1.5
    dash: tuple[float, ...] = ()
    series: str = ""
    mark: bool = False


@dataclass(frozen=True)
class Block:
    """A rectangle by its upper left corner."""

    x: float
    y: float
    width: float
    height: float
    fill: str
    stroke: str = ""
    opacity: float = 1.0
    series: str = ""
    tip: tuple[str, ...] = ()
    mark: bool = False


@dataclass(frozen=True)
class Dot:
    """A marker: 'circle', 'ring' (hollow), 'diamond' or 'star'."""

    x: float
    y: float
    marker: str
    radius: float
    colour: str
    opacity: float = 1.0
    series: str = ""
    tip: tuple[str, ...] = ()
    mark: bool = False


@dataclass(frozen=True)
class Words:
    """A line of text; `anchor` is 'start', 'middle' or 'end', y is the base line, `turned` reads upwards."""

    x: float
    y: float
    text: str
    size: float = 12
    anchor: str = "start"
    colour: str = INK
    bold: bool = False
    turned: bool = False
    series: str = ""


Shape = Line | Block | Dot | Words


@dataclass(frozen=True)
class Drawing:
    """A picture.

    Args:
        key: names its file and its place in the page.
        title: in words.
        width, height: in px.
        shapes: from the back to the front.
    """

    key: str
    title: str
    width: float
    height: float
    shapes: tuple[Shape, ...]

    @property
    def marks(self) -> list[Line | Block | Dot]:
        """The shapes that stand for data."""
        return [shape for shape in self.shapes if not isinstance(shape, Words) and shape.mark]


def fitted(text: str, size: float, room: float, *, bold: bool = False) -> str:
    """A text as it is, or its beginning and '...' where it is wider than `room` px."""
    if text_width(text, size, bold=bold) <= room:
        return text
    while text and text_width(f"{text}...", size, bold=bold) > room:
        text = text[:-1]
    return f"{text.rstrip()}..."


def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """About how wide a text is in px, in a wide sans serif: a little more than most fonts need."""
    narrow = sum(each in " .,:;'|!iljtfI()[]" for each in text)
    return size * ((0.66 if bold else 0.6) * (len(text) - narrow) + 0.36 * narrow)
