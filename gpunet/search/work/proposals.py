"""Proposals for all workers: the leader reads the record once, and one fit of its optimiser serves all who request.

A round: trials whose session has ended are requeued; trials that wait are assigned first; then new networks are
proposed and assigned, as far as the budget goes, with everything under way pending.
"""

from __future__ import annotations

import dataclasses
import time
import uuid
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gpunet.core.files import require
from gpunet.errors import ExhaustedError
from gpunet.search.optimize.named import optimizer_named
from gpunet.search.study.curves import expected_end
from gpunet.search.study.pruning import summary_of
from gpunet.search.study.study import Study
from gpunet.search.study.trials import ASSIGNMENT, REASON, SESSION, TRIES, TrialRecord, record_of
from gpunet.search.tiers.tier import LatencyEstimates, Tier
from gpunet.search.work.lease import LeaderLease
from gpunet.search.work.registry import RegisteredWorker, WorkerRegistry

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from gpunet.search.optimize.base import Optimizer

LOST = "the worker was lost"


@dataclasses.dataclass(frozen=True)
class RoundCosts:
    """What a round of proposals took, in seconds, and how many it served.

    Args:
        reading_s: sessions and trials.
        proposing_s: the optimiser.
        served: requests answered.
        proposed: new networks among them.
        answering_s: telling those who asked for new networks.
    """

    reading_s: float
    proposing_s: float
    served: int
    proposed: int
    answering_s: float = 0.0


