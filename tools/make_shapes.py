#!/usr/bin/env python3
"""Make a data set in COCO's format without a download: shapes on photographs that installed packages ship.

Photographs are scikit-image's and scikit-learn's; those behind the validation pictures are not behind the others. Each
shape has a random size, aspect, angle and colour, and its box is that of the pixels that it covers. The same arguments
give the same files.

    FOLDER/annotations/instances_train.json, instances_val.json
    FOLDER/train/000000.jpg ..., FOLDER/val/000000.jpg ...
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from gpunet.core.files import atomic_path, write_text
from gpunet.core.progress import ProgressBar
from gpunet.errors import MissingDependencyError

CLASSES = ("disc", "box", "triangle", "cross", "ring", "star")
PHOTOGRAPHS = {
    "train": ("skimage/data/astronaut.png", "skimage/data/chelsea.png", "skimage/data/motorcycle_left.png",
              "sklearn/datasets/images/china.jpg"),
    "val": ("skimage/data/coffee.png", "skimage/data/rocket.jpg", "sklearn/datasets/images/flower.jpg"),
}  # fmt: skip
_DETAIL = 4  # shapes are drawn so many times as large, and scaled down
_TRIES = 20
_MOST_IOU = 0.1


def make_shapes(
    folder: Path, *, train: int = 200, validation: int = 60, side_px: int = 160, classes: int = 3, most: int = 4,
    seed: int = 0, least_part: float = 0.15, most_part: float = 0.5,
) -> Path:  # fmt: skip
    """Write the data set, and return its folder.

    Args:
        folder: where to.
        train, validation: pictures of each split.
        side_px: of the square pictures.
        classes: how many of `CLASSES` there are.
        most: shapes of a picture; there is at least one.
        seed: of everything.
        least_part, most_part: a shape's size, as a part of the picture's side.
    """
    for number, (split, count) in enumerate((("train", train), ("val", validation))):
        photographs = [_opened(name) for name in PHOTOGRAPHS[split]]
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        with ProgressBar(split, count) as bar:
            for index in range(count):
                draw = np.random.default_rng((seed, number, index))
                picture = _background(photographs[index % len(photographs)], side_px, draw)
                boxes: list[tuple[int, int, int, int]] = []
                for _ in range(int(draw.integers(1, most + 1))):
                    kind = int(draw.integers(classes))
                    box = _add_shape(picture, CLASSES[kind], boxes, (least_part, most_part), draw)
                    if box is None:
                        continue
                    boxes.append(box)
                    width, height = box[2] - box[0], box[3] - box[1]
                    annotations.append({
                        "id": len(annotations) + 1, "image_id": index + 1, "category_id": kind + 1, "iscrowd": 0,
                        "bbox": [box[0], box[1], width, height], "area": width * height,
                    })  # fmt: skip
                name = f"{index:06}.jpg"
                with atomic_path(folder / split / name) as part:
                    picture.save(part, format="JPEG", quality=92)
                images.append({"id": index + 1, "file_name": name, "width": side_px, "height": side_px})
                bar.update(index + 1)
        categories = [{"id": label, "name": name} for label, name in enumerate(CLASSES[:classes], start=1)]
        said = {"images": images, "annotations": annotations, "categories": categories}
        write_text(folder / "annotations" / f"instances_{split}.json", json.dumps(said) + "\n")
    return folder


def _opened(name: str) -> Image.Image:
    package, _, rest = name.partition("/")
    found = importlib.util.find_spec(package)
    for place in (found.submodule_search_locations or ()) if found else ():
        if Path(place, rest).is_file():
            return Image.open(Path(place, rest)).convert("RGB")
    raise MissingDependencyError(
        f"{package}'s photographs are needed, but it is not installed.", "Install it: pip install 'gpunet[dev]'"
    )


def _background(photograph: Image.Image, side_px: int, draw: np.random.Generator) -> Image.Image:
    side = round(min(photograph.size) * draw.uniform(0.4, 1.0))
    left, top = (int(draw.integers(length - side + 1)) for length in photograph.size)
    crop = photograph.crop((left, top, left + side, top + side))
    return crop.resize((side_px, side_px), Image.Resampling.BILINEAR)


def _add_shape(
    picture: Image.Image, kind: str, others: list[tuple[int, int, int, int]], parts: tuple[float, float],
    draw: np.random.Generator,
) -> tuple[int, int, int, int] | None:  # fmt: skip
    """Draw a shape where it hides little of the others; its left, top, right, bottom; None if there is no room."""
    side_px = picture.width
    for _ in range(_TRIES):
        size = side_px * draw.uniform(*parts)
        aspect, angle = math.exp(draw.uniform(-0.6, 0.6)), draw.uniform(0, 2 * math.pi)
        centre = draw.uniform(0.15, 0.85, 2) * side_px
        mask = Image.new("L", (side_px * _DETAIL,) * 2)
        pen = ImageDraw.Draw(mask)
        for outline, value in _outlines(kind):
            x, y = (np.array(outline) * (size * math.sqrt(aspect) / 2, size / math.sqrt(aspect) / 2)).T
            turned = np.stack([x * math.cos(angle) - y * math.sin(angle), x * math.sin(angle) + y * math.cos(angle)], 1)
            pen.polygon([(float(a), float(b)) for a, b in (turned + centre) * _DETAIL], fill=value)
        mask = mask.resize(picture.size, Image.Resampling.BOX)
        box = mask.point(lambda value: 255 * (value >= 128)).getbbox()
        if box is not None and min(box[2] - box[0], box[3] - box[1]) >= 4 and all(
            _iou(box, other) <= _MOST_IOU for other in others
        ):  # fmt: skip
            picture.paste(tuple(int(value) for value in draw.integers(256, size=3)), mask=mask)
            return box
    return None


def _outlines(kind: str) -> list[tuple[list[tuple[float, float]], int]]:
    """Corners in [-1, 1]^2 of what is filled, and of what is taken out again."""
    if kind == "disc":
        return [(_ring(48), 255)]
    if kind == "ring":
        return [(_ring(48), 255), (_ring(48, 0.55), 0)]
    if kind == "box":
        return [([(-0.8, -0.8), (0.8, -0.8), (0.8, 0.8), (-0.8, 0.8)], 255)]
    if kind == "triangle":
        return [(_ring(3), 255)]
    if kind == "star":
        outer, inner = _ring(5), _ring(5, 0.42, math.pi / 5)
        return [([corner for pair in zip(outer, inner, strict=True) for corner in pair], 255)]
    arm = 0.3
    return [([(-1, -arm), (1, -arm), (1, arm), (-1, arm)], 255), ([(-arm, -1), (arm, -1), (arm, 1), (-arm, 1)], 255)]


def _ring(corners: int, radius: float = 1.0, offset: float = 0.0) -> list[tuple[float, float]]:
    angles = [offset + 2 * math.pi * each / corners for each in range(corners)]
    return [(radius * math.sin(angle), -radius * math.cos(angle)) for angle in angles]


def _iou(one: tuple[int, ...], other: tuple[int, ...]) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    both = max(0, width) * max(0, height)
    return both / ((one[2] - one[0]) * (one[3] - one[1]) + (other[2] - other[0]) * (other[3] - other[1]) - both)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--train", type=int, default=200, help="pictures to train on (default: %(default)s)")
    parser.add_argument("--validation", type=int, default=60, help="pictures to score on (default: %(default)s)")
    parser.add_argument("--side-px", type=int, default=160, help="of a picture (default: %(default)s)")
    parser.add_argument("--classes", type=int, default=3, choices=range(1, len(CLASSES) + 1),
                        help=f"of {', '.join(CLASSES)} (default: %(default)s)")  # fmt: skip
    parser.add_argument("--most", type=int, default=4, help="shapes of a picture (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    folder = make_shapes(
        given.folder, train=given.train, validation=given.validation, side_px=given.side_px, classes=given.classes,
        most=given.most, seed=given.seed,
    )  # fmt: skip
    print(f"{folder}: {given.train} pictures to train on and {given.validation} to score on")


if __name__ == "__main__":
    main()
