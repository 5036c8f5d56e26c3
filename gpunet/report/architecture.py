"""A network's architecture drawn stage by stage: a box's width is its layers, its height its channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gpunet.model.shapes import LayerShape
from gpunet.model.spec import NetworkSpec
from gpunet.report.data import NetworkReport
from gpunet.report.drawing import INK, MUTED, Block, Drawing, Line, Shape, Words, fitted

_WIDTH, _HEIGHT = 1060.0, 284.0
_MIDDLE, _TALLEST = 92.0, 128.0  # px: the line that the boxes stand on, and the height of the most channels
_TEXT_TOP, _TEXT_STEP = 178.0, 16.0
_NAMES = {"conv": "Conv", "fused_irb": "Fused-IRB", "irb": "IRB", "linear": "Linear"}
_FILLS = {"conv": "#8fa8bf", "fused_irb": "#e0965a", "irb": "#5fa98f", "linear": "#b9b9b9"}
_SQUEEZE = "#6a3d9a"
KEY = "Width: layers. Height: channels. The violet edge is squeeze-excitation; k kernel, s stride, e expansion."


@dataclass(frozen=True)
class DrawnPart:
    """A run of equal layers.

    Args:
        title: e.g. 'stage 3'.
        kind: see `LayerShape`.
        shapes: its layers.
        expansion: hidden width over input channels; 1 for none.
    """

    title: str
    kind: str
    shapes: tuple[LayerShape, ...]
    expansion: float = 1

    @property
    def channels(self) -> int:
        """Output channels."""
        return self.shapes[-1].out_channels

    @property
    def squeezes(self) -> bool:
        """Whether its layers have squeeze-excitation."""
        return self.shapes[0].reduced_channels > 0

    def words(self) -> tuple[str, ...]:
        """What is written beneath it."""
        first = self.shapes[0]
        name = _NAMES[self.kind]
        lines = [f"{name} x{len(self.shapes)}" if len(self.shapes) > 1 else name, f"{self.channels} ch"]
        if self.kind != "linear":
            expansion = f" e{self.expansion:g}" if self.kind != "conv" else ""
            lines.append(f"k{first.kernel_size} s{first.stride}{expansion}")
        lines.append(", ".join(each for each in (first.activation, "SE" if self.squeezes else "") if each))
        if self.kind != "linear":
            lines.append(f"{first.in_px} → {self.shapes[-1].out_px} px" if first.in_px != self.shapes[-1].out_px
                         else f"{first.in_px} px")  # fmt: skip
        return tuple(lines)

    def tip(self) -> tuple[str, ...]:
        """All that is known of it."""
        first, last = self.shapes[0], self.shapes[-1]
        lines = [
            self.title,
            f"{_NAMES[self.kind]}, {len(self.shapes)} layer{'s' if len(self.shapes) > 1 else ''}",
            f"{first.in_channels} → {last.out_channels} channels",
        ]
        if self.kind != "linear":
            lines += [
                f"kernel {first.kernel_size}, stride {first.stride}"
                + (f", expansion {self.expansion:g}" if self.kind != "conv" else ""),
                f"squeeze-excitation: {'yes' if self.squeezes else 'no'}; activation: {first.activation or 'none'}",
                f"{first.in_px} → {last.out_px} px",
            ]
        return (
            *lines,
            f"{sum(shape.parameters for shape in self.shapes) / 1e6:.3f} M parameters",
            f"{sum(shape.multiply_adds for shape in self.shapes) / 1e6:,.1f} M multiply-adds",
        )


def parts_of(spec: NetworkSpec) -> tuple[DrawnPart, ...]:
    """Stem, stages that have layers, head and classifier, in the order of the network (pooling is left out)."""
    parts = []
    shapes = {shape.name: shape for shape in spec.layer_shapes()}
    parts.append(DrawnPart("stem", "conv", (shapes["stem"],)))
    for number, stage in enumerate(spec.stages):
        if stage.layers:
            layers = tuple(shapes[f"stages[{number}][{index}]"] for index in range(stage.layers))
            parts.append(DrawnPart(f"stage {number}", stage.type, layers, stage.expansion))
    for name, title in (("head", "head"), ("head_hidden", "head, hidden"), ("classifier", "classifier")):
        if name in shapes:
            parts.append(DrawnPart(title, shapes[name].kind, (shapes[name],)))
    return tuple(parts)


def draw_architecture(
    network: NetworkReport, number: int, *, tallest: int | None = None, alone: bool = False
) -> Drawing:
    """The drawing of a winner's architecture.

    Args:
        network: the winner.
        number: its place among the winners, from 0.
        tallest: channels of the tallest box, so that several drawings compare; its own by default.
        alone: with the title in the picture, which the page has beside it.
    """
    if network.network is None:
        raise ValueError(f"{network.name} has no stages to draw")
    return draw_spec(network.name, network.network, f"architecture-{number + 1}", tallest=tallest, alone=alone)


def draw_spec(
    name: str, spec: NetworkSpec, key: str = "architecture", *, tallest: int | None = None, alone: bool = True
) -> Drawing:
    """The drawing of any network of stages, as the paper's Fig. 6 has them.

    Args:
        name: in the title.
        spec: the network.
        key: see `Drawing`.
        tallest, alone: see `draw_architecture`.
    """
    parts = parts_of(spec)
    tallest = tallest or _most_channels(spec)
    title = f"{name}: architecture, input {spec.resolution_px} px"
    head = 52.0 if alone else 0.0
    shapes: list[Shape] = []
    if alone:
        shapes += [
            Words(14, 24, fitted(title, 16, _WIDTH - 28, bold=True), 16, bold=True),
            Words(14, 44, KEY, 12, colour=MUTED),
        ]
    column = min(150.0, (_WIDTH - 8) / len(parts))
    shapes.append(Line(((4, head + _MIDDLE), (4 + column * len(parts), head + _MIDDLE)), "#bdbdbd", 2))
    for place, part in enumerate(parts):
        shapes += _part(part, 4 + column * (place + 0.5), head, column, tallest)
    return Drawing(key, title, _WIDTH, head + _HEIGHT, tuple(shapes))


def most_channels(networks: Sequence[NetworkReport]) -> int:
    """The most output channels of any part that is drawn, the classifier left out."""
    return max((_most_channels(each.network) for each in networks if each.network is not None), default=1)


def _most_channels(spec: NetworkSpec) -> int:
    return max(part.channels for part in parts_of(spec) if part.kind != "linear")


def _part(part: DrawnPart, middle: float, head: float, column: float, tallest: int) -> list[Shape]:
    count = len(part.shapes)
    wide = min(column - 12, 14 + 5.2 * (count - 1))
    high = max(8.0, _TALLEST * min(1.0, part.channels / tallest) ** 0.5)
    left, top = middle - wide / 2, head + _MIDDLE - high / 2
    shapes: list[Shape] = [Block(left, top, wide, high, _FILLS[part.kind], INK, tip=part.tip(), mark=True)]
    for index in range(1, count):
        x = left + wide * index / count
        shapes.append(Line(((x, top), (x, top + high)), "#ffffff", 1))
    if part.squeezes:
        shapes.append(Block(left, top, wide, 4, _SQUEEZE))
    shapes.append(Words(middle, head + _TEXT_TOP, part.title, 12, "middle", INK, True))
    for row, line in enumerate(part.words(), start=1):
        shapes.append(
            Words(middle, head + _TEXT_TOP + 2 + row * _TEXT_STEP, line, 11.5, "middle", INK if row == 1 else MUTED)
        )
    return shapes
