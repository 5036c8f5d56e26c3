"""A search space that is not gpunet's, in one file: towers of equal stages, of three digits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from gpunet.core.fields import part_from_dict, part_to_dict
from gpunet.errors import SpecError
from gpunet.latency.layers.convolutional import keys_from_spec
from gpunet.latency.layers.keys import LayerKey
from gpunet.latency.terms import LookupPlan, Term
from gpunet.model.network import GPUNet
from gpunet.model.parts import HeadSpec, StageSpec, StemSpec
from gpunet.model.spec import NetworkSpec
from gpunet.search import Digit
from gpunet.search.spaces.space import DigitSpace, check_architecture, checked_choices, space_body


@dataclass(frozen=True)
class TowerSpace(DigitSpace):
    """See `SearchSpace`; architectures are NetworkSpecs of one `irb` stage."""

    resolutions_px: tuple[int, ...]
    depths: tuple[int, ...]
    widths: tuple[int, ...]

    def __post_init__(self) -> None:
        for name in ("resolutions_px", "depths", "widths"):
            object.__setattr__(self, name, checked_choices(name, getattr(self, name)))

    @property
    def digits(self) -> tuple[Digit, ...]:
        return Digit("resolution_px", self.resolutions_px), Digit("depth", self.depths), Digit("width", self.widths)

    def decode(self, vector: ArrayLike) -> NetworkSpec:
        at = self.values_of(vector)
        stage = StageSpec("irb", at["width"], at["depth"], stride=2, expansion=2)
        return NetworkSpec(at["resolution_px"], StemSpec(8), (stage,), HeadSpec(16))

    def encode(self, architecture: NetworkSpec) -> np.ndarray:
        check_architecture(architecture, NetworkSpec)
        stage = architecture.stages[0]
        values = {"resolution_px": architecture.resolution_px, "depth": stage.layers, "width": stage.filters}
        vector = self.vector_of(values)
        if self.decode(vector) != architecture:
            raise SpecError("stages: not one irb stage of stride 2", "The space cannot express this architecture.")
        return vector

    def canonical(self, vectors: ArrayLike) -> np.ndarray:
        return self.check(vectors)

    def keys(self, vector: ArrayLike, *, num_classes: int = 1000) -> list[LayerKey]:
        return keys_from_spec(self.decode(vector), num_classes=num_classes)

    def lookup_plan(self, *, num_classes: int = 1000) -> LookupPlan:
        names = tuple(digit.name for digit in self.digits)
        whole = Term(names, lambda *at: [(key, 1) for key in self.keys(at, num_classes=num_classes)])
        return LookupPlan(self.digit_sizes, (), (whole,))

    def build(self, vector: ArrayLike, *, num_classes: int = 1000, **options: Any) -> GPUNet:
        return GPUNet(self.decode(vector), num_classes=num_classes, **options)

    def to_dict(self) -> dict[str, Any]:
        return {"space": "tower", "space_version": 1, **part_to_dict(self)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TowerSpace:
        return part_from_dict(cls, space_body(data, "tower", 1), "")
