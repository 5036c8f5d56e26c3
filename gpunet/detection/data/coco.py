"""Annotations in COCO's format, read whole and checked: what breaks a rule is refused with its place in the file.

The format: https://cocodataset.org/#format-data. `images`, `annotations` (boxes alone are read, as [left, top, width,
height] in px) and `categories`; everything else is left as it is.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gpunet.core.json_files import checked_json
from gpunet.detection.data.places import annotations_of, folder_of_images
from gpunet.errors import FAILED_EXIT_CODE, DataError

_BOX_WORDS = "a box is [left, top, width, height], in px"


@dataclass(frozen=True)
class Box:
    """An annotation.

    Args:
        left, top, width, height: as the file has them, in px.
        label: of its class, from 1, in the data's own order.
        crowd: it is around many objects (`iscrowd`): nothing is learned from it, and what is found in it counts neither
            as right nor as wrong.
        area: as the file has it, in px^2; of the box where it has none.
    """

    left: float
    top: float
    width: float
    height: float
    label: int
    crowd: bool
    area: float


@dataclass(frozen=True)
class Picture:
    """A picture with its boxes.

    Args:
        file: where it lies.
        id: in the file of annotations.
        width_px, height_px: as that file has them; None where it does not say.
        boxes: all of them.
    """

    file: Path
    id: int
    width_px: int | None
    height_px: int | None
    boxes: tuple[Box, ...]


@dataclass(frozen=True)
class CocoData:
    """Pictures with boxes.

    Args:
        name: of the file of annotations.
        classes: their names, in the order of their numbers; label k is `classes[k - 1]`.
        pictures: in the file's order.
    """

    name: str
    classes: tuple[str, ...]
    pictures: tuple[Picture, ...]

    def __len__(self) -> int:
        return len(self.pictures)

    def learnable(self, index: int, width_px: int, height_px: int) -> tuple[np.ndarray, np.ndarray]:
        """Boxes to learn from, `n x 4` float32 (left, top, right, bottom) within the picture, and their labels.

        Crowds are left out, and what of a box is outside the picture; so is a box of which nothing is left.
        """
        found = [
            ((*place, box.label)) for box in self.pictures[index].boxes
            if not box.crowd and (place := _within(box, width_px, height_px)) is not None
        ]  # fmt: skip
        table = np.array(found, dtype=np.float64).reshape(-1, 5)
        return table[:, :4].astype(np.float32), table[:, 4].astype(np.int64)

    def for_classes(self, classes: Sequence[str]) -> CocoData:
        """The same, with the labels of a detector that was trained for these classes.

        Raises:
            DataError: (a ValueError) the data has one that is not among them.
        """
        if tuple(classes) == self.classes:
            return self
        unknown = [name for name in self.classes if name not in classes]
        if unknown:
            raise DataError(
                f"{self.name} has the class {unknown[0]!r}, which the detector does not know.",
                f"It knows {_listed(classes)}.",
            )
        numbers = {label: 1 + list(classes).index(name) for label, name in enumerate(self.classes, start=1)}
        pictures = tuple(
            Picture(each.file, each.id, each.width_px, each.height_px, tuple(
                Box(box.left, box.top, box.width, box.height, numbers[box.label], box.crowd, box.area)
                for box in each.boxes
            ))
            for each in self.pictures
        )  # fmt: skip
        return CocoData(self.name, tuple(classes), pictures)

    def about(self) -> str:
        """How much of what there is, in a sentence, with what is not learned from."""
        boxes = [(picture, box) for picture in self.pictures for box in picture.boxes]
        said = [f"{len(self)} pictures, {len(boxes)} boxes of {len(self.classes)} classes"]
        empty = sum(not picture.boxes for picture in self.pictures)
        crowds = sum(box.crowd for _, box in boxes)
        sized = [(each, box) for each, box in boxes if each.width_px and each.height_px and not box.crowd]
        places = [_within(box, each.width_px or 0, each.height_px or 0) for each, box in sized]
        lost = sum(place is None for place in places)
        cut = sum(
            place is not None and not _same(place, box) for place, (_, box) in zip(places, sized, strict=True)
        )  # fmt: skip
        for count, words in (
            (empty, "pictures without a box"), (crowds, "crowds, not learned from"),
            (cut, "boxes that reach outside their picture, cut there"),
            (lost, "boxes without an area in their picture, left out"),
        ):  # fmt: skip
            if count:
                said.append(f"{count} {words}")
        return "; ".join(said)


def _within(box: Box, width_px: int, height_px: int) -> tuple[float, float, float, float] | None:
    """Left, top, right and bottom of what of a box is in its picture; None for less than a thousandth of a px."""
    left, right = max(0.0, box.left), min(float(width_px), box.left + box.width)
    top, bottom = max(0.0, box.top), min(float(height_px), box.top + box.height)
    return None if right - left < 1e-3 or bottom - top < 1e-3 else (left, top, right, bottom)


def _same(place: tuple[float, float, float, float], box: Box) -> bool:
    whole = (box.left, box.top, box.left + box.width, box.top + box.height)
    return all(abs(one - other) < 1 for one, other in zip(place, whole, strict=True))


def open_coco(
    folder: str | Path,
    split: str = "train",
    *,
    annotations: str | Path | None = None,
    images: str | Path | None = None,
) -> CocoData:
    """Pictures with boxes.

    Args:
        folder: holds the annotations as `annotations/instances_<split>.json` (or with a year: `train2017`), as
            `annotations/<split>.json` or as `<split>/_annotations.coco.json`, and the pictures in `<split>/`,
            `images/<split>/`, `images/` or itself.
        split: 'train' or 'validation' ('val', 'valid', 'test'), or as the file names it.
        annotations: that file, instead.
        images: the folder of the pictures, instead.

    Raises:
        DataError: (a ValueError) there is no such data; the file is damaged, or breaks a rule of the format, and the
            message names the place.
    """
    folder = Path(folder).expanduser()
    path = Path(annotations).expanduser() if annotations is not None else annotations_of(folder, split)
    found = checked_json(path, error=DataError, hint="Fetch or write it anew.")
    return _Reader(path).data(found, folder, path, None if images is None else Path(images).expanduser())


class _Reader:
    """Reads one file; every fault of it is told with the file and its place there."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def data(self, found: Any, folder: Path, path: Path, images: Path | None) -> CocoData:
        if not isinstance(found, dict):
            raise self._fault("", f"{type(found).__name__}s are no annotations", "It is an object: see docs.")
        labels, classes = self._classes(found)
        boxes = self._boxes(found, labels)
        rows = [*self._rows(found, "images")]
        if not rows:
            raise self._fault("images", "there is none")
        names = [self._text(row, "file_name", place) for place, row in rows]
        place = folder_of_images(folder, path, images, names[0])
        pictures, seen = [], set()
        for (at, row), name in zip(rows, names, strict=True):
            number = self._id(row, "id", at)
            if number in seen:
                raise self._fault(f"{at}.id", f"{number} is another image's too")
            seen.add(number)
            width, height = (self._side(row, side, at) for side in ("width", "height"))
            pictures.append(Picture(place / name, number, width, height, tuple(boxes.pop(number, ()))))
        if boxes:
            number, (first, *_) = next(iter(boxes.items()))
            raise self._fault("annotations", f"{number} is no image's id (image_id of a {classes[first.label - 1]!r})")
        return CocoData(str(path), classes, tuple(pictures))

    def _classes(self, found: Mapping[str, Any]) -> tuple[dict[int, int], tuple[str, ...]]:
        by_id: dict[int, str] = {}
        for at, row in self._rows(found, "categories"):
            number, name = self._id(row, "id", at), self._text(row, "name", at)
            if number in by_id:
                raise self._fault(f"{at}.id", f"{number} is another category's too")
            if name in by_id.values():
                raise self._fault(f"{at}.name", f"{name!r} is another category's too")
            by_id[number] = name
        if not by_id:
            raise self._fault("categories", "there is none")
        ordered = sorted(by_id)
        return {number: label for label, number in enumerate(ordered, start=1)}, tuple(by_id[each] for each in ordered)

    def _boxes(self, found: Mapping[str, Any], labels: Mapping[int, int]) -> dict[int, list[Box]]:
        boxes: dict[int, list[Box]] = {}
        for at, row in self._rows(found, "annotations"):
            category = self._id(row, "category_id", at)
            if category not in labels:
                raise self._fault(f"{at}.category_id", f"{category} is no category's id")
            given = row.get("bbox")
            if not (isinstance(given, list) and len(given) == 4 and all(map(_is_number, given))):
                raise self._fault(f"{at}.bbox", f"{given!r:.80} is no box", f"{_BOX_WORDS.capitalize()}.")
            if given[2] < 0 or given[3] < 0:
                raise self._fault(f"{at}.bbox", f"{given} has a side below 0", f"{_BOX_WORDS.capitalize()}.")
            area, crowd = row.get("area", given[2] * given[3]), row.get("iscrowd", 0)
            if not _is_number(area) or area < 0:
                raise self._fault(f"{at}.area", f"{area!r:.80} is no area")
            if crowd not in (0, 1):
                raise self._fault(f"{at}.iscrowd", f"{crowd!r:.80} is neither 0 nor 1")
            left, top, width, height = map(float, given)
            box = Box(left, top, width, height, labels[category], bool(crowd), float(area))
            boxes.setdefault(self._id(row, "image_id", at), []).append(box)
        return boxes

    def _rows(self, found: Mapping[str, Any], name: str) -> Iterator[tuple[str, dict[str, Any]]]:
        rows = found.get(name)
        if not isinstance(rows, list):
            what = "missing" if name not in found else f"a {type(rows).__name__} is no list"
            raise self._fault(name, what, "COCO's format has images, annotations and categories, a list each.")
        for number, row in enumerate(rows):
            if not isinstance(row, dict):
                raise self._fault(f"{name}[{number}]", f"{row!r:.80} is no object")
            yield f"{name}[{number}]", row

    def _id(self, row: Mapping[str, Any], key: str, at: str) -> int:
        value = row.get(key)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self._fault(f"{at}.{key}", "missing" if key not in row else f"{value!r:.80} is no integer")
        return value

    def _text(self, row: Mapping[str, Any], key: str, at: str) -> str:
        value = row.get(key)
        if not isinstance(value, str) or not value:
            raise self._fault(f"{at}.{key}", "missing" if key not in row else f"{value!r:.80} is no text")
        return value

    def _side(self, row: Mapping[str, Any], key: str, at: str) -> int | None:
        value = row.get(key)
        if value is not None and (not _is_number(value) or value < 1 or value != int(value)):
            raise self._fault(f"{at}.{key}", f"{value!r:.80} is no number of px")
        return None if value is None else int(value)

    def _fault(self, at: str, what: str, hint: str = "") -> DataError:
        return DataError(
            f"{self._path}: {at}{': ' if at else ''}{what}.", hint or "Mend the file.", exit_code=FAILED_EXIT_CODE
        )


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
