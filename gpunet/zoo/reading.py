"""Entries and latency records as files hold them, read as what they are: somebody's claims.

A file is read that is one, of a size that such files have, UTF-8 with or without a byte order mark, and in the folder
that was named: a link may lead to another place in it, not out of it. Every fault is an EntryError that names the file.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

from gpunet.core.files import atomic_path
from gpunet.core.json_files import parsed_json
from gpunet.core.placing import locked
from gpunet.core.text import printable
from gpunet.core.versions import body_of
from gpunet.errors import FAILED_EXIT_CODE, EntryError, GpunetError
from gpunet.model.entry import Accuracy, Entry, LatencyRecord, Preprocessing, WeightsSource, check_entry_name
from gpunet.zoo.entry_rules import check_entry, check_record

FORMAT, FORMAT_VERSION = "gpunet-entry", 1
ROLES = ("released", "baseline", "own")
MOST_JSON_BYTES, MOST_CSV_BYTES = 8 << 20, 64 << 20
_TEXTS = ("model", "chip", "board", "precision", "runtime", "runtime_version", "statistic", "kind", "source")
_NEEDED = (*_TEXTS, "batch_size", "latency_ms")
_NOT_SAID = ("folder", "records", "spec_data")  # in an entry's file
_KNOWN = {each.name for each in fields(Entry)} - {"records", "folder"}
_DEFAULTS: Mapping[str, Any] = {
    "role": "own", "licence": "not stated", "architecture": None, "accuracy": None, "preprocessing": None
}  # fmt: skip
_MOST_SAID = 400  # letters of a fault
_Part = TypeVar("_Part")


def read_entry(path: Path, *, within: Path | None = None) -> Entry | None:
    """The entry in a JSON file, without its records; None for JSON that does not call itself one.

    Args:
        path: of the file.
        within: the folder that links must not leave; None for the file's own.

    Raises:
        EntryError: it cannot be read as one; the message names file and key.
    """
    try:
        data = parsed_json(_content(path, MOST_JSON_BYTES, within))
    except json.JSONDecodeError as error:
        raise EntryError(
            f"{path}: cannot be read as JSON: {error}", f"Mend it in {path.name}.", exit_code=FAILED_EXIT_CODE
        ) from None
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        return None
    try:
        entry = _entry(data, path.parent)
        check_entry(entry)
        check_weights_link(entry, path.parent, within or path.parent)
    except GpunetError as error:  # a spec's faults are of another class
        raise _named(path, error) from None
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise _named(path, EntryError(f"cannot be read as an entry: {error}")) from None
    return entry


def check_weights_link(entry: Entry, folder: Path, within: Path) -> None:
    """Raise EntryError where an entry's weights are a link that leaves the zoo's folder `within`."""
    if entry.weights is not None and entry.weights.file is not None:
        _check_link(folder / entry.weights.file, within)


def names_in(path: Path) -> set[str]:
    """The names that a file's entry, which cannot be read, may be asked for by."""
    names = {path.parent.name if path.name == "entry.json" else path.stem}
    try:
        said = parsed_json(_content(path, MOST_JSON_BYTES, None)).get("name")
        check_entry_name(said)
        names.add(said)
    except (AttributeError, GpunetError, OSError, json.JSONDecodeError):
        pass
    return names


def _entry(data: Mapping[str, Any], folder: Path) -> Entry:
    body = body_of(data, "entry", "format_version", FORMAT_VERSION, error=EntryError)
    del body["format"]
    body["spec_data"] = body.pop("spec", None)
    for name in ("sources", "classes"):
        if isinstance(body.get(name), list):
            body[name] = tuple(body[name])
    body = {**_DEFAULTS, **body}
    unknown = sorted(body.keys() - _KNOWN)
    if unknown:
        shown = ", ".join(sorted((_KNOWN - {"spec_data"}) | {"spec"}))
        raise EntryError(f"unknown key {unknown[0]!r:.80}.", f"Known keys: {shown}.")
    if not isinstance(body.get("name"), str) or not body["name"]:
        raise EntryError("name is missing.", "Give the entry a name.")
    check_entry_name(body["name"])
    if body["role"] not in ROLES:
        raise EntryError(
            f"role {body['role']!r:.80} is not one of {', '.join(ROLES)}.", "Leave 'role' out of an entry of your own."
        )
    if body["architecture"] is None and body["role"] == "own":
        raise EntryError("architecture is missing.", "Name it as timm does, or 'gpunet' with a spec.")
    if body["architecture"] == "gpunet" and body["spec_data"] is None:
        raise EntryError("architecture 'gpunet' needs a spec.", "Add the network's spec under the key 'spec'.")
    for name, part_type in (("accuracy", Accuracy), ("weights", WeightsSource), ("preprocessing", Preprocessing)):
        if body.get(name) is not None:
            body[name] = _part(name, part_type, body[name])
    return Entry(**body, folder=folder)


