"""The pictures of a folder as a dataset."""

from __future__ import annotations

import logging
import os
import unicodedata
from pathlib import Path
from typing import Any

from gpunet.errors import DataError
from gpunet.model.decoding import decoded
from gpunet.model.image_folder import read_image_folder

_log = logging.getLogger("gpunet")


class FolderImages:
    """The pictures of a folder with a folder a class: (picture, class) by index.

    Args:
        root: the folder of the classes.
        class_map: a text file: names of the classes in order, or names with numbers; others are left out.

    Raises:
        DataError: (a ValueError) a name cannot be kept, or a number in the class map is none.
    """

    input_img_mode = "RGB"

    def __init__(self, root: Path, class_map: str | Path | None = None) -> None:
        found = read_image_folder(root, flat=False)
        if found.left_out:
            _log.warning("%s", found)
        self.root = root
        self.class_to_idx = {name: number for number, name in enumerate(found.classes)}
        self.samples = list(found.samples)
        if class_map is not None:
            self.class_to_idx = _class_map(Path(class_map))
            numbers = [self.class_to_idx.get(name) for name in found.classes]
            self.samples = [(file, number) for file, own in found.samples if (number := numbers[own]) is not None]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        file, number = self.samples[index]
        with open(file, "rb") as opened:
            return decoded(opened, self.input_img_mode), number

    def filename(self, index: int) -> str:
        """A picture's name below the root."""
        return os.path.relpath(self.samples[index][0], self.root)


def _class_map(path: Path) -> dict[str, int]:
    from timm.data.readers.class_map import load_class_map

    try:
        return {unicodedata.normalize("NFC", name): int(number) for name, number in load_class_map(str(path)).items()}
    except (OSError, ValueError, AssertionError) as error:
        raise DataError(f"{path} cannot be read as a class map: {error}", "A class a line, in order.") from None
