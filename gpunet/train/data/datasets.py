"""Labelled images: whatever timm's `create_dataset` opens, and `digits`; with the names of their classes.

Datasets are opened without transforms; `gpunet.train.data.loader` prepares images, and reads them so that one that
cannot be read is counted, named and skipped.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gpunet.core.files import not_a
from gpunet.core.hub import opening_dataset
from gpunet.errors import ABSENT_EXIT_CODE, DataError
from gpunet.model.classes import class_numbers
from gpunet.train.data.folder_images import FolderImages

_SHOWN = 5
TRAIN_SPLITS = ("train", "training")
VALIDATION_SPLITS = ("validation", "val", "valid", "eval", "test")
_STREAMS = ("wds/", "tfds/", "hfids/")
_PREFIXES = (*_STREAMS, "torch/", "hfds/")
_KINDS = "a folder with a folder a class, digits, or a dataset of timm's: torch/..., hfds/..., wds/..., tfds/..."


@dataclass(frozen=True)
class ImageData:
    """Labelled images.

    Args:
        name: as it was asked for, with the split.
        dataset: gives (PIL image, class) by index, or one after the other where `streamed`.
        classes: their names, in order; None where the data does not say.
        streamed: it has no random access.
        rows: indices that are taken; None for all.
        numbers: the model's number of each class; None where they are the same.
    """

    name: str
    dataset: Any
    classes: tuple[str, ...] | None
    streamed: bool = False
    rows: tuple[int, ...] | None = None
    numbers: tuple[int, ...] | None = None

    def __len__(self) -> int:
        return len(self.dataset) if self.rows is None else len(self.rows)

    def row(self, index: int) -> int:
        """The dataset's index of the image `index`."""
        return index if self.rows is None else self.rows[index]

    def file(self, index: int) -> str:
        """What an image is called: its file where it has one."""
        named = getattr(self.dataset, "filename", None)
        if callable(named):
            return str(named(self.row(index)))
        samples = getattr(self.dataset, "samples", None)
        return str(samples[self.row(index)][0]) if samples else f"image {self.row(index)} of {self.name}"

    def targets(self) -> np.ndarray:
        """The class of every image, without decoding one where the dataset knows them."""
        if self.streamed:
            raise DataError(f"{self.name} is a stream: its classes are known only by reading it.")
        known = getattr(self.dataset, "targets", None)
        samples = getattr(getattr(self.dataset, "reader", self.dataset), "samples", None)
        if known is None and samples:
            known = [sample[1] for sample in samples]
        if known is None:
            known = [_target(self.dataset, index) for index in range(len(self.dataset))]
        rows = range(len(self.dataset)) if self.rows is None else self.rows
        return np.array([self.target(known[row]) for row in rows])

    def fraction(self, part: float, *, seed: int = 0) -> ImageData:
        """A part of the images, the same part of each class (at least one image), drawn by the seed.

        Raises:
            DataError: (a ValueError) `part` is not in (0, 1], or the data is a stream.
        """
        if not 0 < part <= 1:
            raise DataError(f"a fraction must be above 0 and at most 1, but got {part!r}.")
        if part == 1:
            return self
        taken = {index for own in self._shuffled(seed) for index in own[: max(1, round(part * len(own)))]}
        return self._only(taken, f"{part:g} of each class")

    def split(self, part: float, *, seed: int | None = 0) -> tuple[ImageData, ImageData]:
        """The images without a part of them, and that part: the same part of each class, drawn by the seed.

        Without a seed it is drawn by the images' names: an image stands where it stood though others come and go.

        Both have at least one image of each class; that of a class of only one stays in the first.

        Raises:
            DataError: (a ValueError) `part` is not in (0, 1), the data is a stream, or no class has two images.
        """
        if not 0 < part < 1:
            raise DataError(f"a part to split off must be above 0 and below 1, but got {part!r}.")
        off = {
            index for own in self._shuffled(seed) for index in own[: min(len(own) - 1, max(1, round(part * len(own))))]
        }
        if not off:
            raise DataError(f"{self.name} has no class of two images or more, so no part can be split off.")
        rest = self._only(set(range(len(self))) - off, f"all but {part:g} of each class")
        return rest, self._only(off, f"{part:g} of each class")

    def _shuffled(self, seed: int | None) -> list[list[int]]:
        """The indices of each class's images, in an order drawn by the seed, or by the hashes of their names."""
        places: dict[int, list[int]] = defaultdict(list)
        for index, target in enumerate(self.targets()):
            places[int(target)].append(index)
        if seed is None:
            return [sorted(own, key=self._hash) for _, own in sorted(places.items())]
        generator = np.random.default_rng(seed)
        return [generator.permutation(own).tolist() for _, own in sorted(places.items())]

    def _hash(self, index: int) -> str:
        return hashlib.sha256(self.file(index).encode(errors="surrogateescape")).hexdigest()

    def _only(self, taken: set[int], which: str) -> ImageData:
        rows = tuple(sorted(map(self.row, taken)))
        return dataclasses.replace(self, name=f"{self.name}, {which}", rows=rows)

    def for_model(self, num_classes: int, classes: Sequence[str] | None = None) -> ImageData:
        """The same images, their classes numbered as a model does.

        A part of ImageNet's synset folders gets the numbers that those classes have for a model of all 1,000.

        Args:
            num_classes: of the model.
            classes: names of the model's, where they are known.

        Raises:
            DataError: (a ValueError) the model's classes are others than these.
        """
        if self.classes is None:
            return self
        numbers = class_numbers(self.classes, num_classes, classes)
        if numbers is None:
            raise self._other_classes(num_classes, classes)
        return self if numbers == tuple(range(num_classes)) else dataclasses.replace(self, numbers=numbers)

    def _other_classes(self, num_classes: int, classes: Sequence[str] | None) -> DataError:
        hint = "for a part of the model's classes, name them with a class map (--class-map FILE, a class a line)."
        if classes and len(classes) == num_classes:
            held, known = dict.fromkeys(self.classes or ()), Counter(classes)
            strange = [name for name in self.classes or () if name not in known]
            absent = [name for name in classes if name not in held]
            ours = f"has {_listed(strange)}, which the model does not know"
            if not strange:
                ours = f"has {_listed([name for name in held if known[name] > 1])}, which the model has more than once"
            theirs = (
                f"; the model's {_listed(absent)} {'is' if len(absent) == 1 else 'are'} not there" if absent else ""
            )
            return DataError(
                f"{self.name} {ours}{theirs}.",
                f"Train the model for these classes: gpunet train --finetune; or, {hint}",
            )
        return DataError(
            f"the model has {num_classes} classes and {self.name} has {len(self.classes or ())} "
            f"({_listed(self.classes or ())}).",
            f"Train it for these classes: gpunet train --finetune; or, {hint}",
        )

    def classes_by_number(self, num_classes: int) -> tuple[str, ...] | None:
        """The names in the order of a model's numbers (see `for_model`); None where they are not those of all."""
        if self.classes is None or len(self.classes) != num_classes:
            return None
        numbers = range(num_classes) if self.numbers is None else self.numbers
        return tuple(name for _, name in sorted(zip(numbers, self.classes, strict=True)))

    def target(self, value: int) -> int:
        """The model's number of a class of the dataset."""
        return int(value) if self.numbers is None or value < 0 else self.numbers[int(value)]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:_SHOWN])) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def open_data(
    name: str | Path,
    *,
    root: str | Path | None = None,
    split: str = "train",
    class_map: str | Path | None = None,
    batch_size: int = 1,
    seed: int = 0,
) -> ImageData:
    """A dataset by name, or a folder with a folder a class.

    Args:
        name: a folder, 'digits', or a dataset as timm names it: 'torch/cifar10', 'hfds/user/name', 'wds/...',
            'tfds/...'.
        root: where a named dataset lies, or what a folder is named from.
        split: 'train' or 'validation', or as the dataset names it; of a folder, its subfolder.
        class_map: a text file that names the classes in order, or maps names to numbers (timm's class map).
        batch_size, seed: of a stream's reader.

    Raises:
        DataError: (a ValueError) there is no such data, or it holds no image.
    """
    label = f"{name} ({split})"
    if str(name) == "digits":
        from gpunet.train.data.digits import Digits

        if class_map is not None:
            raise _unread_class_map(name)
        digits = Digits("train" if split in TRAIN_SPLITS else "validation" if split in VALIDATION_SPLITS else split)
        return ImageData(label, digits, digits.classes)
    streamed = str(name).lower().startswith(_STREAMS)
    training = split in TRAIN_SPLITS
    kwargs: dict[str, Any] = {"is_training": training, "batch_size": batch_size, "seed": seed} if streamed else {}
    if class_map is not None:
        if str(name).lower().startswith("torch/"):
            raise _unread_class_map(name)
        if not Path(class_map).is_file() or Path(class_map).suffix != ".txt":
            raise not_a("class map", class_map, DataError, "Give a text file (.txt) with a class a line.")
        kwargs["class_map"] = str(class_map)
    folder = data_folder(name, root)
    if folder is not None and folder.is_dir():
        dataset: Any = FolderImages(split_folder(folder, split), class_map)
    elif folder is not None:
        raise not_a("folder", folder, DataError, f"Data is {_KINDS}.")
    else:
        dataset = _create(str(name), root, split, kwargs)
    if hasattr(dataset, "__len__") and not len(dataset):
        raise DataError(f"{label} holds no image.", f"Data is {_KINDS}.")
    return ImageData(label, dataset, _classes(dataset), streamed)


