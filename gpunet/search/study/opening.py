"""Open a study that is there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from gpunet.errors import FAILED_EXIT_CODE, SpecError, StudyError
from gpunet.search.storage.backends import shown
from gpunet.search.storage.storage import WORKERS, StudyStorage
from gpunet.search.study.definition import StudyDefinition
from gpunet.search.study.study import DEFINITION, STUDY_FOLDER, Study

_DAMAGED = "The record is damaged; restore the database from a copy, or make a study of another name."
UNFINISHED_S = 10.0  # that another process may need to write what it has just made


def open_study(
    url: str | Path,
    name: str | None = None,
    *,
    folder: str | Path | None = None,
    reading: bool = False,
    storage: StudyStorage | None = None,
    unfinished_s: float = UNFINISHED_S,
    **options: Any,
) -> Study:
    """Open a study that is there.

    Args:
        url: see `StudyStorage`.
        name: None where the storage holds one only.
        folder: where its folder is on this machine, if it is not where the study says.
        reading: see `StudyStorage`.
        storage: in place of `url`, one that is open.
        unfinished_s: how long to wait for the definition of one that another process has just made.
        options: of `StudyStorage`.

    Raises:
        StudyError: (a ValueError) there is none of that name, or several and none named, or it is not gpunet's.
        StudyUnavailableError: (a RuntimeError) the storage does not serve.
    """
    storage = StudyStorage(url, reading=reading, make=False, **options) if storage is None else storage
    if name is None:
        names = names_in(storage)
        if len(names) != 1:
            what = f"{len(names)} studies: {', '.join(names)}" if names else "no study"
            raise StudyError(
                f"{shown(storage.url)} holds {what}.",
                "Name one: --name NAME" if names else "gpunet search create makes one.",
                nearest=names,
            )
        name = names[0]
    study_id = storage.study_id(name)
    if study_id is None:
        known = names_in(storage)
        raise StudyError(
            f"{shown(storage.url)} holds no study {name}.",
            f"It holds {', '.join(known)}." if known else "gpunet search create makes one.",
            nearest=known,
        )
    return opened(storage, name, study_id, folder, unfinished_s=unfinished_s)


def study_names(url: str | Path, *, patience_s: float = 2.0) -> list[str]:
    """The names of the studies in a database, in order; nothing is written.

    Args:
        url: see `StudyStorage`.
        patience_s: see `StudyStorage`.

    Raises:
        StudyError: (a ValueError) there is no such database.
        StudyUnavailableError: (a RuntimeError) the storage does not serve.
    """
    storage = StudyStorage(url, reading=True, make=False, patience_s=patience_s)
    try:
        return names_in(storage)
    finally:
        storage.close()


def names_in(storage: StudyStorage) -> list[str]:
    """The names of the studies in a storage, in order, without what belongs to their workers."""
    return sorted(each for each in storage.study_names() if not each.endswith(WORKERS))


def opened(
    storage: StudyStorage, name: str, study_id: int, folder: str | Path | None, space: Any = None,
    unfinished_s: float = UNFINISHED_S,
) -> Study:  # fmt: skip
    """A study as its attributes say; `space` spares decoding it again.

    Raises:
        StudyError: (a ValueError) gpunet did not make it, or it cannot be read.
    """
    attrs = finished_attrs(storage, study_id, unfinished_s)
    if DEFINITION not in attrs:
        raise StudyError(
            f"the study {name} in {shown(storage.url)} has no definition: gpunet did not make it.",
            "gpunet search create, with the same name, makes it one of gpunet's.",
        )
    try:
        definition = StudyDefinition.from_dict(attrs[DEFINITION], space)
    except SpecError as error:
        raise StudyError(
            f"the study {name} cannot be read: {error.message}", error.hint or _DAMAGED, exit_code=FAILED_EXIT_CODE
        ) from None
    place = folder or attrs.get(STUDY_FOLDER)
    if not place or not isinstance(place, (str, os.PathLike)):
        raise StudyError(
            f"the study {name} does not say where its checkpoints lie: {STUDY_FOLDER} is {place!r:.80}.",
            "Say it: --folder DIR", exit_code=FAILED_EXIT_CODE,
        )  # fmt: skip
    return Study(storage, name, study_id, definition, Path(place))


def finished_attrs(storage: StudyStorage, study_id: int, unfinished_s: float = UNFINISHED_S) -> dict[str, Any]:
    """A study's attributes, its definition among them; after some time, what there is."""
    until_s = storage.clock() + unfinished_s
    attrs = storage.study_attrs(study_id)
    while DEFINITION not in attrs and storage.clock() < until_s:
        storage.sleep(0.1)
        attrs = storage.study_attrs(study_id)
    return attrs
