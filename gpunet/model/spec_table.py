"""The parts of a network as rows of a table: what `gpunet info` prints and a model card shows."""

from __future__ import annotations

from dataclasses import dataclass

from gpunet.model.parts import StageSpec
from gpunet.model.shapes import LayerShape
from gpunet.model.spec import NetworkSpec


@dataclass(frozen=True)
class SpecRow:
    """The stem, a stage, or a layer of the head.

    Args:
        name: 'stem', 'stage 0', ..., 'head', 'classifier'.
        kind: of its layers, e.g. 'irb'.
        layers: how many.
        kernel_size, stride: of the first.
        expansion: of an inverted residual; None for what has none.
        filters: channels that come out.
        out_px: side of the map that comes out; None for a stage without layers.
        activation: None for none.
        parameters, multiply_adds: counts; the latter for one image.
        extras: what else sets it apart, in words.
    """

    name: str
    kind: str
    layers: int
    kernel_size: int
    stride: int
    expansion: float | None
    filters: int
    out_px: int | None
    activation: str | None
    parameters: int
    multiply_adds: int
    extras: str = ""


def parts_of(spec: NetworkSpec, *, in_chans: int = 3, num_classes: int = 1000) -> list[SpecRow]:
    """The parts of a network, in its order."""
    layers = spec.layer_shapes(in_channels=in_chans, num_classes=num_classes)
    stages = [
        _stage(f"stage {number}", stage, [layer for layer in layers if layer.name.startswith(f"stages[{number}]")])
        for number, stage in enumerate(spec.stages)
    ]
    outside = [
        SpecRow(
            layer.name,
            layer.kind,
            1,
            layer.kernel_size,
            layer.stride,
            None,
            layer.out_channels,
            layer.out_px,
            layer.activation or None,
            layer.parameters,
            layer.multiply_adds,
        )
        for layer in layers
        if not layer.name.startswith("stages[") and layer.kind != "pool"
    ]
    return [outside[0], *stages, *outside[1:]]


def _stage(name: str, stage: StageSpec, layers: list[LayerShape]) -> SpecRow:
    extras = [
        "squeeze-excitation" if stage.squeeze_excitation else "",
        "" if stage.pad_strided else "strided layer not padded",
    ]
    return SpecRow(
        name,
        stage.type,
        stage.layers,
        stage.kernel_size,
        stage.stride,
        None if stage.type == "conv" else stage.expansion,
        stage.filters,
        layers[-1].out_px if layers else None,
        stage.activation,
        sum(layer.parameters for layer in layers),
        sum(layer.multiply_adds for layer in layers),
        ", ".join(filter(None, extras)),
    )
