"""Safetensors files in the cache: written whole, under a lock, with their SHA-256 beside them, and checked by it.

The SHA-256 of `x.safetensors` stands in `x.safetensors.sha256`, in the format that `sha256sum -c` reads.
"""

from __future__ import annotations

import hashlib
import math
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from gpunet.core.files import atomic_path, lock, sha256_of, write_text
from gpunet.errors import ChecksumError, DownloadError, WeightsError
from gpunet.model.origin import unusable_weights


@contextmanager
def writing(cached: Path, *, timeout_s: float = math.inf, since_s: float | None = None) -> Iterator[None]:
    """Hold the lock of a cache file; what a killed process left half-written for it is deleted.

    Waiting for another process that holds it is said on standard error. Once the cache file is there, what was
    downloaded for it is deleted. `timeout_s` counts from `since_s` on, by `time.monotonic`; None for now.

    Raises:
        DownloadError: another process held it for longer than `timeout_s`.
        WeightsError: for any OSError inside the block, such as a full disk.
    """
    left_s = timeout_s if since_s is None else max(0.0, timeout_s - (time.monotonic() - since_s))
    waiting = f"waiting for another process, which makes {cached}"
    try:
        with ExitStack() as held:
            try:
                held.enter_context(lock(cached, waiting=waiting, timeout_s=left_s))
            except TimeoutError:
                raise DownloadError(
                    f"another process has been making {cached} for longer than timeout_s={timeout_s:g} allows to wait."
                ) from None
            for part in _half_written(cached):
                part.unlink(missing_ok=True)
            yield
            if cached.exists():
                _delete_downloaded(cached)
    except OSError as error:
        of = "" if error.filename is None else f": {error.filename}"
        raise WeightsError(
            f"{cached} cannot be written: {error.strerror or error}{of}.",
            f"Free space in {cached.parent}, or set GPUNET_HOME to a folder that can be written.",
        ) from error


def download_path(cached: Path, kind: str) -> Path:
    """Where what is downloaded for a cache file arrives; `kind` is how its name ends."""
    return cached.parent / "downloads" / f"{cached.stem}.{kind}"


def tidied(cached: Path) -> Path:
    """A cache file that is there, without what a process that was killed afterwards left of its making."""
    if any(_half_written(cached)) or any(_downloaded(cached)):
        with suppress(OSError), lock(cached, timeout_s=0):  # a TimeoutError is one: another process is at it
            for part in _half_written(cached):
                part.unlink(missing_ok=True)
            _delete_downloaded(cached)
    with suppress(OSError, safetensors.SafetensorError):
        if (old := zip_of_old(cached)).is_file() and _was_downloaded_as(cached, old):
            old.unlink()
    return cached


def zip_of_old(cached: Path) -> Path:
    """Where earlier versions kept a zip between its download and the end of its conversion, and took those of users."""
    return cached.with_suffix(".zip")


def _was_downloaded_as(cached: Path, old: Path) -> bool:
    """Whether a cache file was made of this very zip, and that had been downloaded: it is nobody's own."""
    with safetensors.safe_open(cached, framework="pt") as file:
        said = file.metadata() or {}
    return "://" in said.get("source", "") and said.get("source_sha256") == sha256_of(old)


def _half_written(cached: Path) -> Iterator[Path]:
    return cached.parent.glob(f".{cached.stem}.*.part")


def _downloaded(cached: Path) -> Iterator[Path]:
    """Bytes first: what has no record is never gone on with."""
    folder = download_path(cached, "").parent
    return (path for pattern in (f"{cached.stem}.*", f".{cached.stem}.*") for path in sorted(folder.glob(pattern)))


def _delete_downloaded(cached: Path) -> None:
    for path in _downloaded(cached):
        path.unlink(missing_ok=True)


def store(cached: Path, state: Mapping[str, Tensor], **metadata: str) -> Path:
    """Write `state` as safetensors and, before it, its SHA-256: a file without one was not written here.

    Args:
        cached: the file to write; the caller holds its lock (`writing`).
        state: tensors by name.
        metadata: kept in the file's header; it names the entry, the source and the source's SHA-256.
    """
    whole = {name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in state.items()}
    data = safetensors.torch.save(whole, {"format": "pt", **metadata})
    beside = sidecar(cached)
    try:
        write_text(beside, f"{hashlib.sha256(data).hexdigest()}  {cached.name}\n")
        with atomic_path(cached) as part:
            part.write_bytes(data)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    return cached


def keep(cached: Path, arrived: Path) -> Path:
    """Move a file that has arrived to its place in the cache, as it is, its SHA-256 first; see `store`."""
    cached.unlink(missing_ok=True)  # whatever was there has another
    write_text(sidecar(cached), f"{sha256_of(arrived)}  {cached.name}\n")
    with open(arrived, "rb") as file:
        os.fsync(file.fileno())
    os.replace(arrived, cached)
    return cached


def sidecar(path: Path) -> Path:
    """The file beside `path` that holds its SHA-256."""
    return path.with_name(f"{path.name}.sha256")


def verify(path: Path, found: str | None = None, hint: str = "") -> Path:
    """`path`, after its SHA-256 (`found`, where it is known already) has been compared with the one beside it.

    Raises:
        ChecksumError: they differ, or none can be read.
    """
    beside = sidecar(path)
    again = hint or f"Delete it, and it is fetched or converted again: {path}"
    try:
        recorded = beside.read_text(encoding="utf-8").split()
    except FileNotFoundError:
        raise ChecksumError(f"{path} has no SHA-256 beside it in {beside.name}.", again) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ChecksumError(f"{beside} cannot be read: {error}.", again) from None
    try:
        found = found or sha256_of(path)
    except OSError as error:
        raise ChecksumError(f"{path} cannot be read: {error.strerror}.", again) from None
    check_sha256(path, found, recorded[0] if recorded else "", again)
    return path


def check_sha256(path: Path, found: str, recorded: str, hint: str) -> None:
    """Raise ChecksumError, with `hint`, where `found` is not the SHA-256 that was recorded for `path`."""
    if found != recorded.lower():
        raise ChecksumError(
            f"{path} is damaged, or is another file: its SHA-256 is {found}, but {recorded or 'nothing'} is recorded.",
            hint,
        )


def check_header(path: Path) -> None:
    """Raise CheckpointError where `path` is no safetensors file, by its header and its size."""
    try:
        with safetensors.safe_open(path, framework="pt"):
            pass
    except (safetensors.SafetensorError, OSError) as error:
        raise unusable_weights(path, error) from None


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, on the CPU.

    The file is read, not mapped: a file that shrinks under a mapping kills the process.

    Raises:
        CheckpointError: it is damaged.
        WeightsError: (a RuntimeError) there is no such file, or it cannot be read.
    """
    try:
        return safetensors.torch.load(path.read_bytes())
    except (safetensors.SafetensorError, OSError) as error:
        raise unusable_weights(path, error) from None