def data_folder(name: str | Path, root: str | Path | None = None) -> Path | None:
    """The folder that data is called by, whether it is there or not; None for `digits` and datasets of timm's.

    Args:
        name, root: see `open_data`.
    """
    if str(name) == "digits":
        return None
    folder = Path(name).expanduser()
    if root is not None and not str(name).lower().startswith(_PREFIXES):
        folder = Path(root).expanduser() / folder
    named = "/" in str(name) and not str(name).startswith((".", "/", "~"))  # a dataset's name, unless it is a folder
    return folder if folder.is_dir() or not named else None


def open_training_data(
    name: str | Path, *, split: str | None = None, root: str | Path | None = None, **options: Any
) -> ImageData:
    """The training split: as `open_data`; a folder must have one, so that nobody trains on the validation images."""
    folder = data_folder(name, root)
    if folder is not None and folder.is_dir() and split is None and split_folder(folder, "train") == folder:
        raise DataError(
            f"{folder} has no folder 'train', so its images cannot be told apart for training and validation.",
            "Hold a part of them out: --holdout 0.2; or put them in train/ and validation/, or name --train-split.",
        )
    return open_data(name, split=split or "train", root=root, **options)


def open_held_out(
    name: str | Path, part: float, *, root: str | Path | None = None, **options: Any
) -> tuple[ImageData, ImageData]:
    """A folder of classes that has no splits, as training and validation images: see `ImageData.split`.

    Args:
        name, root, options: see `open_data`.
        part: of each class's images that are held out, drawn by their names.

    Raises:
        DataError: (a ValueError) the data has splits, is no folder, or cannot be opened.
    """
    folder = data_folder(name, root)
    if folder is None:
        raise DataError(f"{name} has splits of its own, so no part is held out.", "Leave --holdout out.")
    splits = [each for each in (*TRAIN_SPLITS, *VALIDATION_SPLITS) if (folder / each).is_dir()]
    if splits:
        raise DataError(f"{folder} has splits already ({', '.join(splits)}), so no part is held out.",
                        "Leave --holdout out.")  # fmt: skip
    data = open_data(name, root=root, **options)
    return dataclasses.replace(data, name=str(name)).split(part, seed=None)


