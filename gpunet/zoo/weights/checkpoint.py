"""Read the state dict out of a PyTorch checkpoint, or out of a zip that holds one, without trusting the file.

Nothing is extracted to a path that a zip names, nothing is unpickled but tensors and plain values, and sizes are
bounded before memory is taken.
"""

from __future__ import annotations

import argparse
import collections
import copy
import io
import re
import sys
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import IO, Any

import numpy as np
import torch
from torch import Tensor

from gpunet.errors import CheckpointError
from gpunet.model.origin import KIND_BYTES, known_kind
from gpunet.zoo.weights.unwrap import CONTAINERS, contained, unwrapped

LIMIT_BYTES = 2 << 30
MAX_RATIO = 100  # of unpacked to packed; trained weights hardly shrink at all
_BLOCK_BYTES = 1 << 18
_UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, ValueError)
_SUFFIXES = (".pth.tar", ".pth", ".pt")


def read_checkpoint(
    path: str | Path, member: str | None = None, *, limit_bytes: int = LIMIT_BYTES
) -> dict[str, Tensor]:
    """The state dict in a `.pth.tar` or `.pth` file, or in the `member` of a zip; on the CPU, names as in the file.

    Of a training checkpoint the averaged weights are taken, else the plain ones, from under any of the names in
    `gpunet.zoo.weights.unwrap`; a bare state dict is taken as it is. Names of wrappers (DataParallel, torch.compile,
    Lightning) are dropped. Paths, NumPy's scalars and an `argparse.Namespace` may stand beside the weights; anything
    else that is not a tensor or a plain value is refused, and no code of the file runs.

    Args:
        path: the file; PyTorch's zip format or its older one.
        member: the checkpoint's name inside a zip; None for the only one in it.
        limit_bytes: the most that the checkpoint may unpack to.

    Raises:
        CheckpointError: the file is damaged, hostile, too large or no checkpoint; the message names it.
        OSError: it cannot be read.
    """
    path = Path(path)
    where = str(path)
    if path.stat().st_size > limit_bytes:
        raise CheckpointError(f"{where} is {path.stat().st_size} bytes long, more than the {limit_bytes} allowed.")
    with open(path, "rb") as file:
        names = _check_zip(where, file, limit_bytes)
        if names is None or _is_torch(names):
            _check_content(where, file, names)
            content = _load(where, file)
        else:
            where, inner = _read_member(where, file, member)
            _check_zip(where, inner, limit_bytes)
            content = _load(where, inner)
    return _state_dict(where, content, limit_bytes)


def _is_torch(names: list[str]) -> bool:
    """Whether the zip is itself what torch.save writes: one folder with the pickle 'data.pkl'."""
    return any(name.count("/") == 1 and name.endswith("/data.pkl") for name in names)


def _check_zip(where: str, file: IO[bytes], limit_bytes: int) -> list[str] | None:
    """The member names of a zip whose members are within bounds; None where `file` is no zip."""
    file.seek(0)
    if file.read(2) != b"PK":
        return None
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
        raise CheckpointError(f"{where} is a damaged zip: {error}.", "Fetch it again.") from None
    for each in members:
        name = each.filename.replace("\\", "/")
        if name.startswith("/") or ".." in name.split("/") or re.match("[A-Za-z]:", name):
            raise CheckpointError(f"{where} holds {each.filename!r}, which climbs out of its folder.", _HOSTILE)
        if each.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise CheckpointError(
                f"{where} packs {each.filename!r} by method {each.compress_type}; only stored and deflated are read.",
                "Unpack it, and pack it again: zip, or no zip at all.",
            )
        if each.file_size > MAX_RATIO * max(each.compress_size, 1 << 10):
            raise CheckpointError(
                f"{where} is a zip bomb: {each.filename!r} grows from {each.compress_size} to {each.file_size} bytes.",
                _HOSTILE,
            )
    total = sum(each.file_size for each in members)
    if total > limit_bytes:
        raise CheckpointError(f"{where} unpacks to {total} bytes, more than the {limit_bytes} allowed.", _HOSTILE)
    return [each.filename for each in members]


_HOSTILE = "Do not use this file; fetch it again from where it was published."


def _read_member(where: str, file: IO[bytes], member: str | None) -> tuple[str, io.BytesIO]:
    """Name and content of the checkpoint in a zip, read into memory: the name never becomes a path.

    The zip's directory may say less than the member unpacks to: it is unpacked block by block, and stopped there.
    """
    with zipfile.ZipFile(file) as archive:
        files = [each for each in archive.infolist() if not each.is_dir()]
        if member is None:
            found = [each for each in files if each.filename.endswith(_SUFFIXES)]
        else:
            found = [each for each in files if each.filename.split("/")[-1] == member]
        if len(found) != 1:
            wanted = f"no {member}" if member else "no checkpoint"
            problem = f"holds {wanted}" if not found else f"holds {len(found)} files that could be the checkpoint"
            held = ", ".join(each.filename for each in files[:8]) or "nothing"
            raise CheckpointError(f"{where} {problem}; it holds {held}.", "Is this the zip of another model?")
        inside = f"{where}/{found[0].filename}"
        said_bytes = found[0].file_size
        unbelieved = copy.copy(found[0])
        unbelieved.file_size = sys.maxsize  # zipfile cuts off silently what is longer
        content = io.BytesIO()
        try:
            with archive.open(unbelieved) as packed:
                while content.tell() <= said_bytes and (block := packed.read(_BLOCK_BYTES)):
                    content.write(block)
        except _UNREADABLE as error:
            raise CheckpointError(f"{inside} cannot be unpacked: {error}.", "Fetch it again.") from None
    if content.tell() != said_bytes:
        does = "more than" if content.tell() > said_bytes else f"{content.tell()} bytes, not"
        raise CheckpointError(f"{inside} unpacks to {does} the {said_bytes} bytes that its zip says.", _HOSTILE)
    return inside, content


