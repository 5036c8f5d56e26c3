"""What was made of files, for as long as they stay as they were: a process reads each once, an index is for the next.

A file counts as unchanged that has the same inode, size, times and, behind a link, target. What raises is not kept, nor
what was written in the last two seconds: file systems' clocks are coarse.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from gpunet.core.files import write_text

_Made = TypeVar("_Made")
_Stamp = tuple[int, ...]
_TIMES = 3  # of a stamp, at its beginning
_SETTLED_NS = 2_000_000_000  # a file written since could be written again without another time of change
_FORMAT, _FORMAT_VERSION = "gpunet-index", 1
_LEAST_READ = 64  # fewer files are read soon enough
_MOST_INDEXES = 32


@dataclass(frozen=True)
class Index(Generic[_Made]):
    """How what was made of a folder's files is kept for other processes: in a file of this user's own, by the folder.

    Nothing in the folder itself is believed. Files that are links, or in folders that are, are always read.

    Args:
        place: of the indexes.
        made_by: names the code that makes it: what another has kept is not read.
        said: what was made, in plain JSON types; None for what is not to be kept.
        made: it again, of those and the file's path.
    """

    place: Callable[[], Path]
    made_by: Callable[[], str]
    said: Callable[[_Made], Any]
    made: Callable[[Any, Path], _Made]

    def path(self, folder: Path) -> Path:
        """Of the index of a folder."""
        return self.place() / f"{hashlib.sha256(os.fsencode(os.path.realpath(folder))).hexdigest()[:32]}.json"

    def read(self, folder: Path) -> dict[str, tuple[_Stamp, Any]]:
        """Stamps and what was said, by the files' places in the folder; nothing where no whole index is there."""
        try:
            data = json.loads(self.path(folder).read_text(encoding="utf-8"))
            known = {"format": _FORMAT, "format_version": _FORMAT_VERSION, "made_by": self.made_by()}
            if {name: data[name] for name in known} != known or data["folder"] != os.path.realpath(folder):
                return {}
            return {place: (tuple(stamp), said) for place, (stamp, said) in data["files"].items()}
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return {}

    def write(self, folder: Path, files: dict[str, tuple[_Stamp, Any]]) -> None:
        """Keep them, where the place can be written; of many indexes the oldest go."""
        body = {"format": _FORMAT, "format_version": _FORMAT_VERSION, "made_by": self.made_by(),
                "folder": os.path.realpath(folder), "files": files}  # fmt: skip
        with contextlib.suppress(OSError):
            path = self.path(folder)
            write_text(path, json.dumps(body, ensure_ascii=True, separators=(",", ":")))
            by_age = sorted(path.parent.glob("*.json"), key=lambda each: each.stat().st_mtime_ns)
            for old in by_age[:-_MOST_INDEXES]:
                old.unlink(missing_ok=True)


class Unchanged(Generic[_Made]):
    """A reader of files that remembers.

    Args:
        make: reads a file in a folder; called with both.
        clock_ns: since the epoch; tests pass their own.
        index: for `indexed`.
    """

    def __init__(
        self, make: Callable[[Path, Path], _Made], clock_ns: Callable[[], int] = time.time_ns, *,
        index: Index[_Made] | None = None,
    ) -> None:  # fmt: skip
        self._make, self._clock_ns, self._index = make, clock_ns, index
        self._kept: dict[tuple[Path, Path], tuple[_Stamp, _Made]] = {}
        self._indexed: dict[str, tuple[_Stamp, Any]] = {}
        self._opened: set[Path] = set()
        self._read = 0  # since an index was opened

    def __call__(self, path: Path, folder: Path) -> _Made:
        """What is made of a file; what was made of it before, where it is unchanged."""
        key, before = (path, folder), _stamp(path)
        kept = self._kept.get(key)
        if kept is not None and kept[0] == before:
            return kept[1]
        self._kept.pop(key, None)
        made = self._of_index(path, folder, before)
        if made is None:
            made, self._read = self._make(path, folder), self._read + 1
            # A copy may bring an old time of change along (cp -p, rsync -t); that of its inode is of this disk.
            settled = before is not None and max(before[:_TIMES]) < self._clock_ns() - _SETTLED_NS
            if not settled or _stamp(path) != before:
                return made
        if before is not None:
            self._kept[key] = before, made
        return made

    @contextlib.contextmanager
    def indexed(self, folder: Path) -> Iterator[None]:
        """Within it what is in a folder's index is not read, once a process; where much was, it is written anew."""
        if self._index is None or folder in self._opened:
            yield
            return
        self._opened.add(folder)
        self._indexed, self._read = self._index.read(folder), 0
        try:
            yield
        finally:
            self._indexed = {}
        if self._read < _LEAST_READ:
            return
        said = {_place(path, folder): (stamp, self._index.said(made))
                for (path, of), (stamp, made) in self._kept.items() if of == folder}  # fmt: skip
        self._index.write(folder, {place: kept for place, kept in said.items() if kept[1] is not None})

    def _of_index(self, path: Path, folder: Path, stamp: _Stamp | None) -> _Made | None:
        known = self._indexed.get(_place(path, folder)) if self._index is not None and self._indexed else None
        if self._index is None or known is None or known[0] != stamp:
            return None
        if os.path.islink(path) or (path.parent != folder and os.path.islink(path.parent)):
            return None
        return self._index.made(known[1], path)


def _place(path: Path, folder: Path) -> str:
    return str(path)[len(str(folder)) + 1 :]


def _stamp(path: Path) -> _Stamp | None:
    try:
        own = os.lstat(path)
        behind = os.stat(path) if stat.S_ISLNK(own.st_mode) else own
    except OSError:  # the reader says so
        return None
    times = (behind.st_mtime_ns, behind.st_ctime_ns, own.st_ctime_ns)
    return (*times, behind.st_dev, behind.st_ino, own.st_ino, behind.st_size)
