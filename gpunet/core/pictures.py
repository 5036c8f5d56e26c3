"""Pictures as files: which kinds there are, and writing one atomically."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gpunet.core.files import atomic_path
from gpunet.errors import InvalidArgumentError

SUFFIXES = (".png", ".svg", ".pdf")


def save_figure(figure: Any, path: Path) -> None:
    """Write a matplotlib figure in the format that its path's ending names.

    Raises:
        InvalidArgumentError: the file cannot be written.
    """
    try:
        with atomic_path(path) as part:
            figure.savefig(part, format=path.suffix[1:].lower())
    except OSError as error:
        raise InvalidArgumentError(
            f"cannot write {path}: {error.strerror or error}.", "Give a path that you can write to."
        ) from None