def _unread_class_map(name: str | Path) -> DataError:
    return DataError(f"nothing reads a class map of {name}, whose classes are given.", "Leave --class-map out.")


def split_folder(folder: Path, split: str) -> Path:
    """The subfolder of a split, which may have another name than it was asked for; the folder where it has no splits.

    Raises:
        DataError: (a ValueError) it has others, but not this one.
    """
    for synonyms, others in ((TRAIN_SPLITS, VALIDATION_SPLITS), (VALIDATION_SPLITS, TRAIN_SPLITS)):
        if split in synonyms:
            found = [folder / each for each in (split, *synonyms) if (folder / each).is_dir()]
            wrong = [each for each in others if (folder / each).is_dir()]
            if wrong and not found:
                raise DataError(
                    f"{folder} has a folder {wrong[0]!r}, but none for {split!r}.",
                    f"Add one of {', '.join(synonyms)}; or name the folder with the classes itself.",
                )
            return found[0] if found else folder
    if not (folder / split).is_dir():
        raise DataError(f"{folder} has no folder {split!r}.", "Name one that it has; or train, or validation.")
    return folder / split


def _create(name: str, root: str | Path | None, split: str, kwargs: dict[str, Any]) -> Any:
    from timm.data import create_dataset

    try:
        with opening_dataset(name):
            return create_dataset(name, root=None if root is None else str(root), split=split, **kwargs)
    except (AssertionError, ImportError, LookupError, OSError, RuntimeError, TypeError, ValueError) as error:
        shown = f"the dataset {name!r} (root {root}, split {split!r})" if name else f"the folder {root}"
        raise DataError(
            f"timm cannot open {shown}: {type(error).__name__}: {error}",
            f"Data is {_KINDS}; a named one takes its root (--data-root) and split as timm.data.create_dataset does.",
            exit_code=ABSENT_EXIT_CODE if isinstance(error, OSError) else None,
        ) from error


def _target(dataset: Any, index: int) -> Any:
    reader = getattr(dataset, "reader", None)
    if reader is None:
        return dataset[index][1]
    file, target = reader[index][:2]
    file.close()
    return target


def _classes(dataset: Any) -> tuple[str, ...] | None:
    """Names of the classes, in order, where a dataset has them anywhere."""
    reader = getattr(dataset, "reader", None)
    for place in (dataset, reader):
        by_name = getattr(place, "class_to_idx", None)
        if isinstance(by_name, dict) and by_name and all(isinstance(value, int) for value in by_name.values()):
            ordered = sorted(by_name, key=lambda each: by_name[each])
            return tuple(map(str, ordered)) if len(set(by_name.values())) == len(by_name) else None
        names = getattr(place, "classes", None)
        if isinstance(names, (list, tuple)) and names:
            return tuple(map(str, names))
    return None