def _check_content(where: str, file: IO[bytes], names: list[str] | None) -> None:
    """Raise CheckpointError for a file of another known kind, and for a damaged zip of torch's: it does not look."""
    file.seek(0)
    known = known_kind(file.read(KIND_BYTES))
    if names is None:
        if known is not None:
            raise CheckpointError(f"{where} is {known[0]}, not a PyTorch checkpoint.", known[1])
        return
    with zipfile.ZipFile(file) as archive:
        for each in archive.infolist():
            if each.CRC == 0:  # torch.save was told to reckon none
                continue
            try:
                with archive.open(each) as packed:
                    while packed.read(_BLOCK_BYTES):
                        pass
            except _UNREADABLE as error:
                raise _damaged(where, str(error)) from None


def _load(where: str, file: IO[bytes]) -> Any:
    file.seek(0)
    try:
        with torch.serialization.safe_globals(_harmless()), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what torch says of files is in the error, or is none of the user's
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a damaged or hostile file makes of the unpickler is the file's fault
        refused = re.search(r"GLOBAL (\S+) was not an allowed|whose module (\S+) is blocked", str(error))
        if refused:
            raise _refused(where, refused[1] or refused[2]) from None
        raise _damaged(where, _reason(error)) from error


def _damaged(where: str, reason: str) -> CheckpointError:
    return CheckpointError(
        f"{where} is not a PyTorch checkpoint of tensors and plain values, or is damaged: {reason}.",
        "No code of it was run. Fetch it again.",
    )


def _harmless() -> list[Any]:
    """What may stand beside the weights, by the names that pickles have for it; made without running its code.

    A path becomes one that no system call knows, so that a file from Windows is read on Linux.
    """
    scalar, array = np.float64(0).__reduce__()[0], np.zeros(1).__reduce__()[0]
    paths = ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath")
    kinds = (int, float, str, list, dict)  # of what a defaultdict makes
    numbers = [type(np.dtype(code)) for code in "?bBhHiIlLqQefd"]
    return [
        argparse.Namespace, collections.defaultdict, np.dtype, np.ndarray, *numbers,
        *((kind, f"{module}.{kind.__name__}") for module in ("builtins", "__builtin__") for kind in kinds),
        *((scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
        *((array, f"numpy.{core}.multiarray._reconstruct") for core in ("core", "_core")),
        *((PurePosixPath, f"{module}.{name}") for module in ("pathlib", "pathlib._local") for name in paths),
    ]  # fmt: skip


# Modules that a pickle names only to run something.
_DANGEROUS = {"builtins", "__builtin__", "os", "posix", "nt", "subprocess", "sys", "runpy", "importlib", "shutil",
              "socket", "ctypes", "code", "pty", "pickle", "webbrowser", "operator", "functools"}  # fmt: skip


def _refused(where: str, name: str) -> CheckpointError:
    """A function is called to do something, a class to be beside the weights: its name is written with a capital."""
    if name.partition(".")[0] in _DANGEROUS or not name.rpartition(".")[2].lstrip("_")[:1].isupper():
        return CheckpointError(
            f"{where} was not loaded: it wants to run code ({name}); a checkpoint holds tensors and plain values.",
            _HOSTILE,
        )
    return CheckpointError(
        f"{where} holds an object of the class {name}, and only tensors and plain values are read; none of it was run.",
        "Where you have its code, load it there and save the weights alone: torch.save(model.state_dict(), FILE).",
    )


def _reason(error: Exception) -> str:
    """What torch.load found wrong, without its advice to trust the file."""
    advice = ("Weights only load failed", "Please file an issue", "Check the documentation")
    lines = [line.strip() for line in str(error).splitlines()]
    said = [line.partition(" In PyTorch ")[0] for line in lines if line and not line.startswith(advice)]
    return said[-1].rstrip(".") if said else type(error).__name__


def _state_dict(where: str, content: Any, limit_bytes: int) -> dict[str, Tensor]:
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{where} holds a {type(content).__name__}, not a state dict.")
    content = contained(content)
    wrong = [key for key, value in content.items() if not isinstance(key, str) or not isinstance(value, Tensor)]
    if wrong:
        kind = type(content[wrong[0]]).__name__
        raise CheckpointError(
            f"{where} holds a {kind} under {wrong[0]!r}; a state dict holds tensors by name.",
            f"The weights are looked for under {', '.join(CONTAINERS)}, or by themselves.",
        )
    try:
        named = unwrapped(content)
    except KeyError as error:
        raise CheckpointError(f"{where} holds {error} twice, with and without a prefix.") from None
    state: dict[str, Tensor] = {}
    size = 0
    for name, value in named.items():
        plain = value.layout is torch.strided and value.device.type == "cpu" and not value.is_quantized
        if not plain or value.is_complex():
            raise CheckpointError(
                f"{where} holds {name!r} as {value.dtype}, {value.layout}, on {value.device}; not a plain tensor."
            )
        size += value.numel() * value.element_size()
        if size > limit_bytes:  # a view of one element can claim any shape
            raise CheckpointError(f"{where} holds tensors of more than the {limit_bytes} bytes allowed.", _HOSTILE)
        state[name] = value.detach()
    if not state:
        raise CheckpointError(f"{where} holds an empty state dict.")
    return state
