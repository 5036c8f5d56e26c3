"""What a detector is, but for its weights: backbone, classes, sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpunet.core.fields import check_flag, check_name, check_number, check_one_of, part_from_dict, part_to_dict
from gpunet.core.json_files import checked_json
from gpunet.core.versions import body_of
from gpunet.errors import SpecError

SPEC_VERSION = 1
KINDS = ("cascade", "faster")


@dataclass(frozen=True)
class DetectorSpec:
    """A detector.

    Args:
        backbone: a name of the zoo's or of timm's; or the description of a GPUNet, as `NetworkSpec.to_dict` gives it.
        classes: their names, in order; the background is none of them.
        kind: 'cascade': Cascade R-CNN of three stages (Cai, Vasconcelos, CVPR 2018); or 'faster': Faster R-CNN.
        short_px: a picture's shorter side is scaled to it, ...
        long_px: ... unless its longer side would be above this one.
        mean, std: of each of the three channels of pictures in [0, 1]; they are normalised by them.
        frozen_batch_norm: the backbone's BatchNorm keeps statistics, scales and shifts as they are: for a trained one,
            since a detector's batches are too small to learn them anew.
        pyramid_channels: of each of the pyramid's maps.
        head_features: of each of the two hidden layers that judge a box.
        anchor_strides: an anchor's side, in strides of the map that it stands on.
        proposals: of a picture, at most, that the heads look at; twice as many while training.
        sampled_boxes: of those of a picture, that each stage learns from.
        backbone_name: what the backbone was called when it was described; '' for what it is called by itself.
    """

    backbone: str | dict[str, Any]
    classes: tuple[str, ...]
    kind: str = "cascade"
    short_px: int = 800
    long_px: int = 1333
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    frozen_batch_norm: bool = False
    pyramid_channels: int = 256
    head_features: int = 1024
    anchor_strides: float = 8.0
    proposals: int = 1000
    sampled_boxes: int = 512
    backbone_name: str = ""

    def __post_init__(self) -> None:
        if not (isinstance(self.backbone, (str, dict)) and self.backbone):
            raise SpecError(f"backbone: {self.backbone!r} is neither a name nor a network's description")
        given: object = self.classes
        if isinstance(given, str) or not all(isinstance(name, str) and name for name in self.classes):
            raise SpecError(f"classes: {self.classes!r} are not names")
        object.__setattr__(self, "classes", tuple(self.classes))
        if not self.backbone_name:
            object.__setattr__(self, "backbone_name", self.backbone if isinstance(self.backbone, str) else "a GPUNet")
        check_name("backbone_name", self.backbone_name)
        if not self.classes:
            raise SpecError("classes: there is none", "A detector finds one class or more.")
        if len(set(self.classes)) < len(self.classes):
            twice = next(name for name in self.classes if self.classes.count(name) > 1)
            raise SpecError(f"classes: {twice!r} is there twice")
        check_one_of("kind", self.kind, KINDS)
        for name in ("short_px", "pyramid_channels", "head_features", "proposals", "sampled_boxes"):
            check_number(name, getattr(self, name), 1, whole=True)
        rule = f"it is at least short_px, {self.short_px}"
        check_number("long_px", self.long_px, self.short_px, whole=True, rule=rule)
        check_number("anchor_strides", self.anchor_strides, 0, above=True)
        check_flag("frozen_batch_norm", self.frozen_batch_norm)
        for name in ("mean", "std"):
            values = getattr(self, name)
            if not isinstance(values, (tuple, list)) or len(values) != 3:
                raise SpecError(f"{name}: {values!r} are not three numbers")
            for value in values:
                check_number(name, value, 0, above=name == "std")
            object.__setattr__(self, name, tuple(map(float, values)))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; a field at its default is left out."""
        return {"detector_version": SPEC_VERSION, **part_to_dict(self)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], where: str = "") -> DetectorSpec:
        """The spec that `to_dict` wrote; unknown or missing keys raise SpecError with their path."""
        return part_from_dict(cls, body_of(data, "detector", "detector_version", SPEC_VERSION, where=where), "")

    @classmethod
    def read(cls, path: Path) -> DetectorSpec:
        """A spec from a JSON file.

        Raises:
            SpecError: (a ValueError) it is not there, is damaged, or breaks a rule.
        """
        return cls.from_dict(checked_json(path, error=SpecError), where=str(path))
