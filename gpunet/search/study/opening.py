"""Open a study that is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gpunet.errors import SpecError, StudyError
from gpunet.search.storage.backends import shown
from gpunet.search.storage.storage import StudyStorage
from gpunet.search.study.definition import StudyDefinition
from gpunet.search.study.study import DEFINITION, STUDY_FOLDER, WORKERS, Study

_UNFINISHED_S = 10.0  # that another process may need to write what it has just made


def open_study(
    url: str | Path,
    name: str | None = None,
    *,
    folder: str | Path | None = None,
    reading: bool = False,
    storage: StudyStorage | None = None,
    **options: Any,
) -> Study:
    """Open a study that is there.

    Args:
        url: see `StudyStorage`.
        name: None where the storage holds one only.
        folder: where its folder is on this machine, if it is not where the study says.
        reading: see `StudyStorage`.
        storage: in place of `url`, one that is open.
        options: of `StudyStorage`.

    Raises:
        StudyError: (a ValueError) there is none of that name, or several and none named, or it is not gpunet's.
        StudyUnavailableError: (a RuntimeError) the storage does not serve.
    """
    storage = StudyStorage(url, reading=reading, make=False, **options) if storage is None else storage
    if name is None:
        names = [each for each in storage.study_names() if not each.endswith(WORKERS)]
        if len(names) != 1:
            what = f"{len(names)} studies: {', '.join(sorted(names))}" if names else "no study"
            raise StudyError(
                f"{shown(storage.url)} holds {what}.",
                "Name one: --name NAME" if names else "gpunet search create makes one.",
            )
        name = names[0]
    study_id = storage.study_id(name)
    if study_id is None:
        known = sorted(each for each in storage.study_names() if not each.endswith(WORKERS))
        raise StudyError(
            f"{shown(storage.url)} holds no study {name}.",
            f"It holds {', '.join(known)}." if known else "gpunet search create makes one.",
        )
    return opened(storage, name, study_id, folder)


def opened(storage: StudyStorage, name: str, study_id: int, folder: str | Path | None, space: Any = None) -> Study:
    """A study as its attributes say; `space` spares decoding it again.

    Raises:
        StudyError: (a ValueError) gpunet did not make it, or it cannot be read.
    """
    attrs = finished_attrs(storage, study_id)
    if DEFINITION not in attrs:
        raise StudyError(
            f"the study {name} in {shown(storage.url)} has no definition: gpunet did not make it.",
            "gpunet search create, with the same name, makes it one of gpunet's.",
        )
    try:
        definition = StudyDefinition.from_dict(attrs[DEFINITION], space)
    except SpecError as error:
        raise StudyError(f"the study {name} cannot be read: {error.message}", error.hint) from None
    return Study(storage, name, study_id, definition, Path(folder or attrs[STUDY_FOLDER]))


def finished_attrs(storage: StudyStorage, study_id: int) -> dict[str, Any]:
    """A study's attributes, its definition among them; after some time, what there is."""
    until_s = storage.clock() + _UNFINISHED_S
    attrs = storage.study_attrs(study_id)
    while DEFINITION not in attrs and storage.clock() < until_s:
        storage.sleep(0.1)
        attrs = storage.study_attrs(study_id)
    return attrs
