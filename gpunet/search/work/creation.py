"""Create a study: its definition, written once, and the registry that its workers meet at."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

from gpunet.errors import StudyError
from gpunet.search.storage.backends import file_of, shown
from gpunet.search.storage.storage import WORKERS, StudyStorage
from gpunet.search.study.definition import METRIC, StudyDefinition
from gpunet.search.study.opening import finished_attrs, opened
from gpunet.search.study.study import BUDGET, DEFINITION, STUDY_FOLDER, Study
from gpunet.search.work.registry import WorkerRegistry


def create_study(
    url: str | Path,
    name: str,
    definition: StudyDefinition,
    *,
    folder: str | Path | None = None,
    storage: StudyStorage | None = None,
) -> Study:
    """Make a study, or open the one that is there if it is the same.

    Args:
        url: see `StudyStorage`.
        name: unique in the storage.
        definition: what is searched.
        folder: of checkpoints, reachable by all workers; beside a SQLite file by default.
        storage: in place of `url`, one that is open.

    Raises:
        StudyError: (a ValueError) the name is none, there is a study of that name with another definition, or no
            folder is given where no file's place says one.
        StudyUnavailableError: (a RuntimeError) the storage does not serve.
    """
    check_study_name(name)
    storage = StudyStorage(url) if storage is None else storage
    place = _folder(storage, name, folder)
    study_id, mine = storage.made_study(name)
    registry_id, _ = storage.made_study(name + WORKERS)
    WorkerRegistry(storage, registry_id, math.inf).prepare()
    # Of those that make one study at once, one writes what it is, and the others wait for that: a definition that
    # someone has read must not change. It is written for one who died before, or for a study that is not gpunet's.
    if mine or DEFINITION not in finished_attrs(storage, study_id):
        storage.name_metric(name, METRIC)
        described = {STUDY_FOLDER: str(place), BUDGET: definition.max_trials, **definition.described()}
        for key, value in described.items():
            storage.set_study_attr(study_id, key, value)
        storage.set_study_attr(study_id, DEFINITION, definition.to_dict())
    study = opened(storage, name, study_id, folder, definition.space)
    if study.definition.identity != definition.identity:
        raise StudyError(
            f"{shown(storage.url)} holds another study {name}: its {_differing(study.definition, definition)} differs.",
            "Give another name, or go on with that one: gpunet search worker.",
        )
    return study


def _folder(storage: StudyStorage, name: str, folder: str | Path | None) -> Path:
    if folder is not None:
        return Path(folder).expanduser().absolute()
    path = file_of(storage.url)
    if path is None:
        raise StudyError(
            f"{shown(storage.url)} is no file, so nothing says where checkpoints go.",
            "Give a folder that every worker reaches: --folder DIR",
        )
    return path.parent / f"{path.stem}-{name}"


def check_study_name(name: object) -> None:
    """Refuse what is no name of a study.

    Raises:
        StudyError: (a ValueError) it has other letters than a file's name may have.
    """
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
        raise StudyError(f"a study's name has letters, digits, '.', '_' and '-' only, but got {name!r}.")


def _differing(there: StudyDefinition, here: StudyDefinition) -> str:
    """The first field in which two definitions differ."""
    one, other = json.loads(json.dumps([there.compared(), here.compared()]))
    return next((key for key in one if one[key] != other.get(key)), "kind")
