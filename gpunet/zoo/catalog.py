"""The zoo's entries and their latency records, read from JSON and CSV.

A zoo folder holds entries as `*.json`, or as one folder each with an `entry.json`, and beside them latency records
as `*.csv`. Folders whose name begins with a dot are passed over: an entry that is being written is in one. The
package's own zoo (gpunet/zoo/data) and a user's are read by the same code.
"""

from __future__ import annotations

import csv
import dataclasses
import difflib
import fnmatch
import functools
import json
import os
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any

from gpunet.core.files import atomic_path
from gpunet.core.json_files import parsed_json
from gpunet.core.placing import folders_in
from gpunet.core.versions import body_of
from gpunet.errors import ABSENT_EXIT_CODE, FAILED_EXIT_CODE, EntryError, InvalidArgumentError, UnknownModelError
from gpunet.model.entry import Accuracy, Entry, LatencyRecord, Preprocessing, WeightsSource, check_entry_name
from gpunet.zoo.publishing.layout import ENTRY, STATE, STATE_ZOO

DATA = Path(__file__).parent / "data"
FORMAT, FORMAT_VERSION = "gpunet-entry", 1
ROLES = ("released", "baseline", "own")
Zoo = str | Path | Iterable[str | Path] | None


def read_entry(path: Path) -> Entry | None:
    """The entry in a JSON file, without its records; None for JSON that does not call itself one.

    Raises:
        EntryError: it cannot be read as one; the message names file and key.
    """
    try:
        data = parsed_json(path.read_bytes())
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise EntryError(f"{path}: cannot be read as JSON: {error}", exit_code=FAILED_EXIT_CODE) from None
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        return None
    body = body_of(data, "entry", "format_version", FORMAT_VERSION, error=EntryError, where=str(path))
    del body["format"]
    body["spec_data"] = body.pop("spec", None)
    body["sources"] = tuple(body.get("sources", ()))
    if body.get("classes") is not None:
        body["classes"] = tuple(body["classes"])
    body.setdefault("role", "own")
    body.setdefault("licence", "not stated")
    for name in ("architecture", "accuracy", "preprocessing"):
        body.setdefault(name, None)
    known = {f.name for f in fields(Entry)} - {"records", "folder"}
    unknown = sorted(set(body) - known)
    if unknown:
        shown = ", ".join(sorted((known - {"spec_data"}) | {"spec"}))
        raise EntryError(f"{path}: unknown key {unknown[0]!r}.", f"Known keys: {shown}.")
    if not isinstance(body.get("name"), str) or not body["name"]:
        raise EntryError(f"{path}: name is missing.", "Give the entry a name.")
    try:
        check_entry_name(body["name"])
    except EntryError as error:
        raise EntryError(f"{path}: {error.message}", error.hint) from None
    if body["role"] not in ROLES:
        raise EntryError(f"{path}: role {body['role']!r} is not one of {', '.join(ROLES)}.")
    if body["architecture"] is None and body["role"] == "own":
        raise EntryError(f"{path}: architecture is missing.", "Name it as timm does, or 'gpunet' with a spec.")
    if body["architecture"] == "gpunet" and body["spec_data"] is None:
        raise EntryError(f"{path}: architecture 'gpunet' needs a spec.", "Add the network's spec under the key 'spec'.")
    if body.get("model_args") is not None and not isinstance(body["model_args"], dict):
        raise EntryError(f"{path}: model_args must be an object, but is {body['model_args']!r}.")
    parts = {"accuracy": Accuracy, "weights": WeightsSource, "preprocessing": Preprocessing}
    for name, part_type in parts.items():
        if body.get(name) is not None:
            body[name] = _part(path, name, part_type, body[name])
    return Entry(**body, folder=path.parent)


def _part(path: Path, name: str, part_type: Any, data: Any) -> Any:
    if not isinstance(data, dict):
        raise EntryError(f"{path}: {name} must be an object, but is {data!r}.")
    body = {key: tuple(value) if isinstance(value, list) else value for key, value in data.items()}
    try:
        return part_type(**body)
    except TypeError:
        allowed = ", ".join(f.name for f in fields(part_type))
        raise EntryError(
            f"{path}: {name} has wrong or missing keys: {sorted(data)}.", f"Its keys are {allowed}."
        ) from None


def read_records(path: str | Path) -> list[LatencyRecord]:
    """The latency records of a CSV file with a header of LatencyRecord's field names.

    Raises:
        EntryError: naming the file, the line and the field.
    """
    records = []
    with open(path, encoding="utf-8", newline="") as file:
        for line, row in enumerate(csv.DictReader(file), start=2):
            try:
                records.append(_record(row))
            except KeyError as error:
                raise EntryError(f"{path}, line {line}: column {error} is missing.") from None
            except ValueError as error:
                raise EntryError(f"{path}, line {line}: {error}") from None
    return records


def append_records(path: str | Path, records: Iterable[LatencyRecord]) -> None:
    """Add records to a latency CSV, which is made if it is not there; atomically, and nothing that is there changes.

    Raises:
        EntryError: the file that is there cannot be read as latency records.
    """
    path = Path(path)
    write_records(path, [*(read_records(path) if path.exists() else ()), *records])


