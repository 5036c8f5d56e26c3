"""Which trials to end early, by Optuna's pruners, without reading the whole study at every epoch.

The pruner sees a mirror of the study in memory, which takes up what has ended since. It is read at a trial's beginning,
and anew only after many times as long as the last reading took: so reading costs less than a per cent of a
worker's time, and that of hundreds of workers no more than a part of the storage's.

For the median, less will do. Who proposes has just read the study, and sends the medians along with the network: the
mirror is not read for some minutes, and then only if the trial still runs.
"""

from __future__ import annotations

import math
import random
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from gpunet.search.study.definition import Pruning
from gpunet.search.study.study import Study
from gpunet.search.study.trials import TrialRecord

READING_PART = 0.005  # of a worker's time, at most
ALL_READING_PART = 0.2  # of the storage's time, at most, by all workers together
_LEAST_S = 1.0
_PUT_OFF_S = 300.0, 900.0  # a reading, where the medians are known: at least and at most, as hundreds may begin at once


class Pruner:
    """Says whether a running trial should end.

    Args:
        study: its record.
        clock: seconds, monotonic.
    """

    def __init__(self, study: Study, clock: Callable[[], float] = time.monotonic) -> None:
        self._study, self._clock = study, clock
        self._optuna: Any = study.optuna
        self._pruner = pruner_of(self._optuna, study.definition.pruning, study.definition.epochs)
        self._next_s = self._next_at_begin_s = self._read_s = -math.inf
        self._snapshot: dict[int, float] | None = None
        self.mirror: Any = None
        self._ids: list[int] = []
        self._ended: set[int] = set()

    def begins(self, known: Mapping[str, Any] | None) -> None:
        """A trial begins here.

        Args:
            known: what `summary_of` said when it was proposed; None if nothing is known.
        """
        self._snapshot = None
        if known is not None:
            self._read_s = self._clock() + random.uniform(*_PUT_OFF_S)
            self._snapshot = {int(epoch): float(value) for epoch, value in known.items()}

    def should_prune(self, number: int, trial_id: int, curve: dict[int, float]) -> bool:
        """Whether the pruner ends the trial now.

        Args:
            number: of the trial.
            trial_id: of it, in the study's storage.
            curve: what it has reported, top-1 in percent by epoch.
        """
        if self._pruner is None or not curve:
            return False
        if max(curve) >= self._study.definition.epochs:  # it has been trained to its end: nothing is saved
            return False
        if self._snapshot is not None:
            if self._clock() < max(self._read_s, self._next_s):
                return self._is_below(self._snapshot, curve)
            self._snapshot = None
        self._refresh(number)
        mirror, storage = self.mirror, self.mirror_storage
        mirrored = self._ids[number]
        known = storage.get_trial(mirrored)
        if known.state.is_finished():  # another worker's word on it, newer than ours
            return False
        for epoch, value in curve.items():
            if epoch not in known.intermediate_values:
                storage.set_trial_intermediate_value(mirrored, epoch, value)
        before = dict(known.system_attrs)
        verdict = bool(self._pruner.prune(mirror, storage.get_trial(mirrored)))
        # Hyperband notes on a trial which rungs it has reached: the other workers must see it.
        for key, value in storage.get_trial(mirrored).system_attrs.items():
            if before.get(key) != value:
                self._study.storage.set_system_attr(trial_id, key, value)
        return verdict

    def _is_below(self, medians: dict[int, float], curve: dict[int, float]) -> bool:
        """Optuna's verdict beside one trial that has ended, which is what the median pruner sees in many."""
        if not medians:
            return False
        optuna, pruning = self._optuna, self._study.definition.pruning
        with _quietly():
            study = optuna.create_study(direction="maximize", storage=optuna.storages.InMemoryStorage(), study_name="")
            study.add_trial(optuna.trial.create_trial(value=medians[max(medians)], intermediate_values=medians))
            pruner = optuna.pruners.MedianPruner(n_startup_trials=1, n_warmup_steps=pruning.warmup_epochs)
            running = optuna.trial.create_trial(state=optuna.trial.TrialState.RUNNING, intermediate_values=curve)
        return bool(pruner.prune(study, running))

    def _refresh(self, number: int) -> None:
        began_s = self._clock()
        if self.mirror is None:
            self.mirror_storage = self._optuna.storages.InMemoryStorage()
            with _quietly():
                self.mirror = self._optuna.create_study(
                    storage=self.mirror_storage, study_name=self._study.name, direction="maximize", pruner=self._pruner
                )
        elif began_s < (self._next_s if number < len(self._ids) else self._next_at_begin_s):
            self._known_until(number)
            return
        found = self._study.frozen()
        for frozen in found:
            self._take_up(frozen)
        self._known_until(number)
        now_s = self._clock()
        took_s, workers = now_s - began_s, len(found) - len(self._ended)  # that hold a trial
        self._next_at_begin_s = now_s + max(_LEAST_S, took_s / READING_PART)
        self._next_s = max(self._next_at_begin_s, now_s + workers * took_s / ALL_READING_PART)

    def _known_until(self, number: int) -> None:
        """Let the mirror have trials up to this one."""
        while len(self._ids) <= number:
            self._ids.append(self.mirror_storage.create_new_trial(self.mirror._study_id))

    def _take_up(self, frozen: Any) -> None:
        """Let the mirror know of a trial what the study knows."""
        storage = self.mirror_storage
        self._known_until(frozen.number)
        mirrored = self._ids[frozen.number]
        if frozen.number in self._ended:
            return
        for epoch, value in frozen.intermediate_values.items():
            storage.set_trial_intermediate_value(mirrored, epoch, value)
        for key, value in frozen.system_attrs.items():
            storage.set_trial_system_attr(mirrored, key, value)
        if frozen.state.is_finished():
            storage.set_trial_state_values(mirrored, frozen.state, frozen.values)
            self._ended.add(frozen.number)


def summary_of(pruning: Pruning, records: Iterable[TrialRecord]) -> dict[str, float] | None:
    """All that the median pruner looks at in other trials; None for other pruners.

    Args:
        pruning: of the study.
        records: of its trials.

    Returns:
        By epoch the median of the top-1 in percent of the complete trials; empty where there are fewer than it needs.
    """
    if pruning.pruner != "median":
        return None
    curves = [each.curve for each in records if each.state == "complete"]
    if len(curves) < max(1, pruning.startup_trials):
        return {}
    values: dict[int, list[float]] = {}
    for curve in curves:
        for epoch, value in curve.items():
            values.setdefault(epoch, []).append(value)
    return {str(epoch): round(float(np.median(found)), 4) for epoch, found in sorted(values.items())}


def pruner_of(optuna: Any, pruning: Pruning, epochs: int) -> Any:
    """Optuna's pruner; None for none."""
    if pruning.pruner == "none":
        return None
    with _quietly():
        if pruning.pruner == "median":
            return optuna.pruners.MedianPruner(
                n_startup_trials=pruning.startup_trials, n_warmup_steps=pruning.warmup_epochs
            )
        return optuna.pruners.HyperbandPruner(
            min_resource=max(1, pruning.warmup_epochs), max_resource=epochs, reduction_factor=pruning.reduction_factor
        )


class _quietly(warnings.catch_warnings):
    """Without Optuna's notes that a part of it is experimental."""

    def __enter__(self) -> Any:
        entered = super().__enter__()
        warnings.simplefilter("ignore")
        return entered
