"""Study: one Optuna study is the single record of a search; this file reads and writes it.

    study NAME                  user attributes: the definition, its parts by name, the folder, measurements
                                (measured/TRIAL); a trial a network
    study NAME/workers          a trial a worker's session (gpunet.search.work.registry): nothing of it is a result

A trial is one network all its life, however many workers it passes through: made RUNNING by the first that holds it,
WAITING while nobody does, and ended once: COMPLETE, PRUNED or FAIL.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpunet.core.arguments import checked_integer
from gpunet.core.files import write_text
from gpunet.errors import StudyError
from gpunet.search.spaces.space import architecture_dict
from gpunet.search.storage.backends import shown
from gpunet.search.storage.storage import WORKERS, StudyStorage
from gpunet.search.study.definition import MOST_TRIALS, StudyDefinition
from gpunet.search.study.parameters import parameters_of
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

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

DEFINITION, STUDY_FOLDER, BUDGET, MEASURED = "definition", "folder", "max_trials", "measured"
_MEND_BUDGET = "The record is damaged; gpunet search extend --trials N sets the budget anew."


class Study:
    """A search's record; `open_study` (gpunet.search.study.opening) and `create_study` (gpunet.search.work) make it.

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
        found = self.storage.study_attrs(self.study_id).get(BUDGET, self.definition.max_trials)
        return checked_integer(f"max_trials of the study {self.name}", found, 1, error=StudyError, hint=_MEND_BUDGET)

    def workers(self) -> list[str]:
        """Host and process of those that are registered; one that died not long ago may still be among them."""
        registry_id = self.storage.study_id(self.name + WORKERS)
        if registry_id is None:
            return []
        sessions = self.storage.trials(registry_id, (self.optuna.trial.TrialState.RUNNING,))
        return [each.user_attrs["process"] for each in sessions if "process" in each.user_attrs]

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
            StudyError: (a ValueError) it is no integer from 1 to a million.
        """
        count = checked_integer("max_trials", count, 1, MOST_TRIALS, error=StudyError)
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
        # Parameters come with the result: dozens a trial that has not ended cost every reader seven times as much.
        template = self.optuna.trial.FrozenTrial(
            number=-1, trial_id=-1, state=self.optuna.trial.TrialState.RUNNING, value=None,
            datetime_start=_now(), datetime_complete=None, params={}, distributions={},
            user_attrs={
                VECTOR: [int(index) for index in vector],
                SPEC: architecture_dict(spec),
                ESTIMATED: float(estimated_ms), ASSIGNMENT: assignment, SESSION: session,
            },
            system_attrs={}, intermediate_values={},
        )  # fmt: skip
        made = self.storage.create(self.study_id, template, assignment)
        self._ids[made.number] = made._trial_id
        return record_of(made)

    def set_parameters(self, trial_id: int, vector: Sequence[int]) -> None:
        """Show a trial's choices as parameters of Optuna's, which its own tools plot; nothing of gpunet reads them."""
        params = parameters_of(self.optuna, self.definition.space.digits, vector)
        with suppress(ValueError):  # somebody's own trials gave a parameter of that name another distribution
            self.storage.set_params(self.study_id, trial_id, params)

    def trial_id(self, number: int) -> int:
        """Optuna's id of a trial."""
        if number not in self._ids:
            self._ids[number] = self.storage.trial_id(self.study_id, number)
        return self._ids[number]


def _now() -> Any:
    from datetime import datetime

    return datetime.now()