def write_records(path: str | Path, records: Iterable[LatencyRecord]) -> None:
    """Write records as a latency CSV, in place of what is there; atomically."""
    rows = [
        {**record.to_dict(), "conditions": json.dumps(dict(record.conditions)) if record.conditions else ""}
        for record in records
    ]
    with atomic_path(path) as part, open(part, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [f.name for f in fields(LatencyRecord)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _record(row: dict[str, str]) -> LatencyRecord:
    texts = ("model", "chip", "board", "precision", "runtime", "runtime_version", "statistic", "kind", "source")
    return LatencyRecord(
        **{name: row[name] or "" for name in texts},
        batch_size=int(row["batch_size"]),
        latency_ms=float(row["latency_ms"]),
        throughput_ips=float(row["throughput_ips"]) if row.get("throughput_ips") else None,
        threads=int(row["threads"]) if row.get("threads") else None,
        conditions=parsed_json(row["conditions"]) if row.get("conditions") else {},
    )


def _scan(folder: Path) -> tuple[list[Entry], list[LatencyRecord]]:
    """The entries and records of a zoo folder, and of the entry folders in it; of a folder of state, those in zoo/."""
    if not folder.is_dir():
        raise EntryError(
            f"zoo folder {folder} does not exist.",
            "Give the folder that holds your entries.",
            exit_code=ABSENT_EXIT_CODE,
        )
    if all((folder / name).is_file() for name in STATE):
        folder = folder / STATE_ZOO
        if not folder.is_dir():
            raise EntryError(
                f"{folder.parent} is a folder of tools/populate_zoo.py's that has published no entry yet.",
                "Run the same command again: it goes on to the end.",
            )
    places = [folder, *(child for child in folders_in(folder) if (child / ENTRY).is_file())]
    entries = [entry for place in places for path in sorted(place.glob("*.json")) if (entry := read_entry(path))]
    records = [record for place in places for path in sorted(place.glob("*.csv")) for record in read_records(path)]
    return entries, records


_scan_package = functools.cache(functools.partial(_scan, DATA))


def catalog(zoo: Zoo = None) -> dict[str, Entry]:
    """All entries by name: the package's own, then those of `zoo`.

    Args:
        zoo: folders of one's own entries; a path or several. Their CSV files may add records to the package's entries.

    Raises:
        EntryError: a file cannot be read as an entry, a name is taken, or a record's model has no entry.
    """
    entries: dict[str, Entry] = {}
    records: dict[str, list[LatencyRecord]] = {}
    for folder in (None, *zoo_folders(zoo)):
        found, measured = _scan_package() if folder is None else _scan(folder)
        for entry in found:
            if entry.name in entries:
                raise EntryError(
                    f"{entry.folder}: the zoo has an entry {entry.name!r} already.", "Give yours another name."
                )
            entries[entry.name] = entry
        for record in measured:
            if record.model not in entries:
                raise EntryError(f"{folder}: a latency record names the model {record.model!r}, which has no entry.")
            records.setdefault(record.model, []).append(record)
    return {name: _complete(entry, entries, records.get(name, [])) for name, entry in entries.items()}


def _complete(entry: Entry, entries: dict[str, Entry], records: list[LatencyRecord]) -> Entry:
    """The entry with its records, and with the spec of the released network where it names one."""
    spec_data = entry.spec_data
    named = entries.get(entry.architecture or "")
    if spec_data is None and named is not None:
        spec_data = named.spec_data
    return dataclasses.replace(entry, spec_data=spec_data, records=tuple(records))


def zoo_folders(zoo: Zoo) -> list[Path]:
    """`zoo` as a list of paths."""
    if zoo is None:
        return []
    if isinstance(zoo, (str, Path)):
        return [Path(zoo).expanduser()]
    if not isinstance(zoo, Iterable):
        raise InvalidArgumentError(f"zoo must be a folder or a list of folders, but got {zoo!r}.")
    return [Path(folder).expanduser() for folder in zoo]


def entry_named(name: str | Path, zoo: Zoo = None) -> Entry:
    """The entry of that name, or the one in a folder: an entry's or a training run's.

    Raises:
        UnknownModelError: (a LookupError) with the close names, or the folder does not hold one entry.
    """
    entries = catalog(zoo)
    if isinstance(name, str) and name in entries:
        return entries[name]
    folder = Path(name).expanduser()
    if os.path.isdir(folder):
        return _entry_in(folder)
    close = difflib.get_close_matches(str(name).lower().replace("-", "_"), entries, n=4, cutoff=0.5)
    said = f"Close names: {', '.join(close)}." if close else f"Its models: {', '.join(entries)}."
    raise UnknownModelError(f"the zoo has no model {str(name)!r}, and there is no folder of it.", said, nearest=close)


def _entry_in(folder: Path) -> Entry:
    own = [entry for entry in catalog(folder).values() if entry.role == "own"]
    if len(own) == 1:
        return own[0]
    names = ", ".join(entry.name for entry in own)
    raise UnknownModelError(
        f"{folder} must hold one entry, but holds {names or 'none'}.",
        f"Name one of them, with --zoo {folder}." if own else "A training run writes its entry when it ends.",
        exit_code=None if own else ABSENT_EXIT_CODE,
    )


def names_like(names: Iterable[str], patterns: str | Iterable[str] | None) -> list[str]:
    """The names that one of the patterns fits, with * and ? for any letters; all where there is none."""
    if patterns is None:
        return list(names)
    wanted = [patterns] if isinstance(patterns, str) else list(patterns)
    return [name for name in names if any(fnmatch.fnmatchcase(name, each) for each in wanted)]