def entry_body(entry: Entry) -> dict[str, Any]:
    """An entry as its file says it: what `read_entry` reads again."""
    body: dict[str, Any] = {"format": FORMAT, "format_version": FORMAT_VERSION}
    for each in fields(Entry):
        value = getattr(entry, each.name)
        if each.name in _NOT_SAID or value is None or value == each.default:
            continue
        if is_dataclass(value) and not isinstance(value, type):
            value = {name: part for name, part in asdict(value).items() if part not in (None, "")}
        body[each.name] = value
    return body if entry.spec_data is None else {**body, "spec": dict(entry.spec_data)}


def checked_before(body: Mapping[str, Any], folder: Path, counts: Mapping[str, int]) -> Entry:
    """The entry that `entry_body` said, and that was checked when it was read.

    Args:
        body: as `entry_body` gives it.
        folder: that its file is in.
        counts: its `parameters` and `multiply_adds`, which are not counted again.
    """
    entry = _entry(body, folder)
    vars(entry).update(counts)  # where cached properties keep them
    return entry


def _part(name: str, part_type: type[_Part], data: Any) -> _Part:
    if not isinstance(data, dict):
        keys = ", ".join(each.name for each in fields(part_type))  # type: ignore[arg-type]
        raise EntryError(f"{name} must be an object, but is {data!r:.80}.", f"Its keys are {keys}.")
    body = {key: tuple(value) if isinstance(value, list) else value for key, value in data.items()}
    try:
        return part_type(**body)
    except TypeError:
        allowed = ", ".join(f.name for f in fields(part_type))  # type: ignore[arg-type]
        raise EntryError(
            f"{name} has wrong or missing keys: {sorted(data)!s:.200}.", f"Its keys are {allowed}."
        ) from None


def read_records(path: str | Path) -> list[LatencyRecord]:
    """The latency records of a CSV file with a header of LatencyRecord's field names.

    Raises:
        EntryError: naming the file, the line and the field.
    """
    records, faults = read_rows(path)
    if faults:
        raise faults[0]
    return records


def read_rows(path: str | Path, *, within: Path | None = None) -> tuple[list[LatencyRecord], list[EntryError]]:
    """The latency records of a CSV file that can be read, and what is wrong with the other rows.

    Columns that no record has are passed over.
    """
    path = Path(path)
    records, faults = [], []
    try:
        text = _content(path, MOST_CSV_BYTES, within).decode("utf-8")
    except EntryError as error:
        return [], [error]
    except UnicodeDecodeError as error:
        return [], [EntryError(f"{path}: is no UTF-8: {error}.", "Save it as UTF-8.", exit_code=FAILED_EXIT_CODE)]
    rows = csv.DictReader(io.StringIO(text, newline=""), restkey="", strict=True)
    try:
        header = list(rows.fieldnames or ())
        missing = [name for name in _NEEDED if name not in header]
        twice = sorted({name for name in header if header.count(name) > 1})
        for row in rows:
            line = f"{path}, line {rows.line_num}"
            if missing or twice:
                what = f"column {missing[0]!r} is missing" if missing else f"column {twice[0]!r:.80} is there twice"
                return [], [EntryError(f"{path}: {what}.", f"Its columns are {', '.join(_columns())}.")]
            try:
                records.append(_record(row))
            except (GpunetError, ArithmeticError, AttributeError, RecursionError, TypeError, ValueError) as error:
                said = error.message if isinstance(error, GpunetError) else str(error)
                hint = getattr(error, "hint", "") or f"Mend the line in {path.name}."
                faults.append(EntryError(f"{line}: {said}"[:_MOST_SAID], hint))
    except csv.Error as error:
        hint = f"Mend the line in {path.name}: what follows it is not read."
        faults.append(EntryError(f"{path}, line {rows.line_num}: {error}.", hint, exit_code=FAILED_EXIT_CODE))
    return records, faults


