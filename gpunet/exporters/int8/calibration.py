"""Images that quantisation is calibrated and judged on, prepared by the model's own transforms, one at a time.

From a folder, from any dataset that timm can open, or as arrays. Labels are used where they can be matched with the
model's classes, and only then: a subset's folders, numbered from 0, would name the wrong ones.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gpunet.core.arguments import checked_integer
from gpunet.core.files import not_a
from gpunet.core.hub import opening_dataset
from gpunet.errors import ABSENT_EXIT_CODE, InvalidArgumentError
from gpunet.exporters.images import ImageSet, _prepared
from gpunet.model.classes import class_numbers, classes_of
from gpunet.model.decoding import UNREADABLE, decoded, read_picture
from gpunet.model.image_folder import read_image_folder

if TYPE_CHECKING:
    from torch import nn

# A folder, the name of one of timm's datasets ('torch/cifar10'), pictures, prepared arrays, or a dataset object.
Calibration = str | Path | Sequence[str | Path] | np.ndarray | Any

LIMIT = 128
JUDGED = 16
_MOST_UNREADABLE = 0.1  # of the pictures that were drawn
_SHOWN = 3
_log = logging.getLogger("gpunet")


@dataclass(frozen=True)
class CalibrationImages:
    """Images as the network takes them, made anew each time they are gone through.

    Args:
        source: where they are from, in words.
        labels: class of each image, in the model's numbering; None where that is not known.
        loaders: one call an image: `C x H x W` float32.
        folder: that they lie in, as it was given; '' where they are from elsewhere.
    """

    source: str
    labels: np.ndarray | None
    loaders: tuple[Callable[[], np.ndarray], ...]
    folder: str = ""

    def __len__(self) -> int:
        return len(self.loaders)

    def __iter__(self) -> Iterator[np.ndarray]:
        return (load() for load in self.loaders)


def calibration_images(
    model: nn.Module,
    image_shape: tuple[int, int, int],
    images: Calibration,
    *,
    root: str | Path | None = None,
    split: str = "validation",
    limit: int = LIMIT,
    seed: int = 0,
) -> CalibrationImages:
    """Images to calibrate on: `limit` of them, drawn at random but the same each time.

    Args:
        model: says how a picture is prepared (timm's data configuration) and how many classes there are.
        image_shape: channels, height and width of its input.
        images: a folder of pictures, flat or with a folder a class; the name of a dataset of timm's ('torch/cifar10',
            'hfds/...', 'tfds/...', 'wds/...'); files; an array `n x C x H x W` of float32, prepared; or a dataset
            object that gives (picture, label).
        root, split: of a dataset of timm's: where it lies, and which part of it to take.
        limit: at most so many.
        seed: of the draw.

    Raises:
        InvalidArgumentError: (a ValueError) there is no such folder or dataset, it holds no pictures, one cannot be
            read, or an array is of another shape.
    """
    checked_integer("limit", limit, 1)

    def chosen(count: int) -> list[int]:
        return sorted(np.random.default_rng(seed).permutation(count)[:limit].tolist())

    def prepare(picture: Any) -> np.ndarray:
        array: np.ndarray = _prepared(model, image_shape, [picture.convert("RGB")])[0]
        return array

    if isinstance(images, np.ndarray):
        return _from_array(images, image_shape, chosen)
    if isinstance(images, (list, tuple)) and all(isinstance(each, (str, Path)) for each in images):
        paths = [Path(each) for each in images]
        if not paths:
            raise InvalidArgumentError("the calibration images must be one picture at least, but the list is empty.")
        return CalibrationImages(
            f"{min(limit, len(paths))} of {len(paths)} files", None, _files(paths, chosen, prepare)
        )
    if not isinstance(images, (str, Path)):
        return _from_dataset(images, f"a {type(images).__name__}", _classes(model), chosen, limit, prepare)
    folder = Path(images).expanduser()
    if folder.is_dir():
        return _from_folder(folder, _classes(model), classes_of(model), chosen, prepare)
    dataset = _timm_dataset(str(images), root, split)
    return _from_dataset(dataset, f"{images} ({split})", _classes(model), chosen, limit, prepare)


def some_of(images: CalibrationImages, count: int = JUDGED) -> ImageSet:
    """Some of them, evenly spaced, for a comparison."""
    places = np.unique(np.linspace(0, len(images) - 1, count).round().astype(int))
    arrays = np.stack([np.asarray(images.loaders[place](), np.float32) for place in places])
    return ImageSet(arrays, ("calibration picture",) * len(places))


def _classes(model: nn.Module) -> int:
    return int(getattr(model, "num_classes", 0) or 0)


def _from_array(
    images: np.ndarray, image_shape: tuple[int, int, int], chosen: Callable[[int], list[int]]
) -> CalibrationImages:
    if images.dtype != np.float32 or images.shape[1:] != image_shape or not len(images):
        wanted = " x ".join(map(str, image_shape))
        raise InvalidArgumentError(
            f"the calibration images must be a float32 array of n x {wanted}, but got {images.dtype} of shape "
            f"{images.shape}."
        )
    places = chosen(len(images))
    loaders = tuple(partial(images.__getitem__, place) for place in places)
    return CalibrationImages(f"{len(places)} of {len(images)} given images", None, loaders)


def _files(
    paths: Sequence[Path], chosen: Callable[[int], list[int]], prepare: Callable[[Any], np.ndarray]
) -> tuple[Callable[[], np.ndarray], ...]:
    return tuple(partial(_prepared_file, paths[place], prepare) for place in chosen(len(paths)))


def _from_folder(
    folder: Path,
    classes: int,
    names: Sequence[str] | None,
    chosen: Callable[[int], list[int]],
    prepare: Callable[[Any], np.ndarray],
) -> CalibrationImages:
    """A folder: flat, or with a folder a class. Pictures that cannot be read are left out, and named."""
    found = read_image_folder(folder)
    if not found.samples:
        raise InvalidArgumentError(
            f"the calibration folder must hold pictures, but {folder} holds none.",
            "Hundreds like those that the network will see are best.",
        )
    places = chosen(len(found.samples))
    bad = {place: reason for place in places if (reason := _fault(Path(found.samples[place][0])))}
    kept = [place for place in places if place not in bad]
    named = "; ".join(f"{found.samples[place][0]}: {reason}" for place, reason in [*bad.items()][:_SHOWN])
    if not kept or (len(bad) > _MOST_UNREADABLE * len(places) and len(bad) > 1):
        raise InvalidArgumentError(
            f"{len(bad)} of {len(places)} pictures in {folder} cannot be read: {named}.", "Mend or remove them."
        )
    if bad:
        _log.warning("left out of the calibration: %s", named)
    numbers = class_numbers(found.classes, classes, names) if found.classes else None
    labels = None
    if numbers is not None:
        labels = np.array([numbers[found.samples[place][1]] for place in kept])
    loaders = tuple(partial(_prepared_file, Path(found.samples[place][0]), prepare) for place in kept)
    unread = f", {len(bad)} more unreadable" if bad else ""
    return CalibrationImages(
        f"{len(loaders)} of the {len(found.samples)} pictures in {folder}{unread}", labels, loaders, str(folder)
    )


def _prepared_file(path: Path, prepare: Callable[[Any], np.ndarray]) -> np.ndarray:
    return prepare(read_picture(path, error=InvalidArgumentError))


def _fault(path: Path) -> str:
    """Why a picture cannot be read; '' where it can."""
    try:
        with open(path, "rb") as file:
            decoded(file, "RGB")
    except UNREADABLE as error:
        return f"{type(error).__name__}: {error}"
    return ""


def _timm_dataset(name: str, root: str | Path | None, split: str) -> Any:
    from timm.data import create_dataset

    if "/" not in name or name.startswith((".", "/", "~")):
        raise not_a(
            "folder", name, InvalidArgumentError,
            "Give a folder of pictures, or a dataset of timm's such as torch/cifar10 with its root and split.",
        )  # fmt: skip
    try:
        with opening_dataset(name):
            return create_dataset(name, root=None if root is None else str(root), split=split, is_training=False)
    except (AssertionError, ImportError, LookupError, OSError, RuntimeError, TypeError, ValueError) as error:
        raise InvalidArgumentError(
            f"timm cannot open the dataset {name!r} (root {root}, split {split!r}): {type(error).__name__}: {error}",
            "Give root=FOLDER and split=NAME as timm.data.create_dataset takes them, or a folder of pictures.",
            exit_code=ABSENT_EXIT_CODE if isinstance(error, OSError) else None,
        ) from error


def _from_dataset(
    dataset: Any,
    name: str,
    classes: int,
    chosen: Callable[[int], list[int]],
    limit: int,
    prepare: Callable[[Any], np.ndarray],
) -> CalibrationImages:
    """A dataset of (picture, label); one without random access gives its first images."""
    loaders: tuple[Callable[[], np.ndarray], ...]
    if hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__"):
        places = chosen(len(dataset))
        labels = [_label(dataset[place]) for place in places]
        loaders = tuple(partial(lambda place: prepare(dataset[place][0]), place) for place in places)
        count = str(len(dataset))
    elif hasattr(dataset, "__iter__"):
        taken = list(itertools.islice(dataset, limit))
        labels = [_label(sample) for sample in taken]
        loaders = tuple(partial(prepare, sample[0]) for sample in taken)
        count = "the first"
    else:
        raise InvalidArgumentError(
            f"the calibration images must be a folder, a dataset, files or an array, but got {name}."
        )
    if not loaders:
        raise InvalidArgumentError(f"the calibration images must be one picture at least, but {name} holds none.")
    highest = max(labels)
    known = min(labels) >= 0 and highest < classes and _covers(dataset, classes)
    source = f"{len(loaders)} of {count} images of {name}"
    return CalibrationImages(source, np.array(labels) if known else None, loaders)


def _label(sample: Any) -> int:
    """A sample's class; -1 where it has none."""
    if not isinstance(sample, (tuple, list)) or len(sample) < 2:
        raise InvalidArgumentError(
            f"a calibration dataset must give (picture, label), but gave a {type(sample).__name__}."
        )
    try:
        return int(sample[1])
    except (TypeError, ValueError):
        return -1


def _covers(dataset: Any, classes: int) -> bool:
    """Whether a dataset has as many classes as the model, as far as it says: its numbers are then the model's."""
    inner = getattr(dataset, "reader", dataset)
    for place in (dataset, inner, getattr(dataset, "dataset", None)):
        names = getattr(place, "classes", None) or getattr(place, "class_to_idx", None)
        if names:
            return len(names) == classes
    return True
