"""Study: one Optuna study is the single record of a search; this file reads and writes it.

    study NAME                  user attributes: the definition, its parts by name, the folder, measurements
                                (measured/TRIAL); a trial a network
    study NAME/workers          a trial a worker's session (gpunet.search.work.board): nothing of it is a result

A trial is one network all its life, however many workers it passes through: made RUNNING by the first that holds it,
WAITING while nobody does, and ended once: COMPLETE, PRUNED or FAIL.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpunet.core.files import write_text
from gpunet.errors import SpecError, StudyError
from gpunet.search.storage.storage import StudyStorage
from gpunet.search.storage.url import shown, sqlite_path
from gpunet.search.study.definition import METRIC, StudyDefinition
from gpunet.search.study.trials import (
    ASSIGNMENT,
    ESTIMATED,
    SESSION,
    SPEC,
    VECTOR,
    TrialRecord,
    folder_name,
    is_trial,
    pareto,
    ranked,
    record_of,
)
from gpunet.search.work.board import Board

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

DEFINITION, STUDY_FOLDER, BUDGET, MEASURED = "definition", "folder", "max_trials", "measured"
BOARD = "/workers"
_UNFINISHED_S = 10.0  # that another process may need to write what it has just made


class Study:
    """A search's record; `open_study` and `create_study` make it.

    Args:
        storage: where it is kept.
        name: of it.
        study_id: of Optuna's.
        definition: what is searched.
        folder: of the trials' checkpoints.
    """

    def __init__(
        self, storage: StudyStorage, name: str, study_id: int, definition: StudyDefinition, folder: Path
    ) -> None:
        self.storage, self.name, self.study_id = storage, name, study_id
        self.definition, self.folder = definition, folder
        self.optuna = storage.optuna
        self._ids: dict[int, int] = {}  # Optuna's, by number, of trials that this process has held

    def __repr__(self) -> str:
        return f"<Study {self.name} in {shown(self.storage.url)}>"

    # ------------------------------------------------------------------ reading

    def frozen(self) -> list[FrozenTrial]:
        """Optuna's trials, not to be changed, those of this search alone."""
        found: dict[str, FrozenTrial] = {}
        for each in self.storage.trials(self.study_id):
            if is_trial(each):  # of one that was made twice, because an answer was lost, the first
                found.setdefault(each.user_attrs[ASSIGNMENT], each)
        return list(found.values())

    def trials(self) -> list[TrialRecord]:
        """All networks, in the order of their numbers, with what was measured of them."""
        measured = {
            int(key.rpartition("/")[2]): value
            for key, value in self.storage.study_attrs(self.study_id).items()
            if key.startswith(f"{MEASURED}/")
        }
        records = [record_of(each) for each in self.frozen()]
        return [dataclasses.replace(each, measured=measured.get(each.number)) for each in records]

    def best(self) -> TrialRecord:
        """The most accurate network that was trained to the end.

        Raises:
            StudyError: (a ValueError) there is none yet.
        """
        found = ranked(self.trials())
        if not found:
            raise StudyError(f"no trial of the study {self.name} is complete.", "gpunet search worker goes on with it.")
        return found[0]

    def pareto(self) -> list[TrialRecord]:
        """Those that no other one beats in both accuracy and latency, the fastest first."""
        return pareto(self.trials())

    def max_trials(self) -> int:
        """The budget of trials, as it stands now."""
        return int(self.storage.study_attrs(self.study_id).get(BUDGET, self.definition.max_trials))

    def trial_folder(self, number: int) -> Path:
        """Where a trial's checkpoints are, on this machine."""
        return self.folder / folder_name(number)

    def export(self, path: str | Path) -> None:
        """Write definition and trials as one JSON file."""
        body = {
            "study": self.name,
            "folder": str(self.folder),
            "definition": self.definition.to_dict(),
            "max_trials": self.max_trials(),
            "trials": [each.to_dict() for each in self.trials()],
        }
        write_text(path, json.dumps(body, indent=1) + "\n")

    # ------------------------------------------------------------------ writing

    def set_max_trials(self, count: int) -> None:
        """Change the budget: workers that ask from now on reckon with it.

        Raises:
            StudyError: (a ValueError) it is no integer of 1 or more.
        """
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise StudyError(f"max_trials must be an integer of 1 or more, but got {count!r}.")
        self.storage.set_study_attr(self.study_id, BUDGET, count)

    def move(self, folder: str | Path) -> None:
        """Say where the checkpoints lie from now on, for all who open the study; no file is moved."""
        self.folder = Path(folder).expanduser().absolute()
        if self.storage.study_attrs(self.study_id).get(STUDY_FOLDER) != str(self.folder):
            self.storage.set_study_attr(self.study_id, STUDY_FOLDER, str(self.folder))

    def record_measured(self, number: int, latency_ms: float, conditions: Mapping[str, Any]) -> None:
        """Keep a latency of a trial's whole network, measured after its training.

        Args:
            number: of the trial.
            latency_ms: for the batch that the conditions name.
            conditions: plain JSON; what makes the figure auditable.
        """
        # A trial that has ended takes no attributes, in any of Optuna's storages; its study does.
        value = {"latency_ms": float(latency_ms), "conditions": dict(conditions)}
        self.storage.set_study_attr(self.study_id, f"{MEASURED}/{number}", value)

    def create_trial(self, vector: Sequence[int], estimated_ms: float, assignment: str, session: int) -> TrialRecord:
        """A new trial, held by a session from its beginning; made once, however often the call is repeated."""
        definition = self.definition
        spec = definition.space.decode(vector)
        # No parameters of Optuna's: dozens a trial cost a database, a proxy and every reader seven times as much.
        template = self.optuna.trial.FrozenTrial(
            number=-1, trial_id=-1, state=self.optuna.trial.TrialState.RUNNING, value=None,
            datetime_start=_now(), datetime_complete=None, params={}, distributions={},
            user_attrs={
                VECTOR: [int(index) for index in vector],
                SPEC: spec.to_dict() if hasattr(spec, "to_dict") else dataclasses.asdict(spec),
                ESTIMATED: float(estimated_ms), ASSIGNMENT: assignment, SESSION: session,
            },
            system_attrs={}, intermediate_values={},
        )  # fmt: skip
        made = self.storage.create(self.study_id, template, assignment)
        self._ids[made.number] = made._trial_id
        return record_of(made)

    def trial_id(self, number: int) -> int:
        """Optuna's id of a trial."""
        if number not in self._ids:
            self._ids[number] = self.storage.trial_id(self.study_id, number)
        return self._ids[number]


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
    _check_name(name)
    storage = StudyStorage(url) if storage is None else storage
    place = _folder(storage, name, folder)
    study_id, mine = storage.made_study(name)
    board_id, _ = storage.made_study(name + BOARD)
    Board(storage, board_id, math.inf).prepare()
    # Of those that make one study at once, one writes what it is, and the others wait for that: a definition that
    # someone has read must not change. It is written for one who died before, or for a study that is not gpunet's.
    if mine or DEFINITION not in _finished(storage, study_id):
        storage.name_metric(name, METRIC)
        described = {STUDY_FOLDER: str(place), BUDGET: definition.max_trials, **definition.described()}
        for key, value in described.items():
            storage.set_study_attr(study_id, key, value)
        storage.set_study_attr(study_id, DEFINITION, definition.to_dict())
    study = _opened(storage, name, study_id, folder, definition.space)
    if study.definition.identity != definition.identity:
        raise StudyError(
            f"{shown(storage.url)} holds another study {name}: its {_differing(study.definition, definition)} differs.",
            "Give another name, or go on with that one: gpunet search worker.",
        )
    return study


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
        names = [each for each in storage.study_names() if not each.endswith(BOARD)]
        if len(names) != 1:
            what = f"{len(names)} studies: {', '.join(sorted(names))}" if names else "no study"
            raise StudyError(
                f"{shown(storage.url)} holds {what}.",
                "Name one: --name NAME" if names else "gpunet search create makes one.",
            )
        name = names[0]
    study_id = storage.study_id(name)
    if study_id is None:
        known = sorted(each for each in storage.study_names() if not each.endswith(BOARD))
        raise StudyError(
            f"{shown(storage.url)} holds no study {name}.",
            f"It holds {', '.join(known)}." if known else "gpunet search create makes one.",
        )
    return _opened(storage, name, study_id, folder)


