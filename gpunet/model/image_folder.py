"""Image folders: which files are pictures, and of which class each is. Everything that reads a folder asks here.

A picture's class is the first folder below the root that it lies in, as torchvision has it; folders deeper down belong
to it. Classes are numbered in timm's order: without regard to case, and numbers in names by their value.
"""

from __future__ import annotations

import functools
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gpunet.errors import DataError

# Pillow has these by name, but reads them by other programs, or finds no picture in them.
_NO_PICTURES = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}
_SHOWN = 3


@dataclass(frozen=True)
class ImageFolder:
    """The pictures below a folder.

    Args:
        root: the folder.
        classes: in the order of their numbers; none where the pictures lie flat in the folder.
        samples: file and class of each picture, by name; -1 where they lie flat.
        left_out: files that are no pictures, or lie in no class, each with the reason.
    """

    root: Path
    classes: tuple[str, ...]
    samples: tuple[tuple[str, int], ...]
    left_out: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        """What was left out, in a line; '' where nothing was."""
        if not self.left_out:
            return ""
        reasons = Counter(reason for _, reason in self.left_out)
        counts = ", ".join(f"{count} {reason}" for reason, count in reasons.items())
        shown = ", ".join(os.path.relpath(name, self.root) for name, _ in self.left_out[:_SHOWN])
        return f"left out of {self.root}: {counts} ({shown}{', ...' if len(self.left_out) > _SHOWN else ''})"


@functools.cache
def suffixes() -> frozenset[str]:
    """What the names of pictures end in that Pillow opens, in lower case."""
    from PIL import Image

    known = Image.registered_extensions().items()
    return frozenset(suffix for suffix, kind in known if kind in Image.OPEN and kind not in _NO_PICTURES)


def read_image_folder(root: str | Path, *, flat: bool | None = None) -> ImageFolder:
    """The pictures below a folder, with their classes.

    Hidden files and folders are no pictures and no classes; a link that leads back is followed once.

    Args:
        root: the folder.
        flat: the pictures lie in it and in no class; None where there are no folders with pictures in it.

    Raises:
        DataError: (a ValueError) a name is not UTF-8, or two classes have one name.
        OSError: a folder cannot be read.
    """
    root = Path(root)
    found: list[tuple[str, str]] = []  # class, file
    left_out: list[tuple[str, str]] = []
    for name in sorted(_files(root), key=lambda file: file.split(os.sep)):
        owner, _, below = os.path.relpath(name, root).partition(os.sep)
        if os.path.splitext(name)[1].lower() not in suffixes():
            left_out.append((name, "no picture by its name"))
        else:
            found.append((owner if below else "", name))
    if flat is None:
        flat = not any(owner for owner, _ in found)
    if flat:
        return ImageFolder(root, (), tuple((name, -1) for _, name in found), tuple(left_out))
    left_out += [(name, "in no class's folder") for owner, name in found if not owner]
    classes = _classes(root, {owner for owner, _ in found if owner})
    numbers = {owner: number for number, owner in enumerate(classes)}
    names = tuple(unicodedata.normalize("NFC", owner) for owner in classes)
    samples = tuple((name, numbers[owner]) for owner, name in found if owner)
    return ImageFolder(root, names, samples, tuple(left_out))


def _classes(root: Path, owners: set[str]) -> list[str]:
    names = Counter(unicodedata.normalize("NFC", owner) for owner in owners)
    twice = [name for name, count in names.items() if count > 1]
    if twice:
        raise DataError(
            f"{root} has {names[twice[0]]} folders that are all written {twice[0]!r}.", "Rename or merge them."
        )
    return sorted(owners, key=lambda owner: (_natural(owner), owner))


def _natural(name: str) -> list[tuple[int, int, str]]:
    """A key of timm's order: 'a10' behind 'a2', whatever the case."""
    parts = re.split(r"(\d+)", name.lower())
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part]


def _files(root: Path) -> Iterator[str]:
    """All files below a folder that are not hidden, each folder once however many links lead to it."""
    seen: set[tuple[int, int]] = set()
    for folder, inside, files in os.walk(root, followlinks=True, onerror=_raise):
        place = os.stat(folder)
        if (place.st_dev, place.st_ino) in seen:
            inside.clear()
            continue
        seen.add((place.st_dev, place.st_ino))
        inside[:] = sorted(name for name in inside if not name.startswith((".", "__MACOSX")))
        for name in sorted((*inside, *files)):
            try:
                name.encode()
            except UnicodeEncodeError:
                shown = os.fsencode(os.path.join(folder, name)).decode(errors="backslashreplace")
                raise DataError(f"the name of {shown} is not UTF-8, so no model could name it.", "Rename it.") from None
        yield from (os.path.join(folder, name) for name in sorted(files) if not name.startswith("."))


def _raise(error: OSError) -> None:
    raise error
