"""Where gpunet keeps its files, and how it writes them: atomically, under a lock, checked by SHA-256."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import math
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from gpunet.core.console import note
from gpunet.errors import ABSENT_EXIT_CODE, ExportError, GpunetError, MissingDependencyError

_Error = TypeVar("_Error", bound=GpunetError)

_UNSAID_S = 1.0  # a wait that is not worth a word


def home() -> Path:
    """Gpunet's folder for weights and measurements: `GPUNET_HOME`, else 'gpunet' in the platform's cache folder."""
    chosen = os.environ.get("GPUNET_HOME")
    if chosen:
        return Path(chosen).expanduser().absolute()
    from platformdirs import user_cache_path

    return user_cache_path("gpunet", appauthor=False)


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path`, moved onto it when the block ends well and deleted when it raises.

    The folder is created. Readers see the old file or the new one, never a part; an OSError (a full disk, no
    permission) passes through with nothing left behind.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    os.close(handle)
    part = Path(name)
    try:
        yield part
        with open(part, "rb") as file:
            os.fsync(file.fileno())
        part.chmod(0o666 & ~umask())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def umask() -> int:
    """The permissions that this process gives to nothing that it makes."""
    before = os.umask(0)
    os.umask(before)
    return before


def write_text(path: str | Path, text: str) -> None:
    """Write `text` as UTF-8, atomically."""
    with atomic_path(path) as part:
        part.write_text(text, encoding="utf-8")


@contextlib.contextmanager
def lock(path: str | Path, *, waiting: str = "", timeout_s: float = math.inf) -> Iterator[None]:
    """Hold the lock of `path` (the file `path` + '.lock') against other processes; waits for it.

    Args:
        path: what is locked; its folder is made.
        waiting: said on standard error after a second of waiting.
        timeout_s: the longest wait; 0 for none.

    Raises:
        TimeoutError: another process held it for so long.
    """
    from filelock import FileLock

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    held = FileLock(f"{path}.lock")
    try:
        held.acquire(timeout=min(_UNSAID_S, timeout_s))
    except TimeoutError:
        if timeout_s <= _UNSAID_S:
            raise
        if waiting:
            note(waiting)
        held.acquire(timeout=-1 if timeout_s == math.inf else timeout_s - _UNSAID_S)
    try:
        yield
    finally:
        held.release()


def sha256_of(path: str | Path) -> str:
    """SHA-256 of a file's content, in hex."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def check_writable(path: str | Path) -> None:
    """Raise ExportError unless a file can be written there; its folder is made."""
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise unwritable(path, error) from error
    if path.is_dir():
        raise ExportError(f"{path} is a folder.", "Name a file in it.")


def not_a(kind: str, path: str | Path, error: type[_Error], hint: str) -> _Error:
    """The error for a path that is to be a file or folder of some kind, and names nothing or something else."""
    if os.path.exists(path):
        return error(f"{path} is no {kind}.", hint)
    return error(f"{path}: there is no such {kind}.", hint, exit_code=ABSENT_EXIT_CODE)


def unwritable(path: Path, error: OSError) -> ExportError:
    """The error for a file that cannot be written."""
    reason = "its folder is a file" if isinstance(error, FileExistsError) else error.strerror or error
    return ExportError(f"{path} cannot be written: {reason}.", "Choose another place: -o PATH.")


def require(package: str, extra: str, *, purpose: str) -> ModuleType:
    """Import an optional package: the one door to all of them.

    Args:
        package: the module's name.
        extra: the extra of gpunet that installs it.
        purpose: what it is needed for, as the end of 'PACKAGE is needed ...'.

    Raises:
        MissingDependencyError: (an ImportError) it is not installed; the hint is the command that installs it.
    """
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package.partition(".")[0]:
            raise
        raise MissingDependencyError(
            f"{package} is needed {purpose}, but it is not installed.", f"Install it: pip install 'gpunet[{extra}]'"
        ) from None
