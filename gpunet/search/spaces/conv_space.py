"""ConvSpace: spaces of GPUNet-like networks, of any ranges and any stage plan (paper, section 3.1, Tables 1 and 2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from gpunet.core.fields import part_from_dict, part_to_dict
from gpunet.errors import SpecError
from gpunet.model.parts import HeadSpec, StemSpec
from gpunet.model.spec import NetworkSpec
from gpunet.search.spaces.space import Digit, DigitSpace, check_architecture, checked_choices, space_body
from gpunet.search.spaces.stage_choices import CATEGORICAL, FIELDS, StageChoices

if TYPE_CHECKING:
    from gpunet.latency.layers.keys import LayerKey
    from gpunet.latency.terms import LookupPlan
    from gpunet.model.network import GPUNet

SPACE_VERSION = 1


@dataclass(frozen=True)
class ConvSpace(DigitSpace):
    """Networks of a stem, stages and a head; architectures are NetworkSpecs.

    Args:
        resolutions_px: sides of the square input.
        stem_filters: output channels of the stem, and of the stages that share them.
        stages: see StageChoices.
        head_filters: width of the convolution before pooling.
        stem_kernel_size, stem_activation: of the stem; Table 2 has no digits for them.
        pad_strided: see StageSpec; of every stride-2 Fused-IRB stage.
        hidden_divisor, batch_norm_eps: see NetworkSpec.

    Raises:
        SpecError: naming the path of the fault, e.g. ``stages[3].filters: choices must rise, but are 64, 32``.
    """

    resolutions_px: tuple[int, ...]
    stem_filters: tuple[int, ...]
    stages: tuple[StageChoices, ...]
    head_filters: int = 1792
    stem_kernel_size: int = 3
    stem_activation: str = "swish"
    pad_strided: bool = True
    hidden_divisor: int = 8
    batch_norm_eps: float = field(default=1e-3)

    def __post_init__(self) -> None:
        for name in ("resolutions_px", "stem_filters"):
            object.__setattr__(self, name, checked_choices(name, getattr(self, name)))
        given: object = self.stages
        if not isinstance(given, (tuple, list)) or not all(isinstance(stage, StageChoices) for stage in given):
            raise SpecError(f"stages: {given!r} is not a list of StageChoices")
        stages = tuple(stage.checked(f"stages[{number}]") for number, stage in enumerate(given))
        object.__setattr__(self, "stages", stages)
        if not any(min(stage.layers) for stage in stages):
            raise SpecError(
                "stages: every stage may be empty, but a network has a layer", "Give one of them layers of 1 or more."
            )
        for filters in self.stem_filters:
            StemSpec(filters, self.stem_kernel_size, self.stem_activation).check("stem")
        for resolution_px in (self.resolutions_px[0], self.resolutions_px[-1]):
            # The greatest kernels leave the smallest maps, where nothing is padded.
            kernels = [{"kernel_size": stage.kernel_sizes[-1]} for stage in stages]
            self._network(resolution_px, self.stem_filters[0], kernels)

    @cached_property
    def digits(self) -> tuple[Digit, ...]:
        """Table 2: resolution, the stem's filters, then each stage's decisions; names are paths of a NetworkSpec."""
        digits = [Digit("resolution_px", self.resolutions_px), Digit("stem.filters", self.stem_filters)]
        for number, stage in enumerate(self.stages):
            digits += [
                Digit(f"stages[{number}].{FIELDS[name]}", getattr(stage, name), name in CATEGORICAL)
                for name in stage.names
            ]
        return tuple(digits)

    # --------------------------------------------------- vectors and networks

    def decode(self, vector: ArrayLike) -> NetworkSpec:
        """See `SearchSpace.decode`."""
        values = self.values_of(vector)
        bodies = [
            {FIELDS[name]: values[f"stages[{number}].{FIELDS[name]}"] for name in stage.names}
            for number, stage in enumerate(self.stages)
        ]
        return self._network(values["resolution_px"], values["stem.filters"], bodies)

    def encode(self, architecture: NetworkSpec) -> np.ndarray:
        """See `SearchSpace.encode`."""
        check_architecture(
            architecture, NetworkSpec, "`NetworkSpec.parse` makes one of a dict, of JSON text and of a file."
        )
        spec, faults = architecture, []

        def must_be(path: str, value: object, expected: object) -> None:
            if value != expected:
                faults.append(f"{path}: {value!r} is not {expected!r}")

        must_be("stem.kernel_size", spec.stem.kernel_size, self.stem_kernel_size)
        must_be("stem.activation", spec.stem.activation, self.stem_activation)
        must_be("head.filters", spec.head.filters, self.head_filters)
        must_be("head.hidden_features", spec.head.hidden_features, None)
        must_be("hidden_divisor", spec.hidden_divisor, self.hidden_divisor)
        must_be("batch_norm_eps", spec.batch_norm_eps, self.batch_norm_eps)
        must_be("stages", len(spec.stages), len(self.stages))
        values: dict[str, object] = {"resolution_px": spec.resolution_px, "stem.filters": spec.stem.filters}
        for number, (stage, choices) in enumerate(zip(spec.stages, self.stages, strict=False)):
            path = f"stages[{number}]"
            values |= {f"{path}.{FIELDS[name]}": getattr(stage, FIELDS[name]) for name in choices.names}
            fixed = choices.stage({}, spec.stem.filters, pad_strided=self.pad_strided)
            must_be(f"{path}.type", stage.type, fixed.type)
            must_be(f"{path}.stride", stage.stride, fixed.stride)
            must_be(f"{path}.pad_strided", stage.pad_strided, fixed.pad_strided)
            if choices.filters is None:
                must_be(f"{path}.filters", stage.filters, fixed.filters)
        # Of stages that the network lacks one fault is enough, that of their number.
        lacking = tuple(f"stages[{number}]." for number in range(len(spec.stages), len(self.stages)))
        return self.vector_of(values, faults, [each.name for each in self.digits if each.name.startswith(lacking)])

    def canonical(self, vectors: ArrayLike) -> np.ndarray:
        """See `SearchSpace.canonical`: what an empty stage would be is no part of the network, and becomes 0.

        Raises:
            InvalidArgumentError: a row is no vector of the space.
        """
        result = self.check(vectors)
        for columns, layers in self._emptiable:
            result[np.ix_(result[:, layers] == 0, columns)] = 0
        return result

    @cached_property
    def _emptiable(self) -> list[tuple[list[int], int]]:
        """For each stage that may be empty its columns, and that of its layers, whose index 0 is then none."""
        names = [digit.name for digit in self.digits]
        found = []
        for number, stage in enumerate(self.stages):
            if stage.layers[0] == 0:
                columns = [names.index(f"stages[{number}].{FIELDS[name]}") for name in stage.names]
                found.append((columns, names.index(f"stages[{number}].layers")))
        return found

    def _network(self, resolution_px: int, stem_filters: int, bodies: list[dict[str, Any]]) -> NetworkSpec:
        stages = [
            stage.stage(body, stem_filters, pad_strided=self.pad_strided)
            for stage, body in zip(self.stages, bodies, strict=True)
        ]
        return NetworkSpec(
            resolution_px,
            StemSpec(stem_filters, self.stem_kernel_size, self.stem_activation),
            tuple(stages),
            HeadSpec(self.head_filters),
            self.hidden_divisor,
            self.batch_norm_eps,
        )

    # ------------------------------------------------------ latency, training

    def keys(self, vector: ArrayLike, *, num_classes: int = 1000) -> list[LayerKey]:
        """See `SearchSpace.keys`."""
        from gpunet.latency.layers.convolutional import keys_from_spec

        return keys_from_spec(self.decode(vector), num_classes=num_classes)

    def lookup_plan(self, *, num_classes: int = 1000) -> LookupPlan:
        """See `SearchSpace.lookup_plan`."""
        from gpunet.search.spaces.conv_plan import plan_from_digits

        # Any network of the space: it knows stem and head, and how hidden widths are rounded.
        example = self.decode([0] * len(self.digits))
        return plan_from_digits(self.digits, self.stages, example, num_classes)

    def build(self, vector: ArrayLike, *, num_classes: int = 1000, **options: Any) -> GPUNet:
        """See `SearchSpace.build`; options are GPUNet's, such as `drop_rate`."""
        from gpunet.model.network import GPUNet

        return GPUNet(self.decode(vector), num_classes=num_classes, **options)

    # ------------------------------------------------------------------ JSON

    def to_dict(self) -> dict[str, Any]:
        """See `SearchSpace.to_dict`."""
        return {"space": "conv", "space_version": SPACE_VERSION, **part_to_dict(self)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ConvSpace:
        """The space that `to_dict` wrote.

        Raises:
            SpecError: unknown or missing keys, or choices that break a rule, with their path.
        """
        body = space_body(data, "conv", SPACE_VERSION)
        if isinstance(body.get("stages"), (list, tuple)):
            body["stages"] = tuple(
                part_from_dict(StageChoices, stage, f"stages[{number}]") for number, stage in enumerate(body["stages"])
            )
        return part_from_dict(cls, body, "")