def _opened(storage: StudyStorage, name: str, study_id: int, folder: str | Path | None, space: Any = None) -> Study:
    attrs = _finished(storage, study_id)
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


def _finished(storage: StudyStorage, study_id: int) -> dict[str, Any]:
    """A study's attributes, its definition among them; after some time, what there is."""
    until_s = storage.clock() + _UNFINISHED_S
    attrs = storage.study_attrs(study_id)
    while DEFINITION not in attrs and storage.clock() < until_s:
        storage.sleep(0.1)
        attrs = storage.study_attrs(study_id)
    return attrs


def _folder(storage: StudyStorage, name: str, folder: str | Path | None) -> Path:
    if folder is not None:
        return Path(folder).expanduser().absolute()
    path = sqlite_path(storage.url)
    if path is None:
        raise StudyError(
            f"{shown(storage.url)} is no file, so nothing says where checkpoints go.",
            "Give a folder that every worker reaches: --folder DIR",
        )
    return path.parent / f"{path.stem}-{name}"


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
        raise StudyError(f"a study's name has letters, digits, '.', '_' and '-' only, but got {name!r}.")


def _differing(there: StudyDefinition, here: StudyDefinition) -> str:
    """The first field in which two definitions differ."""
    one, other = json.loads(json.dumps([there.compared(), here.compared()]))
    return next((key for key in one if one[key] != other.get(key)), "kind")


def _now() -> Any:
    from datetime import datetime

    return datetime.now()