def append_records(path: str | Path, records: Iterable[LatencyRecord]) -> None:
    """Add records to a latency CSV, which is made if it is not there; atomically, and nothing that is there changes.

    Who else adds to it waits.

    Raises:
        EntryError: the file that is there cannot be read as latency records.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path.parent):
        write_records(path, [*(read_records(path) if path.exists() else ()), *records])


def write_records(path: str | Path, records: Iterable[LatencyRecord]) -> None:
    """Write records as a latency CSV, in place of what is there; atomically."""
    rows = [
        {**record.to_dict(), "conditions": json.dumps(dict(record.conditions)) if record.conditions else ""}
        for record in records
    ]
    columns = [name for name in _columns() if name != "same_as" or any(row["same_as"] for row in rows)]
    with atomic_path(path) as part, open(part, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def _columns() -> list[str]:
    return [each.name for each in fields(LatencyRecord)]


def _record(row: dict[str, Any]) -> LatencyRecord:
    if "" in row or None in row.values():
        raise EntryError(
            f"the row has {'more' if '' in row else 'fewer'} cells than the header has columns.",
            "A cell with a comma in it stands in quotation marks.",
        )
    record = LatencyRecord(
        **{name: row[name] for name in _TEXTS},
        batch_size=int(row["batch_size"]),
        latency_ms=float(row["latency_ms"]),
        throughput_ips=float(row["throughput_ips"]) if row.get("throughput_ips") else None,
        threads=int(row["threads"]) if row.get("threads") else None,
        conditions=parsed_json(row["conditions"]) if row.get("conditions") else {},
        same_as=row.get("same_as") or "",
    )
    check_record(record)
    return record


def _content(path: Path, most_bytes: int, within: Path | None) -> bytes:
    """A file's bytes, without a byte order mark."""
    try:
        plain = stat.S_ISREG(os.lstat(path).st_mode)
        _check_link(path, within or path.parent, itself=not plain)
        if not plain and not path.is_file():
            raise EntryError(
                f"{path}: is no file.", "Move it out of the zoo's folder, or give it another ending.",
                exit_code=FAILED_EXIT_CODE,
            )  # fmt: skip
        with open(path, "rb") as file:
            content = file.read(most_bytes + 1)
    except OSError as error:
        raise EntryError(
            f"{path}: cannot be read: {error.strerror or error}.", "See whether you may read it.",
            exit_code=FAILED_EXIT_CODE,
        ) from None  # fmt: skip
    if len(content) > most_bytes:
        raise EntryError(
            f"{path}: is larger than {most_bytes >> 20} MiB, which no such file is.",
            "Move it out of the zoo's folder, or give it another ending.",
            exit_code=FAILED_EXIT_CODE,
        )
    return content.removeprefix(codecs.BOM_UTF8)


def _check_link(path: Path, within: Path, *, itself: bool = True) -> None:
    """Raise where a path leads out of the zoo's folder; from the hub's cache it may lead to the files behind it.

    Args:
        path: in the folder, or in a folder of it.
        within: the folder that was named, which may be a link itself.
        itself: False where the path itself is known to be none.
    """
    if not ((itself and os.path.islink(path)) or (path.parent != within and os.path.islink(path.parent))):
        return
    real, folder = (Path(os.path.realpath(each)) for each in (path, within))
    behind = folder.parent.parent / "blobs" if folder.parent.name == "snapshots" else folder
    if not (real.is_relative_to(folder) or real.is_relative_to(behind)):
        raise EntryError(f"{path}: leads out of {within}, to {real}.", "Copy it there, or name its own folder.")


def _named(path: Path, error: GpunetError) -> EntryError:
    """The same fault, of this file."""
    message = f"{path}: {printable(error.message)}"
    message = message if len(message) <= _MOST_SAID else f"{message[:_MOST_SAID]}..."
    code = error.exit_code if isinstance(error, EntryError) else None
    return EntryError(message, error.hint or f"Mend it in {path.name}.", exit_code=code)
