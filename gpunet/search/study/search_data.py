"""Which images a search trains and ranks networks on, as data that is JSON both ways (gpunet.core.fields)."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpunet.core.fields import check_name, check_number
from gpunet.errors import DataError, SpecError

if TYPE_CHECKING:
    from gpunet.train.data.datasets import ImageData


@dataclass(frozen=True)
class SearchData:
    """Images to train on, and others to rank networks on.

    A network that was chosen for its score on some images is better on them than on others. So a part of the training
    split is kept out to rank networks, and the search does not touch the validation split; `holdout=0` ranks on that.

    Args:
        data, root, class_map: see `gpunet.train.open_data`.
        train_split: of a folder its subfolder, which it must have.
        validation_split: what the winner is scored on.
        fraction: part of the training images that networks are trained on, the same of each class.
        validation_fraction: part of the validation split that networks are ranked on, where `holdout` is 0.
        holdout: part of the training split, the same of each class, that is kept out and that networks are ranked on.
        num_classes: for data that does not name its classes, and for a part of ImageNet's.
        seed: which images belong to the parts.

    Raises:
        SpecError: (a ValueError) naming the path of the fault.
    """

    data: str
    root: str | None = None
    class_map: str | None = None
    train_split: str = "train"
    validation_split: str = "validation"
    fraction: float = 1.0
    validation_fraction: float = 1.0
    holdout: float = 0.1
    num_classes: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("data", "root", "class_map", "train_split", "validation_split"):
            value = getattr(self, name)
            if isinstance(value, os.PathLike):
                value = os.fspath(value)
                object.__setattr__(self, name, value)
            if value is not None or name not in ("root", "class_map"):
                check_name(f"data.{name}", value)
        for name in ("fraction", "validation_fraction"):
            check_number(f"data.{name}", getattr(self, name), 0, 1, above=True)
        check_number("data.holdout", self.holdout, 0, 1, below=True)
        if self.num_classes is not None:
            check_number("data.num_classes", self.num_classes, 2, whole=True)
        check_number("data.seed", self.seed, 0, whole=True)
        if self.holdout and self.validation_fraction != 1:
            raise SpecError(
                f"data.validation_fraction: {self.validation_fraction!r} is of no effect beside a holdout of "
                f"{self.holdout!r}",
                "Give holdout=0 to rank networks on the validation split; or leave validation_fraction out.",
            )
        if self.train_split == self.validation_split:
            raise SpecError(f"data.validation_split: {self.validation_split!r} is the training split too")

    # ------------------------------------------------------------ where it lies

    def absolute(self, folder: str | Path = ".") -> SearchData:
        """The same with absolute paths, so that it can be opened from anywhere on this machine.

        Args:
            folder: that relative paths are named from.
        """
        from gpunet.train.data.datasets import data_folder

        base = Path(folder).expanduser().absolute()
        found = data_folder(self.data, base if self.root is None else base / Path(self.root).expanduser())
        class_map, root = (
            None if value is None else str(base / Path(value).expanduser()) for value in (self.class_map, self.root)
        )
        if found is not None:
            return dataclasses.replace(self, data=str(found.absolute()), root=None, class_map=class_map)
        return dataclasses.replace(self, root=root, class_map=class_map)

    @property
    def place(self) -> str | None:
        """Where it lies: the folder, or a named dataset's root; None where only a name is known."""
        return self.data if os.path.isabs(self.data) else self.root

    def at(self, place: str | Path) -> SearchData:
        """The same, lying elsewhere: what `place` is on this machine."""
        where = str(Path(place).expanduser().absolute())
        if os.path.isabs(self.data):
            return dataclasses.replace(self, data=where)
        return dataclasses.replace(self, root=where)

    # --------------------------------------------------------------- the images

    def ranking(self, batch_size: int = 1) -> tuple[ImageData, ImageData, int]:
        """Images to train on, images to rank networks on, and the number of classes.

        Args:
            batch_size: of a stream's reader.

        Raises:
            DataError: (a ValueError) there is no such data, it cannot be divided, or it does not say its classes.
        """
        images = self._training(batch_size)
        if self.holdout and images.streamed:
            raise DataError(
                f"{images.name} is a stream, so no part of it can be kept out to rank networks.",
                "Give holdout=0 to rank them on the validation split.",
            )
        if self.holdout:
            images, scored = images.split(self.holdout, seed=self.seed)
        else:
            scored = self._open(self.validation_split, batch_size).fraction(self.validation_fraction, seed=self.seed)
        return self._alike(images.fraction(self.fraction, seed=self.seed), scored)

    def whole(
        self, batch_size: int = 1, validation_split: str | None = None, fraction: float = 1.0
    ) -> tuple[ImageData, ImageData, int]:
        """The training split, the validation split, and the number of classes.

        Args:
            batch_size: of a stream's reader.
            validation_split: another than the data's.
            fraction: part of the training split.

        Raises:
            DataError: (a ValueError) see `ranking`.
            SpecError: (a ValueError) the validation split is the training split.
        """
        given = dataclasses.replace(self, validation_split=validation_split or self.validation_split)
        images = given._training(batch_size).fraction(fraction, seed=self.seed)
        return given._alike(images, given._open(given.validation_split, batch_size))

    def _training(self, batch_size: int) -> ImageData:
        from gpunet.train.data.datasets import open_training_data

        split = None if self.train_split == "train" else self.train_split  # None: a folder must have it
        return open_training_data(self.data, split=split, **self._kinds(batch_size))

    def _open(self, split: str, batch_size: int) -> ImageData:
        from gpunet.train.data.datasets import open_data

        return open_data(self.data, split=split, **self._kinds(batch_size))

    def _kinds(self, batch_size: int) -> dict[str, Any]:
        return {"root": self.root, "class_map": self.class_map, "batch_size": batch_size}

    def _alike(self, images: ImageData, scored: ImageData) -> tuple[ImageData, ImageData, int]:
        """Both with their classes numbered as a model does, and how many those are."""
        count = self.num_classes or len(images.classes or ())
        if count < 2:
            raise DataError(
                f"{images.name} names {count or 'no'} class{'' if count == 1 else 'es'}, but networks tell two or more "
                "apart.",
                "Give num_classes=N for data that does not name its classes.",
            )
        return images.for_model(count), scored.for_model(count, images.classes), count


def without_place(data: Mapping[str, Any]) -> dict[str, Any]:
    """What a SearchData's dict says, but for where on a machine the data lies: equal for the same data elsewhere."""
    body = {name: value for name, value in data.items() if name != "root"}
    for name in ("data", "class_map"):
        if isinstance(body.get(name), str) and os.path.isabs(body[name]):
            body[name] = Path(body[name]).name
    return body
