"""What a detector finds in a picture, and the picture with it drawn in."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageDraw, ImageFont

from gpunet.core.files import atomic_path, unwritable
from gpunet.core.text import printable
from gpunet.detection.data.prepared import DetectionBatch, scaled_image
from gpunet.detection.detector import Detector
from gpunet.detection.task import detected

_GOLDEN = 0.618034  # hues that many steps around the circle apart stay apart


@dataclass(frozen=True)
class FoundObject:
    """An object in a picture.

    Args:
        class_name: what it is.
        label: the class's number, from 1.
        score: from 0 to 1.
        box_px: left, top, right, bottom, in px of the picture.
    """

    class_name: str
    label: int
    score: float
    box_px: tuple[float, float, float, float]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {**asdict(self), "box_px": list(self.box_px)}


def objects_in(
    model: Detector, picture: Image.Image, *, device: torch.device | None = None, min_score: float = 0.5
) -> list[FoundObject]:
    """Objects that a detector finds, the surest first.

    Args:
        model: is in evaluation mode afterwards.
        picture: of any size, in RGB.
        device: that the detector is on; None for the processor.
        min_score: least score of those that are told.
    """
    size_px = (picture.height, picture.width)
    batch = DetectionBatch([scaled_image(picture, model.spec)], [], torch.zeros(1, dtype=torch.int64), [size_px], [])
    found = detected(model, batch, device or torch.device("cpu"))[0]
    rows = zip(found.boxes.tolist(), found.labels.tolist(), found.scores.tolist(), strict=True)
    return [
        FoundObject(model.classes[label - 1], label, score, (left, top, right, bottom))
        for (left, top, right, bottom), label, score in rows
        if score >= min_score
    ]


def drawn(picture: Image.Image, found: Sequence[FoundObject]) -> Image.Image:
    """A copy of a picture with boxes, classes and scores; those of a class have one colour."""
    copy = picture.convert("RGB")
    pen = ImageDraw.Draw(copy)
    line_px = max(2, round(min(copy.size) / 250))
    font = ImageFont.load_default(size=max(10, round(min(copy.size) / 40)))
    for each in reversed(found):  # the surest on top
        red, green, blue = (round(255 * value) for value in colorsys.hsv_to_rgb(each.label * _GOLDEN % 1, 0.9, 0.85))
        left, top, right, bottom = each.box_px
        pen.rectangle((left, top, max(left, right), max(top, bottom)), outline=(red, green, blue), width=line_px)
        text = f"{printable(each.class_name)} {100 * each.score:.0f} %"
        height = pen.textbbox((0, 0), text, font=font)[3] + 2
        at = (left + 1, top - height if top >= height else top + line_px)
        behind = pen.textbbox(at, text, font=font)
        pen.rectangle((behind[0] - 1, behind[1] - 1, behind[2] + 1, behind[3] + 1), fill=(red, green, blue))
        pen.text(at, text, fill="white", font=font)
    return copy


def places_in(folder: Path, pictures: Sequence[Path]) -> dict[Path, Path]:
    """For each picture a file in a folder, as PNG, of its name; of those that have one name, with a number."""
    places: dict[Path, Path] = {}
    for picture in pictures:
        place, number = folder / f"{picture.stem}.png", 1
        while place in places.values():
            number += 1
            place = folder / f"{picture.stem}-{number}.png"
        places[picture] = place
    return places


def save_picture(picture: Image.Image, path: Path) -> None:
    """Write a picture as PNG.

    Raises:
        ExportError: (a RuntimeError) it cannot be written.
    """
    try:
        with atomic_path(path) as part:
            picture.save(part, format="PNG")
    except OSError as error:
        raise unwritable(path, error) from error
