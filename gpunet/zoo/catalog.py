"""The zoo's entries and their latency records, gathered from folders.

A zoo folder holds entries as `*.json`, or as one folder each with an `entry.json`, and beside them latency records
as `*.csv`. Folders whose name begins with a dot are passed over: an entry that is being written is in one. The
package's own zoo (gpunet/zoo/data) and a user's are read by the same code; timm's networks come from tables
(`gpunet.zoo.timm_zoo`).

A zoo may be somebody else's: what cannot be read as an entry or a record is named by a warning, once, and passed over.
Asked for by name it is an error.
"""

from __future__ import annotations

import copy
import dataclasses
import fnmatch
import functools
import os
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gpunet.core.arguments import checked_patterns
from gpunet.core.placing import folders_in
from gpunet.core.text import printable
from gpunet.core.unchanged import Unchanged
from gpunet.errors import ABSENT_EXIT_CODE, EntryError, InvalidArgumentError, UnknownModelError
from gpunet.model.entry import TIMM, Entry, LatencyRecord
from gpunet.zoo.choice.unknown import unknown_model_error
from gpunet.zoo.kept.index import index_of_entries, index_of_rows
from gpunet.zoo.publishing.layout import ENTRY, STATE, STATE_ZOO
from gpunet.zoo.reading import check_weights_link, names_in, read_entry, read_rows

DATA = Path(__file__).parent / "data"
Zoo = str | Path | Iterable[str | Path] | None
_told: set[str] = set()
_entry_of = Unchanged(lambda path, folder: read_entry(path, within=folder), index=index_of_entries)
_rows_of = Unchanged(lambda path, folder: read_rows(path, within=folder), index=index_of_rows)


class EntryWarning(UserWarning):
    """Something in a zoo's folder is no entry or no latency record, and was passed over."""


@dataclass(frozen=True)
class _Fault:
    """What was passed over.

    Args:
        error: what is wrong, with the file.
        names: that it may be asked for by.
        taken: whether another entry has its name, which then means neither.
    """

    error: EntryError
    names: frozenset[str] = frozenset()
    taken: bool = False


@dataclass
class _Found:
    """What folders hold: entries, records with the folder they come from, and faults."""

    entries: list[Entry] = field(default_factory=list)
    records: list[LatencyRecord] = field(default_factory=list)
    faults: list[_Fault] = field(default_factory=list)


def _scan(folder: Path) -> _Found:
    """The entries and records of a zoo folder, and of the entry folders in it; of a folder of state, those in zoo/."""
    _check_folder(folder)
    if all(os.path.isfile(folder / name) for name in STATE):
        folder = folder / STATE_ZOO
        if not os.path.isdir(folder):
            raise EntryError(
                f"{folder.parent} is a folder of tools/populate_zoo.py's that has published no entry yet.",
                "Run the same command again: it goes on to the end.",
            )
    found = _Found()
    with _entry_of.indexed(folder), _rows_of.indexed(folder):
        _read_all(folder, found)
    return found


def _read_all(folder: Path, found: _Found) -> None:
    for place in [folder, *_entry_folders(folder, found)]:
        for path in _children(place, found, ".json"):
            try:
                entry = _entry_of(path, folder)
                if entry is not None:  # its weights are not the file that is unchanged
                    check_weights_link(entry, place, folder)
            except EntryError as error:
                found.faults.append(_Fault(error, frozenset(names_in(path))))
            else:
                found.entries += [entry] if entry is not None else []
        for path in _children(place, found, ".csv"):
            records, errors = _rows_of(path, folder)
            found.records += records
            found.faults += map(_Fault, errors)


def _check_folder(folder: Path) -> None:
    """Raise EntryError unless it is a folder that may be listed and entered."""
    try:
        os.listdir(folder)
        os.stat(os.path.join(folder, os.curdir))
    except (FileNotFoundError, NotADirectoryError, ValueError):  # of a name with a null character
        there = os.path.exists(folder)
        raise EntryError(
            f"zoo folder {folder} {'is no folder' if there else 'does not exist'}.",
            "Give the folder that holds your entries.",
            exit_code=None if there else ABSENT_EXIT_CODE,
        ) from None
    except OSError as error:
        raise EntryError(
            f"{folder}: cannot be read: {error.strerror or error}.",
            "See whether you may list and enter the folder, or give another.",
            exit_code=ABSENT_EXIT_CODE,
        ) from None


