"""Proposals for all who ask: one worker has the turn, reads the record once, and one fit of the optimiser serves all.

In a turn, in this order: the sessions are read, then the trials, so that what was given to a session is seen as given
or as a trial, and at one moment as both, but never as neither. Trials whose session has ended are laid back; those that
wait are handed out first; then new networks are proposed, as far as the budget goes, with everything under way pending.
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
from gpunet.search.study.pruning import summary_of
from gpunet.search.study.study import Study
from gpunet.search.study.trials import ASSIGNMENT, REASON, SESSION, TRIES, TrialRecord, record_of
from gpunet.search.tiers.tier import Estimator, Tier
from gpunet.search.work.board import Board, Seat, Turn

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from gpunet.search.optimize.base import Optimizer

LOST = "the worker was lost"


@dataclasses.dataclass(frozen=True)
class TurnCosts:
    """What a turn took, in seconds, and how many it served.

    Args:
        reading_s: sessions and trials.
        proposing_s: the optimiser.
        served: wishes answered.
        proposed: new networks among them.
        answering_s: telling those who asked for new networks.
    """

    reading_s: float
    proposing_s: float
    served: int
    proposed: int
    answering_s: float = 0.0


class Proposals:
    """Answers wishes; one for each worker, which keeps its optimiser from turn to turn.

    Args:
        study: the record.
        board: its workers.
        estimator: of the study's latencies.
        clock: seconds.

    Raises:
        StudyError: (a ValueError) the estimates are not the study's.
    """

    def __init__(
        self, study: Study, board: Board, estimator: Estimator, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self.study, self.board, self._clock = study, board, clock
        self.tier: Tier = study.definition.tier(estimator)
        self._optimizer: Optimizer | None = None
        self._kind = optimizer_named(study.definition.optimizer)
        for module in self._kind.modules:  # here, not while others wait for the turn to end
            require(module, "search", purpose="to propose networks")
        self._told: set[int] = set()
        self._handed_on: dict[str, Any] | None = None  # what the board says that was learned, as far as is known here
        self.exhausted = False

    @property
    def has_optimizer(self) -> bool:
        """Whether a turn has been had here before: the next one costs less here than elsewhere."""
        return self._optimizer is not None

    def serve(self, turn: Turn) -> TurnCosts:
        """Answer every wish that can be answered now."""
        began_s = self._clock()
        seats = self.board.seats()
        trials = self.study.frozen()
        budget = self.study.max_trials()
        records = [record_of(each) for each in trials]
        asking = sorted((each for each in seats if each.asks), key=lambda each: each.id)
        read_s = self._clock() - began_s
        if not asking or not turn.is_mine():
            return TurnCosts(read_s, 0.0, 0, 0)
        made = {each.user_attrs.get(ASSIGNMENT) for each in trials}
        given = [seat.given for seat in seats]
        to_be_made = [each for each in given if "vector" in each and each["assignment"] not in made]
        waiting = self._laid_back(trials, records, seats)
        served = 0
        summary = summary_of(self.study.definition.pruning, records)
        known = {} if summary is None else {"known": summary}
        for number in waiting[: len(asking)]:
            self.board.answer(asking.pop(0), {"trial": number, **known})
            served += 1
        began_s = self._clock()
        wanted = min(len(asking), max(0, budget - len(trials) - len(to_be_made)))
        vectors = self._proposed(records, [each["vector"] for each in to_be_made], wanted)
        proposing_s = self._clock() - began_s
        if asking and not turn.is_mine():
            return TurnCosts(read_s, proposing_s, served, 0)
        estimates = self.tier.latency_ms(vectors) if len(vectors) else np.zeros(0)
        answers = [
            {"vector": vector, "estimated_ms": estimated_ms, "assignment": uuid.uuid4().hex, **known}
            for vector, estimated_ms in zip(vectors.tolist(), estimates.tolist(), strict=True)
        ]
        given_s = self._clock()
        answered = self.board.answer_all(list(zip(asking, answers, strict=False)), turn.goes_on)
        costs = TurnCosts(read_s, proposing_s, served + answered, answered, self._clock() - given_s)
        if answered < len(answers):
            return costs
        asking = asking[answered:]
        all_proposed = self.exhausted or budget <= len(trials)
        if asking and all_proposed and not to_be_made and not waiting and all(each.ended for each in records):
            end = (
                "every network of the tier has been tried"
                if budget > len(trials)
                else f"all {budget} trials have ended"
            )
            for seat in asking:
                self.board.answer(seat, {"end": end})
        return costs

    # ---------------------------------------------------------------- trials lost

    def _laid_back(
        self, trials: Sequence[FrozenTrial], records: Sequence[TrialRecord], seats: Sequence[Seat]
    ) -> list[int]:
        """Numbers of the trials that wait for a worker, those of lost workers among them, the oldest first."""
        # A session holds one trial at a time: one that asks holds none, whatever a trial says.
        busy = {seat.id for seat in seats if not seat.asks}
        handed = {seat.given.get("trial") for seat in seats}
        waiting = []
        for frozen, record in zip(trials, records, strict=True):
            if record.ended or record.number in handed:
                continue
            if record.state == "waiting" or (record.session not in busy and self._lay_back(frozen, record)):
                waiting.append(record.number)
        return waiting

    def _lay_back(self, frozen: FrozenTrial, record: TrialRecord) -> bool:
        """Lay a lost worker's trial back; False where it is failed instead, or has ended by itself."""
        study = self.study
        now = study.storage.trial(frozen._trial_id)
        if now.state != frozen.state or now.user_attrs.get(SESSION) != record.session:
            return False  # this turn was taken away, and another's has laid it back
        tried = [*record.tries, {"session": record.session, "epochs": record.epochs, "end": LOST}]
        if losses_in_a_row(tried) >= study.definition.max_losses:
            fail_trial(
                study, frozen._trial_id, tried, f"{LOST} {study.definition.max_losses} times before an epoch's end"
            )
            return False
        if not _kept(study, frozen._trial_id, {TRIES: tried, SESSION: None}):
            return False
        return study.storage.lay_back(frozen._trial_id)

    # ------------------------------------------------------------------- new ones

    def _proposed(self, records: Sequence[TrialRecord], given: Sequence[Any], count: int) -> np.ndarray:
        """`m x d` new networks of the tier, m at most `count`."""
        none = np.empty((0, self.tier.dimensions), np.int64)
        if count <= 0:
            return none
        optimizer = self._abreast(records, given)
        self.exhausted = False  # what was proposed to a worker that was lost may be proposed again
        try:
            found = optimizer.ask(count)
        except ExhaustedError:
            self.exhausted = True
            return none
        learned = optimizer.learned()
        if learned is not None and learned != self._handed_on:
            self.board.keep_learned(learned)
            self._handed_on = learned
        # What an optimiser proposes comes from the tier; that it lies there is checked all the same, before a trial.
        return found[self.tier.contains(found)]

    def _abreast(self, records: Sequence[TrialRecord], given: Sequence[Any]) -> Optimizer:
        """The optimiser, told of all that has ended and of all that is under way."""
        optimizer = self._optimizer
        if optimizer is None:
            optimizer = self._optimizer = self._kind(self.tier, seed=self.study.definition.seed)
            if hasattr(optimizer, "skip") and (records or given):
                optimizer.skip(len(records) + len(given))
        for record in records:
            if record.ended and record.number not in self._told:
                optimizer.tell(record.vector, record.top1_percent)
                self._told.add(record.number)
        handed_on = self.board.learned()
        if handed_on is not None and handed_on != self._handed_on:
            optimizer.adopt(handed_on)
            self._handed_on = dict(handed_on)
        optimizer.expect([*(each.vector for each in records if not each.ended), *given])
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
