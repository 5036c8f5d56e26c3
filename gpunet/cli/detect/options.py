"""Options that several commands of `gpunet detect` have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gpunet.cli.options import opt
from gpunet.errors import InvalidArgumentError

Data = Annotated[
    Path | None,
    opt("--data", metavar="FOLDER",
        help="data in COCO's format: annotations/instances_train.json and instances_val.json with train/ and val/, or "
        "train/_annotations.coco.json and valid/_annotations.coco.json"),
]  # fmt: skip
Annotations = Annotated[
    Path | None, opt("--annotations", metavar="FILE", help="the file of annotations, where it lies elsewhere")
]
Images = Annotated[Path | None, opt("--images", metavar="DIR", help="the folder of its pictures, instead")]
Detector = Annotated[Path, typer.Argument(metavar="RUN", help="the folder of a run of 'gpunet detect train'")]
BatchSize = Annotated[int, opt("--batch-size", "-b", metavar="N", min=1, help="pictures a run (default: 4)")]


def folder_of(data: Path | None, annotations: Path | None, what: str) -> Path:
    """The folder of the data that the command line names.

    Raises:
        InvalidArgumentError: it names none.
    """
    if data is not None:
        return data
    if annotations is not None:
        return annotations.parent
    raise InvalidArgumentError(f"there is nothing to {what}.", "Name it: --data FOLDER.")