def _entry_folders(folder: Path, found: _Found) -> list[Path]:
    try:
        children = folders_in(folder)
    except OSError:  # the listing of its own files says so
        return []
    places = []
    for child in children:
        try:
            (child / ENTRY).stat()
            places.append(child)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            found.faults.append(_unreadable(child, error))
    return places


def _children(place: Path, found: _Found, suffix: str) -> list[Path]:
    try:
        return [place / name for name in sorted(os.listdir(place)) if name.endswith(suffix)]
    except OSError as error:
        found.faults.append(_unreadable(place, error))
        return []


def _unreadable(place: Path, error: OSError) -> _Fault:
    hint = "See whether you may list and enter the folder."
    return _Fault(EntryError(f"{place}: cannot be read: {error.strerror}.", hint), frozenset({place.name}))


_scan_package = functools.cache(functools.partial(_scan, DATA))


def catalog(zoo: Zoo = None, *, strict: bool = False) -> dict[str, Entry]:
    """All entries by name: the package's own, then those of `zoo`.

    Args:
        zoo: folders of one's own entries; a path or several. Their CSV files may add records to the package's entries.
            'timm' for timm's networks; a folder of that name is './timm'.
        strict: raise for the first thing that cannot be read, instead of passing it over.

    Warns:
        EntryWarning: a file or a row cannot be read as an entry or a record, a name is taken, or a record's model has
            no entry; each once.

    Raises:
        EntryError: a folder does not exist; with `strict`, any of the above.
    """
    entries, faults = _gathered(zoo)
    for fault in faults:
        if strict:
            raise fault.error
        said = printable(fault.error.message)
        if said not in _told:
            _told.add(said)
            warnings.warn(f"passed over: {said}", EntryWarning, stacklevel=2)
    return entries


def _gathered(zoo: Zoo) -> tuple[dict[str, Entry], list[_Fault]]:
    entries: dict[str, Entry] = {}
    records: dict[str, list[LatencyRecord]] = {}
    faults: list[_Fault] = []
    for folder in zoo_places(zoo):
        found = _scan_package() if folder == DATA else _found_in(folder)
        faults += found.faults
        for entry in found.entries:
            fault = _claimed(entry, entries, own=folder != DATA)
            if fault is None:
                entries[entry.name] = entry
            else:
                faults.append(fault)
        passed_over = {name for fault in faults for name in fault.names}
        nameless = sorted({record.model for record in found.records} - entries.keys() - passed_over)
        faults += [
            _Fault(
                EntryError(
                    f"{folder}: a latency record names the model {name!r:.120}, which has no entry.",
                    "Put its entry beside the record, or name the zoo that has it.",
                )
            )
            for name in nameless
        ]
        for record in found.records:
            if record.model in entries:
                records.setdefault(record.model, []).append(record)
    _share(entries, records)
    return {name: _complete(entry, entries, records.get(name, [])) for name, entry in entries.items()}, faults


def _share(entries: dict[str, Entry], records: dict[str, list[LatencyRecord]]) -> None:
    """Make a record of one of timm's networks, in `records`, one of all tags that share its latency."""
    own = {name: records.pop(name) for name in list(records) if entries[name].role == TIMM}
    of_network: dict[str, list[LatencyRecord]] = {}
    for name, found in own.items():
        of_network.setdefault(entries[name].identity, []).extend(found)
    for name, entry in entries.items() if of_network else ():
        if entry.role == TIMM and entry.identity in of_network:
            records[name] = of_network[entry.identity]


def _found_in(folder: Path | str) -> _Found:
    if isinstance(folder, Path):
        return _scan(folder)
    from gpunet.zoo.timm_zoo.entries import timm_entries

    return _Found(entries=list(timm_entries()))


def _claimed(entry: Entry, entries: dict[str, Entry], *, own: bool) -> _Fault | None:
    """What is wrong where an entry claims what is another's: a name, or to be one of NVIDIA's."""
    where, names = entry.folder, frozenset({entry.name})
    if entry.name in entries:
        error = EntryError(f"{where}: the zoo has an entry {entry.name!r} already.", "Give yours another name.")
        return _Fault(error, names, taken=True)
    if own and entry.role == "released":
        hint = "Leave 'role' out of an entry of your own."
        return _Fault(EntryError(f"{where}: the role 'released' of {entry.name} is the package's own.", hint), names)
    return None


