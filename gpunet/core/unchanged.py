"""What was made of files, for as long as they stay as they were: a process reads each once."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

_Made = TypeVar("_Made")
_Stamp = tuple[int, ...]
_TIMES = 3  # of a stamp, at its beginning
_SETTLED_NS = 2_000_000_000  # a file written since could be written again without another time of change


class Unchanged(Generic[_Made]):
    """A reader of files that remembers.

    A file counts as unchanged that has the same inode, size, times and, behind a link, target. What raises is not kept,
    nor what was written in the last two seconds: file systems' clocks are coarse.

    Args:
        make: reads a file in a folder; called with both.
        clock_ns: since the epoch; tests pass their own.
    """

    def __init__(self, make: Callable[[Path, Path], _Made], clock_ns: Callable[[], int] = time.time_ns) -> None:
        self._make, self._clock_ns = make, clock_ns
        self._kept: dict[tuple[Path, Path], tuple[_Stamp, _Made]] = {}

    def __call__(self, path: Path, folder: Path) -> _Made:
        """What is made of a file; what was made of it before, where it is unchanged."""
        key, before = (path, folder), _stamp(path)
        kept = self._kept.get(key)
        if kept is not None and kept[0] == before:
            return kept[1]
        self._kept.pop(key, None)
        made = self._make(path, folder)
        # A copy may bring an old time of change along (cp -p, rsync -t); that of its inode is of this disk.
        settled = before is not None and max(before[:_TIMES]) < self._clock_ns() - _SETTLED_NS
        if before is not None and settled and _stamp(path) == before:
            self._kept[key] = before, made
        return made


def _stamp(path: Path) -> _Stamp | None:
    try:
        own = os.lstat(path)
        behind = os.stat(path) if stat.S_ISLNK(own.st_mode) else own
    except OSError:  # the reader says so
        return None
    times = (behind.st_mtime_ns, behind.st_ctime_ns, own.st_ctime_ns)
    return (*times, behind.st_dev, behind.st_ino, own.st_ino, behind.st_size)
