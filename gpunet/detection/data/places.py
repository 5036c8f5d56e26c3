"""Where annotations and pictures lie in a folder of COCO's format: as COCO has them, and as others export them."""

from __future__ import annotations

from pathlib import Path

from gpunet.core.files import not_a
from gpunet.errors import ABSENT_EXIT_CODE, DataError
from gpunet.train.data.datasets import TRAIN_SPLITS, VALIDATION_SPLITS

ROBOFLOW = "_annotations.coco.json"
_LAYOUT = (
    "It holds annotations/instances_train.json and instances_val.json, or train/_annotations.coco.json and "
    "valid/_annotations.coco.json; or name the file: --annotations FILE."
)


def annotations_of(folder: Path, split: str) -> Path:
    """The file of a split's annotations.

    Raises:
        DataError: (a ValueError) there is no such folder, none in it, or more than one.
    """
    if not folder.is_dir():
        raise not_a("folder", folder, DataError, _LAYOUT)
    for name in _names(split):
        exact = [folder / "annotations" / f"instances_{name}.json", folder / "annotations" / f"{name}.json",
                 folder / name / ROBOFLOW, folder / f"instances_{name}.json", folder / f"{name}.json"]  # fmt: skip
        for path in exact:
            if path.is_file():
                return path
        dated = sorted(folder.glob(f"annotations/instances_{name}[0-9]*.json"))
        if len(dated) > 1:
            shown = ", ".join(path.name for path in dated)
            raise DataError(f"{folder} has several files for {split!r}: {shown}.", "Name one: --annotations FILE.")
        if dated:
            return dated[0]
    raise DataError(f"{folder} has no annotations for {split!r}.", _LAYOUT, exit_code=ABSENT_EXIT_CODE)


def folder_of_images(folder: Path, annotations: Path, images: Path | None, first: str) -> Path:
    """The folder that the pictures' names are of.

    Args:
        folder: of the data.
        annotations: the file that names them.
        images: where they are said to be; None to look.
        first: the first picture's name.

    Raises:
        DataError: (a ValueError) the first picture is nowhere.
    """
    stem = annotations.stem.removeprefix("instances_")
    looked = [images] if images is not None else [
        annotations.parent, folder / stem, folder / "images" / stem, folder / "images", folder
    ]  # fmt: skip
    for place in looked:
        if (place / first).is_file():
            return place
    raise DataError(
        f"the picture {first} of {annotations} is not in {', '.join(map(str, looked))}.",
        "Name the folder of the pictures: --images DIR.",
        exit_code=ABSENT_EXIT_CODE,
    )


def _names(split: str) -> tuple[str, ...]:
    for synonyms in (TRAIN_SPLITS, VALIDATION_SPLITS):
        if split in synonyms:
            return tuple(dict.fromkeys((split, *synonyms)))
    return (split,)
