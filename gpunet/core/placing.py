"""Put a folder in its place in one step: whenever the process is killed, the old one is there or the new one.

A folder is made as `.*.part` beside its place (`folders.staging`) and swapped with what is there. Where the file system
cannot swap, what is there first becomes `.NAME.replaced`; `folders_in` finds it there while NAME is missing. Who holds
the folder around it (`tidied`) makes it as `.*.turn.part`: what a killed process left of those goes when the next one
holds it, and nothing of those who write into the same folder without a turn.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from gpunet.core.files import lock
from gpunet.errors import ExportError

PART, TURN_PART, _REPLACED = ".part", ".turn.part", ".replaced"
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # Linux: fcntl.h, fs.h
_RENAME_SWAP = 2  # macOS: stdio.h


def put(made: Path, place: Path) -> None:
    """Move a folder to its place; what was there is in `made` afterwards, or is gone.

    Raises:
        OSError: it cannot be; what was there is there.
    """
    if not place.exists():
        os.replace(made, place)
    elif not swapped(made, place):
        kept = place.with_name(f".{place.name}{_REPLACED}")
        shutil.rmtree(kept, ignore_errors=True)  # left by a killed process: the place is taken, so nobody needs it
        os.replace(place, kept)
        try:
            os.replace(made, place)
        except OSError:
            os.replace(kept, place)
            raise
        shutil.rmtree(kept, ignore_errors=True)


def swapped(one: Path, other: Path) -> bool:
    """Give two paths each other's content, in one step; False, and nothing done, where there is no such step."""
    import ctypes  # not for who only reads a zoo

    paths = os.fsencode(one), os.fsencode(other)
    try:
        library = ctypes.CDLL(None, use_errno=True)
        if sys.platform == "darwin":
            return bool(library.renamex_np(*paths, ctypes.c_uint(_RENAME_SWAP)) == 0)
        return bool(library.renameat2(_AT_FDCWD, paths[0], _AT_FDCWD, paths[1], ctypes.c_uint(_RENAME_EXCHANGE)) == 0)
    except (OSError, TypeError, AttributeError):  # Windows, or a C library without it
        return False


@contextlib.contextmanager
def tidied(parent: Path) -> Iterator[None]:
    """Hold a folder, which is made, against others that do; what killed ones left in it is tidied up.

    Within it folders are made with `staging(parent, suffix=TURN_PART)`.

    It waits for its turn; a killed process holds nothing. Where folders can be locked themselves no file is made for
    it; on Windows it is `parent/.gpunet.lock`.

    Raises:
        ExportError: (a RuntimeError) it cannot be written.
    """
    with contextlib.ExitStack() as stack:
        try:
            parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locked(parent))
            for kept in parent.glob(f".*{_REPLACED}"):
                if not (place := _place_of(kept)).exists():
                    os.replace(kept, place)
                else:
                    shutil.rmtree(kept)
            for part in parent.glob(f".*{TURN_PART}"):
                shutil.rmtree(part)
        except OSError as error:
            raise ExportError(
                f"{parent}: cannot be written: {error.strerror or error}.", "Choose a folder that you can write to."
            ) from error
        yield


def remove_parts(folder: Path) -> None:
    """Remove the folders, and the files, that killed processes left half-written where nobody else writes any."""
    for part in folder.glob(f".*{PART}"):
        if part.is_dir():
            shutil.rmtree(part)
        else:
            part.unlink()


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder against other processes that do; waits for it, and leaves no file behind but on Windows."""
    try:
        import fcntl
    except ImportError:
        with lock(folder / ".gpunet"):
            yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def folders_in(parent: Path) -> list[Path]:
    """What is in a folder, by name, without what is hidden."""
    found = {path.name: path for path in parent.iterdir() if not path.name.startswith(".")}
    for kept in parent.glob(f".*{_REPLACED}"):
        found.setdefault(_place_of(kept).name, kept)
    return [found[name] for name in sorted(found)]


def _place_of(kept: Path) -> Path:
    return kept.with_name(kept.name[1:].removesuffix(_REPLACED))
