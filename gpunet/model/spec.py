"""NetworkSpec: a convolutional network of the GPUNet family as frozen, validated data.

A network is a stem convolution, stages of equal layers, and a head (paper, Table 1):

    stem    k x k convolution, stride 2, BatchNorm, activation
    stages  `conv`, `fused_irb` (Fused-IRB) or `irb` (inverted residual) layers; the first layer of a
            stage has the stage's stride, the others stride 1
    head    1x1 convolution + BatchNorm + ReLU, global pooling, optionally a 1x1 convolution + ReLU, linear

Everything that can be known without building the network is counted in `gpunet.model.shapes`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from gpunet.core.fields import check_number, in_file, part_from_dict, part_to_dict
from gpunet.core.json_files import parsed_json
from gpunet.core.versions import body_of
from gpunet.errors import ABSENT_EXIT_CODE, FAILED_EXIT_CODE, SpecError
from gpunet.model.parts import HeadSpec, StageSpec, StemSpec, fault, hidden_channels
from gpunet.model.shapes import LayerShape, layer_shapes

SPEC_VERSION = 1


@dataclass(frozen=True)
class NetworkSpec:
    """One network, whole but for its number of classes and input channels.

    Args:
        resolution_px: the square input side that the network is meant for.
        stem, stages, head: see their classes.
        hidden_divisor: hidden widths (input channels x expansion) are rounded to a multiple of it,
            to the nearest and never below 90 % of the value; 1 truncates to an integer and rounds no more.
        batch_norm_eps: epsilon of every BatchNorm.

    Raises:
        SpecError: (a ValueError) naming the path of the fault, e.g.
            ``stages[3].kernel_size: 4 is even; kernels are odd``.
    """

    resolution_px: int
    stem: StemSpec
    stages: tuple[StageSpec, ...]
    head: HeadSpec
    hidden_divisor: int = 8
    batch_norm_eps: float = field(default=1e-3)

    def __post_init__(self) -> None:
        what = "resolutions are 8 to 4096 px"
        check_number("resolution_px", self.resolution_px, 8, 4096, whole=True, rule=what)
        for name, part_type in (("stem", StemSpec), ("head", HeadSpec)):
            if not isinstance(getattr(self, name), part_type):
                raise fault(name, f"{getattr(self, name)!r} is not a {part_type.__name__}")
            getattr(self, name).check(name)
        stages: object = self.stages
        if not isinstance(stages, (tuple, list)):
            raise fault("stages", f"{stages!r} is not a list of stages")
        object.__setattr__(self, "stages", tuple(stages))
        for index, stage in enumerate(stages):
            if not isinstance(stage, StageSpec):
                raise fault(f"stages[{index}]", f"{stage!r} is not a StageSpec")
            stage.check(f"stages[{index}]")
        if not any(stage.layers for stage in self.stages):
            raise fault("stages", "no stage has a layer", "Give at least one stage with layers of 1 or more.")
        check_number("hidden_divisor", self.hidden_divisor, 1, 1024, whole=True, rule="divisors are 1 to 1024")
        check_number("batch_norm_eps", self.batch_norm_eps, 0, 1, above=True, rule="epsilons are above 0, at most 1")
        self.layer_shapes()

    # ------------------------------------------------------------------ JSON

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> NetworkSpec:
        """The spec that `to_dict` wrote; unknown or missing keys raise SpecError with their path."""
        body = body_of(data, "spec", "spec_version", SPEC_VERSION, implied=True)
        for name, part_type in (("stem", StemSpec), ("head", HeadSpec)):
            if name in body:
                body[name] = part_from_dict(part_type, body[name], name)
        if "stages" in body:
            if not isinstance(body["stages"], (list, tuple)):
                raise fault("stages", f"{body['stages']!r} is not a list of stages")
            body["stages"] = tuple(
                part_from_dict(StageSpec, stage, f"stages[{index}]") for index, stage in enumerate(body["stages"])
            )
        return part_from_dict(cls, body, "")

    @classmethod
    def from_json(cls, text: str) -> NetworkSpec:
        """The spec that `to_json` wrote. Raises SpecError for text that is not JSON too."""
        try:
            data = parsed_json(text)
        except json.JSONDecodeError as error:
            raise SpecError(
                f"spec: not JSON: {error}", "Mend the file, or write it anew.", exit_code=FAILED_EXIT_CODE
            ) from None
        return cls.from_dict(data)

    @classmethod
    def parse(cls, value: NetworkSpec | Mapping[str, Any] | str | Path) -> NetworkSpec:
        """A spec from whatever holds one: a spec, its dict, its JSON text, or the path of a JSON file."""
        if isinstance(value, NetworkSpec):
            return value
        if isinstance(value, Mapping):
            return cls.from_dict(value)
        if isinstance(value, str) and value.lstrip().startswith("{"):
            return cls.from_json(value)
        if not isinstance(value, (str, Path)):
            raise fault("spec", f"{value!r} is neither a spec, a dict, JSON text nor a path")
        try:
            text = Path(value).expanduser().read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            code = ABSENT_EXIT_CODE if isinstance(error, OSError) else FAILED_EXIT_CODE
            hint = "Give JSON text or the path of a JSON file."
            raise SpecError(f"spec: cannot read {value}: {error}", hint, exit_code=code) from None
        with in_file(value):
            return cls.from_json(text)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; a field at its default is left out, so that a spec reads short."""
        return {"spec_version": SPEC_VERSION, **part_to_dict(self)}

    def to_json(self, indent: int | None = None) -> str:
        """The spec as JSON text; `from_json` gives an equal spec back."""
        return json.dumps(self.to_dict(), indent=indent)

    @cached_property
    def sha256(self) -> str:
        """SHA-256 (hex) of the canonical JSON: equal for equal specs, on every machine."""
        canonical = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    # ---------------------------------------------------------------- counts

    def hidden_channels(self, in_channels: int, expansion: float) -> int:
        """Hidden width of a layer: `in_channels * expansion`, rounded as `hidden_divisor` says."""
        return hidden_channels(in_channels, expansion, self.hidden_divisor)

    def layer_shapes(
        self, *, in_channels: int = 3, num_classes: int = 1000, resolution_px: int | None = None
    ) -> tuple[LayerShape, ...]:
        """Every layer with its shapes, parameters and multiply-adds, in network order; nothing is built.

        Raises:
            SpecError: where the input is too small for a layer, naming the layer.
        """
        px = resolution_px or self.resolution_px
        return layer_shapes(
            self.stem, self.stages, self.head, self.hidden_divisor,
            in_channels=in_channels, num_classes=num_classes, resolution_px=px,
        )  # fmt: skip

    def count_parameters(self, *, in_channels: int = 3, num_classes: int = 1000) -> int:
        """Trainable parameters (buffers such as running means are not counted)."""
        return sum(s.parameters for s in self.layer_shapes(in_channels=in_channels, num_classes=num_classes))

    def count_multiply_adds(
        self, *, in_channels: int = 3, num_classes: int = 1000, resolution_px: int | None = None
    ) -> int:
        """Multiply-adds of convolutions and linear layers for one image."""
        shapes = self.layer_shapes(in_channels=in_channels, num_classes=num_classes, resolution_px=resolution_px)
        return sum(s.multiply_adds for s in shapes)
