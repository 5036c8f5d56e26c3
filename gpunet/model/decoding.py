"""Pictures as they lie on disk: of any mode that Pillow knows, of a depth of 16 bits, damaged."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from gpunet.errors import ABSENT_EXIT_CODE, DataError, GpunetError

UNREADABLE: tuple[type[Exception], ...] = (
    OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, zlib.error, Image.DecompressionBombError,
)  # fmt: skip
"""What Pillow raises for a damaged picture."""


def decoded(file: Any, mode: str) -> Image.Image:
    """The picture (the first one of several) of an open file, in a mode such as 'RGB'.

    Raises:
        UNREADABLE: it is damaged.
    """
    with Image.open(file) as opened:
        if _deep(opened):
            # Pillow would clip every value above 255, which leaves a white picture.
            return Image.fromarray((np.asarray(opened).astype(np.int64).clip(0, 65535) >> 8).astype(np.uint8)).convert(
                mode
            )
        if opened.mode == "P" and "transparency" in opened.info:
            return opened.convert("RGBA").convert(mode)  # the same colours, without Pillow's warning
        return opened.convert(mode)


def read_picture(path: Path, *, error: type[GpunetError] = DataError) -> Image.Image:
    """The picture in a file, in RGB.

    Raises:
        GpunetError: (DataError, or `error`) there is no such file, or it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            return decoded(file, "RGB")
    except UNREADABLE as fault:
        absent = isinstance(fault, FileNotFoundError)
        unknown = isinstance(fault, UnidentifiedImageError)
        reason = "there is no such file" if absent else "no kind of picture that is known" if unknown else str(fault)
        raise error(
            f"{path} cannot be read as a picture: {reason}.", "JPEG, PNG, WebP and others can.",
            exit_code=ABSENT_EXIT_CODE if absent else None,
        ) from fault  # fmt: skip


def _deep(image: Image.Image) -> bool:
    return image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG")