class Proposals:
    """Answers requests; one for each worker, which keeps its optimiser from round to round.

    Args:
        study: the record.
        registry: its workers.
        estimator: of the study's latencies.
        clock: seconds.

    Raises:
        StudyError: (a ValueError) the estimates are not the study's.
    """

    def __init__(
        self, study: Study, registry: WorkerRegistry, estimator: LatencyEstimates,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:  # fmt: skip
        self.study, self.registry, self._clock = study, registry, clock
        self.tier: Tier = study.definition.tier(estimator)
        self._optimizer: Optimizer | None = None
        self._kind = optimizer_named(study.definition.optimizer)
        for module in self._kind.modules:  # here, not while others wait for the lease
            require(module, "search", purpose="to propose networks")
        self._told: set[int] = set()
        self._fitted: dict[str, Any] | None = None  # what the registry says that was fitted, as far as is known here
        self.exhausted = False

    @property
    def has_optimizer(self) -> bool:
        """Whether this worker has led before: the next round costs less here than elsewhere."""
        return self._optimizer is not None

    def serve(self, lease: LeaderLease) -> RoundCosts:
        """Answer every request that can be answered now."""
        began_s = self._clock()
        # Sessions before trials: work that a worker turns into a trial in between is seen twice. In the other order it
        # would be seen neither as assigned nor as a trial, and the budget would be exceeded.
        workers = self.registry.workers()
        trials = self.study.frozen()
        budget = self.study.max_trials()
        records = [record_of(each) for each in trials]
        requesting = sorted((each for each in workers if each.waits), key=lambda each: each.id)
        read_s = self._clock() - began_s
        if not requesting or not lease.is_held():
            return RoundCosts(read_s, 0.0, 0, 0)
        made = {each.user_attrs.get(ASSIGNMENT) for each in trials}
        assigned = [worker.assigned for worker in workers]
        to_be_made = [each for each in assigned if "vector" in each and each["assignment"] not in made]
        waiting = self._requeued(trials, records, workers)
        served = 0
        # What a pruner compares with travels with the response: hundreds of workers do not read the whole study for it.
        summary = summary_of(self.study.definition.pruning, records)
        known = {} if summary is None else {"known": summary}
        for number in waiting[: len(requesting)]:
            self.registry.respond(requesting.pop(0), {"trial": number, **known})
            served += 1
        began_s = self._clock()
        wanted = min(len(requesting), max(0, budget - len(trials) - len(to_be_made)))
        vectors = self._proposed(records, [each["vector"] for each in to_be_made], wanted)
        proposing_s = self._clock() - began_s
        # Proposing takes seconds. Whoever has the lease now has not seen these networks and may have spent the budget.
        if requesting and not lease.is_held():
            return RoundCosts(read_s, proposing_s, served, 0)
        estimates = self.tier.latency_ms(vectors) if len(vectors) else np.zeros(0)
        responses = [
            {"vector": vector, "estimated_ms": estimated_ms, "assignment": uuid.uuid4().hex, **known}
            for vector, estimated_ms in zip(vectors.tolist(), estimates.tolist(), strict=True)
        ]
        responding_s = self._clock()
        answered = self.registry.respond_all(list(zip(requesting, responses, strict=False)), lease.renew)
        costs = RoundCosts(read_s, proposing_s, served + answered, answered, self._clock() - responding_s)
        if answered < len(responses):
            return costs
        requesting = requesting[answered:]
        all_proposed = self.exhausted or budget <= len(trials)
        # The others are sent home only when no trial can come back to the queue any more.
        if requesting and all_proposed and not to_be_made and not waiting and all(each.ended for each in records):
            spent = f"all {budget} trials have ended"
            end = "every network of the tier has been tried" if budget > len(trials) else spent
            for worker in requesting:
                self.registry.respond(worker, {"end": end})
        return costs

    # ---------------------------------------------------------------- trials lost

    def _requeued(
        self, trials: Sequence[FrozenTrial], records: Sequence[TrialRecord], workers: Sequence[RegisteredWorker]
    ) -> list[int]:
        """Numbers of the trials that wait for a worker, those of lost workers among them, the oldest first."""
        # A session holds one trial at a time: one that requests work holds none, whatever a trial says.
        busy = {worker.id for worker in workers if not worker.waits}
        assigned = {worker.assigned.get("trial") for worker in workers}
        waiting = []
        for frozen, record in zip(trials, records, strict=True):
            if record.ended or record.number in assigned:
                continue
            if record.state == "waiting" or (record.session not in busy and self._requeue(frozen, record)):
                waiting.append(record.number)
        return waiting

    def _requeue(self, frozen: FrozenTrial, record: TrialRecord) -> bool:
        """Requeue a lost worker's trial; False where it is failed instead, or has ended by itself."""
        study = self.study
        now = study.storage.trial(frozen._trial_id)
        if now.state != frozen.state or now.user_attrs.get(SESSION) != record.session:
            return False  # the lease was taken away, and another leader has requeued it
        tried = [*record.tries, {"session": record.session, "epochs": record.epochs, "end": LOST}]
        # A network that takes its worker with it (memory, a driver) must not go round for ever.
        if losses_in_a_row(tried) >= study.definition.max_losses:
            reason = f"{LOST} {study.definition.max_losses} times before an epoch's end"
            fail_trial(study, frozen._trial_id, tried, reason)
            return False
        if not _kept(study, frozen._trial_id, {TRIES: tried, SESSION: None}):
            return False
        return study.storage.requeue(frozen._trial_id)

    # ------------------------------------------------------------------- new ones

    def _proposed(self, records: Sequence[TrialRecord], assigned: Sequence[Any], count: int) -> np.ndarray:
        """`m x d` new networks of the tier, m at most `count`."""
        none = np.empty((0, self.tier.dimensions), np.int64)
        if count <= 0:
            return none
        optimizer = self._up_to_date(records, assigned)
        self.exhausted = False  # what was proposed to a worker that was lost may be proposed again
        try:
            found = optimizer.ask(count)
        except ExhaustedError:
            self.exhausted = True
            return none
        fitted = optimizer.learned()
        if fitted is not None and fitted != self._fitted:
            self.registry.keep_fitted(fitted)
            self._fitted = fitted
        # What an optimiser proposes comes from the tier; that it lies there is checked all the same, before a trial.
        return found[self.tier.contains(found)]

    def _up_to_date(self, records: Sequence[TrialRecord], assigned: Sequence[Any]) -> Optimizer:
        """The optimiser, told of all that has ended and of all that is under way."""
        optimizer = self._optimizer
        if optimizer is None:
            optimizer = self._optimizer = self._kind(self.tier, seed=self.study.definition.seed)
            # As it was defined, not as it was extended: a start must be the same for every leader.
            optimizer.plan(self.study.definition.max_trials)
            if hasattr(optimizer, "skip") and (records or assigned):
                optimizer.skip(len(records) + len(assigned))
        for record in records:
            if record.ended and record.number not in self._told:
                optimizer.tell(record.vector, expected_end(record, records))
                self._told.add(record.number)
        handed_on = self.registry.fitted()
        if handed_on is not None and handed_on != self._fitted:
            optimizer.adopt(handed_on)
            self._fitted = dict(handed_on)
        optimizer.expect([*(each.vector for each in records if not each.ended), *assigned])
        return optimizer


def losses_in_a_row(tries: Sequence[Any]) -> int:
    """How many workers were lost with a trial since it last got an epoch further."""
    count, epochs = 0, tries[-1]["epochs"] if tries else 0
    for each in reversed(tries):
        if each["end"] != LOST or each["epochs"] != epochs:
            break
        count += 1
    return count


def failures(tries: Sequence[Any]) -> int:
    """How many attempts failed: not those that were left, or lost with their worker."""
    return sum(bool(each.get("failed")) for each in tries)


def fail_trial(study: Study, trial_id: int, tries: Sequence[Any], reason: str) -> bool:
    """End a trial as failed, with its reason; False if it had ended."""
    kept = _kept(study, trial_id, {TRIES: list(tries), REASON: reason})
    return kept and study.storage.finish(trial_id, study.optuna.trial.TrialState.FAIL)


def _kept(study: Study, trial_id: int, attrs: dict[str, Any]) -> bool:
    """Set attributes of a trial; False if it has ended."""
    try:
        for key, value in attrs.items():
            study.storage.set_attr(trial_id, key, value)
    except study.optuna.exceptions.UpdateFinishedTrialError:
        return False
    return True
