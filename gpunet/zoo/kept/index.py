"""What has been read and checked of zoo folders, kept in gpunet's home folder for other processes.

Entries and records there are not read, parsed and checked again while their files are unchanged; with other code of
gpunet's all are.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gpunet.core.files import home
from gpunet.core.unchanged import Index
from gpunet.errors import EntryError
from gpunet.model.entry import Entry, LatencyRecord
from gpunet.zoo.reading import checked_before, entry_body

_Rows = tuple[list[LatencyRecord], list[EntryError]]


@functools.cache
def _made_by() -> str:
    """Names the code that reads and checks, by sizes and times of its files."""
    root = Path(__file__).parents[2]
    files = [each.stat() for room in ("core", "model", "zoo") for each in sorted((root / room).glob("*.py"))]
    return hashlib.sha256(repr([(each.st_size, each.st_mtime_ns) for each in files]).encode()).hexdigest()[:32]


def _entry_said(entry: Entry | None) -> Any:
    if entry is None:
        return None
    counts = {"parameters": entry.parameters, "multiply_adds": entry.multiply_adds}
    return {"body": entry_body(entry), "counts": counts}


def _entry_made(said: Mapping[str, Any], path: Path) -> Entry | None:
    return checked_before(said["body"], path.parent, said["counts"])


def _rows_said(rows: _Rows) -> Any:
    records, faults = rows
    return None if faults else [record.to_dict() for record in records]


def _rows_made(said: Sequence[Mapping[str, Any]], path: Path) -> _Rows:
    return [LatencyRecord(**each) for each in said], []


index_of_entries: Index[Entry | None] = Index(lambda: home() / "index" / "entries", _made_by, _entry_said, _entry_made)
index_of_rows: Index[_Rows] = Index(lambda: home() / "index" / "rows", _made_by, _rows_said, _rows_made)
