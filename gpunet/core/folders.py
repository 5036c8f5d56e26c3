"""Folders that appear whole or not at all, as files.atomic_path makes a file."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from gpunet.core.files import umask
from gpunet.core.placing import PART, put
from gpunet.errors import ExportError


@contextlib.contextmanager
def staging(parent: str | Path, *, suffix: str = PART) -> Iterator[Path]:
    """A temporary folder inside `parent`, which is made; it is deleted with what is left in it.

    Args:
        parent: the folder around it.
        suffix: of its name; `placing.TURN_PART` for who holds `parent` by `placing.tidied`.

    Raises:
        ExportError: (a RuntimeError) something in the block, or the folder itself, cannot be written.
    """
    parent = Path(parent)
    folder: Path | None = None
    try:
        parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=parent, prefix=".", suffix=suffix))
        folder.chmod(0o777 & ~umask())
        yield folder
    except OSError as error:
        raise ExportError(
            f"{parent}: cannot be written: {error.strerror or error}.", "Choose a folder that you can write to."
        ) from error
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def atomic_folder(path: str | Path, *, ours: Callable[[Path], bool]) -> Iterator[Path]:
    """A temporary folder beside `path`, moved onto it when the block ends well and deleted when it raises.

    Args:
        path: the folder to make. One that is there already is replaced if it is empty or `ours` says so.
        ours: whether a folder holds what this kind of export makes, and nothing else of worth.

    Raises:
        ExportError: (a RuntimeError) `path` is a file or another kind of folder, or cannot be written.
    """
    path = Path(path)
    if path.exists() and not (path.is_dir() and (not any(path.iterdir()) or ours(path))):
        raise ExportError(
            f"{path} is there already and was not made by this export.", "Choose another name, or move it away first."
        )
    with staging(path.parent) as stage:
        made = stage / "new"
        made.mkdir()
        yield made
        put(made, path)
