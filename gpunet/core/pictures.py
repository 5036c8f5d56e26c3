"""Pictures as files, by matplotlib: which kinds there are, and writing one atomically."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gpunet.core.files import atomic_path, require
from gpunet.errors import InvalidArgumentError

_SUFFIXES = (".png", ".svg", ".pdf")


def checked_picture(path: str | Path, name: str = "a picture's name") -> Path:
    """The path of a picture that `picture` can draw, before anything is measured for it.

    Raises:
        InvalidArgumentError: (a ValueError) `name`, which the path was given as, ends in no picture's suffix.
        MissingDependencyError: (an ImportError) matplotlib is not installed.
    """
    path = Path(path)
    if path.suffix.lower() not in _SUFFIXES:
        example = f"Try {path.with_suffix('.png').name!r}." if path.name else ""
        raise InvalidArgumentError(f"{name} must end in {', '.join(_SUFFIXES)}, but got {str(path)!r}.", example)
    require("matplotlib", "plots", purpose="to draw a picture")
    return path


@contextlib.contextmanager
def picture(path: str | Path, inches: tuple[float, float], *, fills: bool = False, dpi: float = 150) -> Iterator[Any]:
    """A matplotlib figure to draw on; the picture is written, atomically, when the block ends well.

    Args:
        path: ends in .png, .svg or .pdf.
        inches: width and height.
        fills: its axes lie where they are put, instead of leaving room for their labels.
        dpi: of a PNG.

    Raises:
        InvalidArgumentError: (a ValueError) the path ends in no picture's suffix, or the file cannot be written.
        MissingDependencyError: (an ImportError) matplotlib is not installed.
    """
    path = checked_picture(path)
    from matplotlib.figure import Figure

    figure = Figure(figsize=inches, dpi=dpi, layout=None if fills else "constrained")
    yield figure
    try:
        with atomic_path(path) as part:
            figure.savefig(part, format=path.suffix[1:].lower())
    except OSError as error:
        raise InvalidArgumentError(
            f"cannot write {path}: {error.strerror or error}.", "Give a path that you can write to."
        ) from None
