"""A trial while a worker holds it: every write to it is refused once it has passed to another."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from gpunet.errors import TrialLostError
from gpunet.search.study.study import Study
from gpunet.search.study.trainer import Trained
from gpunet.search.study.trials import SESSION, TRAINED, TRIES, TrialRecord
from gpunet.search.work.proposals import fail_trial, failures
from gpunet.search.work.session import WorkerSession
from gpunet.search.work.summary import Costs


class HeldTrial:
    """A trial while a session holds it: every word on it is refused once it has passed to another.

    Args:
        study: the record.
        record: of the trial.
        session: that holds it.
        clock: seconds, monotonic.
        costs: to add to.
        trust_s: for so long after it was last seen to be held, or the session to live, an epoch is reported without
            asking again.
        lives_s: when, by the clock, the session was last known to live.
    """

    def __init__(
        self, study: Study, record: TrialRecord, session: WorkerSession, clock: Callable[[], float], costs: Costs,
        trust_s: float = 0.0, lives_s: Callable[[], float] = lambda: -math.inf,
    ) -> None:  # fmt: skip
        self._study, self._storage, self._record, self._session = study, study.storage, record, session
        self._clock, self._costs = clock, costs
        self.id = study.trial_id(record.number)
        self.curve = dict(record.curve)
        self._trust_s, self._known_s, self._lives_s, self._lost = trust_s, clock(), lives_s, False

    @property
    def reported(self) -> int:
        """The last epoch that the record has."""
        return max(self.curve, default=0)

    def is_mine(self) -> bool:
        """Whether the session still holds the trial."""
        now_s, frozen = self._clock(), self._storage.trial(self.id)
        mine = frozen.state.name == "RUNNING" and frozen.user_attrs.get(SESSION) == self._session.id
        self._known_s, self._lost = now_s, not mine
        return mine

    def report(self, epoch: int, top1_percent: float) -> None:
        """Record an epoch.

        Raises:
            TrialLostError: (a RuntimeError) it is not this session's any more.
        """
        began_s = self._clock()
        known_s = max(self._known_s, self._lives_s())
        mine = not self._lost and (began_s - known_s < self._trust_s or self.is_mine())
        try:
            if mine:
                self._storage.report(self.id, epoch, float(top1_percent))
        except self._study.optuna.exceptions.UpdateFinishedTrialError:
            mine = False
        if not mine:
            raise TrialLostError(f"trial {self._record.number} was taken up by another worker.")
        self.curve[epoch] = top1_percent
        self._costs.reporting_s.append(self._clock() - began_s)

    def tell(self, trained: Trained) -> bool:
        """End the trial; False if it is not this session's any more."""
        began_s = self._clock()
        states = self._study.optuna.trial.TrialState
        weights = None if trained.weights is None else trained.weights.name
        kept = {"folder": self._record.folder, "weights": weights, "seconds": trained.seconds}
        told = self.is_mine() and self._set({TRAINED: kept})
        if told and not trained.pruned:  # what plots and importances are made of
            told = self._set_parameters()
        if told and trained.pruned:
            told = self._storage.finish(self.id, states.PRUNED)
        elif told:
            told = self._storage.finish(self.id, states.COMPLETE, float(trained.top1_percent))
        self._costs.telling_s.append(self._clock() - began_s)
        return told

    def requeue(self, why: str) -> bool:
        """Let others take the trial up; False if it is not this session's any more."""
        return self.is_mine() and self._requeued(self._tries(why))

    def fail(self, reason: str) -> bool | None:
        """Count a failure: True if the trial is failed for good, None if it is not this session's any more."""
        if not self.is_mine():
            return None
        tries = self._tries(reason, failed=True)
        if failures(tries) >= self._study.definition.max_failures:
            return True if fail_trial(self._study, self.id, tries, reason) else None
        return False if self._requeued(tries) else None

    def _requeued(self, tries: list[dict[str, Any]]) -> bool:
        # Held by nobody before it waits: the next worker may die before it has said that it holds the trial, and this
        # session, which lives, must not seem to hold it.
        return self._set({TRIES: tries, SESSION: None}) and self._storage.requeue(self.id)

    def _tries(self, end: str, *, failed: bool = False) -> list[dict[str, Any]]:
        now = {"session": self._session.id, "epochs": self.reported, "end": end}
        return [*map(dict, self._record.tries), {**now, "failed": True} if failed else now]

    def _set_parameters(self) -> bool:
        try:
            self._study.set_parameters(self.id, self._record.vector)
        except self._study.optuna.exceptions.UpdateFinishedTrialError:
            return False
        return True

    def _set(self, attrs: Mapping[str, Any]) -> bool:
        try:
            for key, value in attrs.items():
                self._storage.set_attr(self.id, key, value)
        except self._study.optuna.exceptions.UpdateFinishedTrialError:
            return False
        return True
