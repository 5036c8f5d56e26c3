"""StageChoices: what a stage of a ConvSpace may be."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gpunet.errors import SpecError
from gpunet.model.parts import StageSpec
from gpunet.search.spaces.space import checked_choices

# Field of StageChoices -> field of StageSpec, in Table 2's order.
FIELDS = {
    "filters": "filters",
    "kernel_sizes": "kernel_size",
    "expansions": "expansion",
    "squeeze_excitations": "squeeze_excitation",
    "activations": "activation",
    "layers": "layers",
}
CATEGORICAL = ("activations", "squeeze_excitations")


@dataclass(frozen=True)
class StageChoices:
    """What a stage may be: a row of Table 1.

    Args:
        type: 'conv', 'fused_irb' or 'irb'.
        stride: 1 or 2, of the first layer.
        filters: output channels; None for those of the stem, which then is no decision of its own.
        kernel_sizes: odd.
        layers: how many; 0 only in an 'irb' stage of stride 1, which is then empty.
        activations: of 'relu' and 'swish'.
        expansions: hidden width over input channels; none for 'conv'.
        squeeze_excitations: of False and True; none for 'conv'.
    """

    type: str
    stride: int
    filters: tuple[int, ...] | None
    kernel_sizes: tuple[int, ...] = (3, 5)
    layers: tuple[int, ...] = (1,)
    activations: tuple[str, ...] = ("relu", "swish")
    expansions: tuple[float, ...] = ()
    squeeze_excitations: tuple[bool, ...] = ()

    @property
    def names(self) -> list[str]:
        """Fields with choices, in Table 2's order."""
        return [name for name in FIELDS if getattr(self, name)]

    def checked(self, path: str) -> StageChoices:
        """The same with tuples for lists.

        Raises:
            SpecError: naming `path`, where a choice breaks its rule.
        """
        body: dict[str, Any] = {}
        for name in FIELDS:
            value = getattr(self, name)
            inverted = name in ("expansions", "squeeze_excitations")
            absent = value is None if name == "filters" else inverted and self.type == "conv" and value in ((), [])
            if inverted and self.type == "conv" and not absent:
                raise SpecError(f"{path}.{name}: a conv stage has neither expansion nor squeeze-excitation")
            if not absent:
                body[name] = checked_choices(f"{path}.{name}", value, ordered=name not in CATEGORICAL)
            elif value is not None:
                body[name] = ()
        stage = dataclasses.replace(self, **body)
        for name in stage.names:
            for value in getattr(stage, name):
                stage.stage({FIELDS[name]: value}, 1).check(path)
        return stage

    def stage(self, values: Mapping[str, Any], stem_filters: int, *, pad_strided: bool = True) -> StageSpec:
        """The stage with these values, by field of StageSpec; for a missing one the first choice (with a layer)."""
        chosen: dict[str, Any] = {FIELDS[name]: getattr(self, name)[0] for name in self.names if name != "layers"}
        chosen["layers"] = next((count for count in self.layers if count), self.layers[0])
        if self.filters is None:
            chosen["filters"] = stem_filters
        padded = pad_strided or self.type != "fused_irb" or self.stride != 2
        return StageSpec(self.type, **{**chosen, **values}, stride=self.stride, pad_strided=padded)