def _complete(entry: Entry, entries: dict[str, Entry], records: list[LatencyRecord]) -> Entry:
    """The entry with its records, and with the spec of the released network where it names one."""
    if entry.role == TIMM:
        return dataclasses.replace(entry, records=(*entry.records, *records)) if records else entry
    spec_data = entry.spec_data
    named = entries.get(entry.architecture or "")
    if spec_data is None and named is not None:
        spec_data = named.spec_data
    if spec_data is not entry.spec_data:
        return dataclasses.replace(entry, spec_data=spec_data, records=tuple(records))
    if not records:
        return entry
    made = copy.copy(entry)  # with what was counted when it was read, and checked
    vars(made)["records"] = tuple(records)
    return made


def zoo_places(zoo: Zoo) -> list[Path | str]:
    """Where entries are, in the order in which they take names: the package's folder, timm's tables, those of `zoo`."""
    if zoo is None:
        given: list[str | Path] = []
    elif isinstance(zoo, (str, Path)) or not isinstance(zoo, Iterable):
        given = [zoo]
    else:
        given = list(zoo)
    if not all(isinstance(each, (str, Path)) for each in given):
        raise InvalidArgumentError(
            f"zoo must be a folder, 'timm', or a list of them, but got {zoo!r}.", "Give paths, as str or Path."
        )
    timm = [TIMM] if TIMM in given else []  # a Path is none, though it were called so
    return [DATA, *timm, *(_expanded(each) for each in given if each != TIMM)]


def _expanded(path: str | Path) -> Path:
    """The path with the folder of a user in place of '~'."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise InvalidArgumentError(
            f"{str(path)!r} begins with the folder of a user whom this machine does not know.",
            "Give the whole path; a folder whose name begins with ~ is ./~NAME.",
        ) from None


def entry_named(name: str | Path, zoo: Zoo = None) -> Entry:
    """The entry of that name, or the one in a folder: an entry's or a training run's.

    Raises:
        UnknownModelError: (a LookupError) with the close names, or the folder does not hold one entry.
        EntryError: (a ValueError) the entry of that name cannot be read, or two have it.
        InvalidArgumentError: (a ValueError) it is neither text nor path.
    """
    if not isinstance(name, (str, Path)):
        raise InvalidArgumentError(
            f"name must be a model of the zoo or the folder of an entry, but got {name!r}.",
            "gpunet.list_models() names the zoo's.",
        )
    entries, faults = _gathered(zoo)
    for fault in faults:
        if name in fault.names and (fault.taken or name not in entries):
            raise fault.error
    if isinstance(name, str) and name in entries:
        return entries[name]
    folder = _expanded(name)
    if os.path.isdir(folder):
        return _entry_in(folder)
    if os.path.isfile(folder):
        raise UnknownModelError(
            f"{str(name)!r} is a file, but a model is a name in the zoo or the folder of an entry or run.",
            "Exported files are for verify, bench, eval and predict; a spec's JSON for export, eval and predict.",
        )
    raise unknown_model_error(str(name), entries, zoo_places(zoo)[1:])


def _entry_in(folder: Path) -> Entry:
    entries, faults = _gathered(folder)
    own = [entry for entry in entries.values() if entry.role == "own"]
    if len(own) == 1:
        return own[0]
    if faults and not own:
        raise faults[0].error
    names = ", ".join(entry.name for entry in own)
    raise UnknownModelError(
        f"{folder} must hold one entry, but holds {names or 'none'}.",
        f"Name one of them, with --zoo {folder}." if own else "A training run writes its entry when it ends.",
        exit_code=None if own else ABSENT_EXIT_CODE,
    )


def names_like(names: Iterable[str], patterns: str | Sequence[str] | None) -> list[str]:
    """The names that one of the patterns fits, with * and ? for any letters; all where there is none.

    Raises:
        InvalidArgumentError: (a ValueError) a pattern is none.
    """
    if patterns is None:
        return list(names)
    wanted = checked_patterns("pattern", patterns)
    return [name for name in names if any(fnmatch.fnmatchcase(name, each) for each in wanted)]
