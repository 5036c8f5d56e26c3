"""A worker: asks for a network, trains it, reports each epoch, tells what came of it, and asks again.

Workers come and go as they like, and none of them is more than the others: whoever asks may have the turn to propose
for all (`.proposals`). What a worker holds is laid back when it leaves (SIGTERM), and taken from it when
its beats stop; the next one goes on from the checkpoint.
"""

from __future__ import annotations

import errno
import math
import random
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from gpunet.core.signals import sigterm_asked
from gpunet.errors import (
    FolderInUseError,
    GpunetError,
    PreemptedError,
    StudyUnavailableError,
    TrainingError,
    TrialLostError,
    WorkerError,
)
from gpunet.search.study.pruning import Pruner
from gpunet.search.study.study import BOARD, Study
from gpunet.search.study.trainer import Trainer
from gpunet.search.study.trials import ASSIGNMENT, SESSION, TrialRecord, record_of
from gpunet.search.tiers.tier import Estimator
from gpunet.search.work.board import Board, Heart, Session, buried
from gpunet.search.work.held import Costs, Held
from gpunet.search.work.proposals import Proposals

BEAT_S, GRACE_S = 30.0, 120.0
_FIRST_POLL_S, _MOST_POLL_S = 0.2, 10.0
_POLL_GROWTH, _LATER_POLL_GROWTH = 5.0, 1.5  # to a second, and from there on
# Hundreds that wait at once must not be what they wait for: where looking takes long, all look less often.
_POLL_PART, _MOST_TIMES = 0.1, 4.0  # but a look in a burst says little of the next: so many times as long, at most
_TURN_LOOKS = 3  # of an answer's, to one of the turn, once it was another's
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EACCES, errno.EPERM, errno.ESTALE)
_FAILED_IN_A_ROW = 5  # attempts, after which a worker holds itself for broken: one bad network takes three
_TRUSTED_BEATS = 2  # since the last that came through, in which the session is surely not buried: it takes three
_NEWCOMER_S = 0.3  # that one without an optimiser lets the others go first


@dataclass(frozen=True)
class Settings:
    """How a worker works.

    Args:
        hours: after so long it takes no further trial, and lays back the one it holds; None for no limit.
        trials: it leaves after so many of its own; None for no limit.
        beat_s: between two signs of life.
        grace_s: without one for so long, a worker is taken for dead; several times `beat_s`.
        most_poll_s: between two looks for an answer.
    """

    hours: float | None = None
    trials: int | None = None
    beat_s: float = BEAT_S
    grace_s: float = GRACE_S
    most_poll_s: float = _MOST_POLL_S


@dataclass
class Work:
    """What a worker did.

    Attributes:
        ended: trials that it ended: complete, pruned or failed.
        laid_back: trials that it left to others.
        lost: trials that were taken from it.
        end: why it left.
        costs: see `Costs`.
    """

    ended: int = 0
    laid_back: int = 0
    lost: int = 0
    end: str = ""
    costs: Costs = field(default_factory=Costs)


Say = Callable[[str], None]


class Worker:
    """Works on a study; `work` is the loop.

    Args:
        study: the record.
        trainer: trains a network.
        estimator: of the study's latencies.
        settings: see `Settings`.
        say: told what happens, line by line.
        should_stop: asked often; True makes the worker leave as SIGTERM does.
        clock, sleep: seconds; tests pass their own.

    Raises:
        StudyError: (a ValueError) the estimates are not the study's.
        WorkerError: (a RuntimeError) the settings make no sense.
    """

    def __init__(
        self,
        study: Study,
        trainer: Trainer,
        estimator: Estimator,
        settings: Settings | None = None,
        *,
        say: Say = lambda line: None,
        should_stop: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        settings = Settings() if settings is None else settings
        if not 0 < 2 * settings.beat_s <= settings.grace_s:
            raise WorkerError(
                f"grace_s must be at least twice beat_s, but they are {settings.grace_s:g} and {settings.beat_s:g}.",
                "A worker whose beats are late is taken for dead.",
            )
        self.study, self.trainer, self.settings = study, trainer, settings
        self._say, self._asked, self._clock, self._sleep = say, should_stop, clock, sleep
        board_id, _ = study.storage.made_study(study.name + BOARD)
        self.board = Board(study.storage, board_id, settings.grace_s, clock)
        self.proposals = Proposals(study, self.board, estimator)
        self._pruner = Pruner(study, clock)
        self.done = Work()
        self._failed_in_a_row = 0
        self._ends_s = None if settings.hours is None else clock() + 3600 * settings.hours
        self._sigterm: Callable[[], bool] = lambda: False

    # ----------------------------------------------------------------- the loop

    def work(self) -> Work:
        """Work until the study's budget is spent, the worker's own limits are reached, or it is asked to leave.

        Returns:
            What was done; `end` says why it ended.

        Raises:
            StudyUnavailableError: (a RuntimeError) the storage does not serve, and patience has ended.
            WorkerError: (a RuntimeError) attempt after attempt failed here.
        """
        with sigterm_asked() as self._sigterm:
            while not self.done.end:
                session = self.board.join(self.settings.beat_s)
                try:
                    with Heart(session, self.settings.beat_s, self._clock) as heart:
                        self._work_in(session, heart)
                except StudyUnavailableError:
                    raise  # without a farewell, which would be waited for once more: the others notice
                except TrialLostError as error:
                    self._say(error.message)
                except BaseException:
                    with suppress(StudyUnavailableError):  # the error under way says more
                        session.leave()
                    raise
                else:
                    session.leave()
        return self.done

    def _work_in(self, session: Session, heart: Heart) -> None:
        done, settings = self.done, self.settings
        while not done.end:
            if settings.trials is not None and done.ended >= settings.trials:
                done.end = f"{done.ended} trials done"
                return
            began_s = self._clock()
            held = self._ask(session, heart)
            if held is None:
                return
            done.costs.asking_s.append(self._clock() - began_s)
            self._train(held, session, heart)

    def _leaves(self) -> str:
        """Why to leave now; '' to stay."""
        if self._sigterm():
            return "asked to leave (SIGTERM)"
        if self._asked():
            return "asked to leave"
        if self._ends_s is not None and self._clock() >= self._ends_s:
            return f"{self.settings.hours:g} hours are over"
        return ""

    # ------------------------------------------------------------------- asking

    def _ask(self, session: Session, heart: Heart) -> TrialRecord | None:
        """The next trial, held by this session; None where there is none for it."""
        session.wish()
        began_s, wait_s, looks, asked_now = self._clock(), _FIRST_POLL_S, 0, True
        while True:
            reason = self._leaves()
            if reason:
                self.done.end = reason
                return None
            looked_s = self._clock()
            answer = None if asked_now else session.heard()
            took_s = self._clock() - looked_s
            asked_now = False
            if answer is None and (self.proposals.has_optimizer or looked_s - began_s >= self._newcomer_s()):
                if looks % _TURN_LOOKS == 0:
                    answer = self._served(session)
                looks += 1
            if answer is not None:
                if "end" in answer:
                    self.done.end = answer["end"]
                    return None
                held = self._held(answer, session)
                if held is not None:
                    self._pruner.begins(answer.get("known"))
                    return held
                session.wish()
                wait_s, looks, asked_now = _FIRST_POLL_S, 0, True
            if heart.buried.is_set():
                raise buried()
            rest_s = max(wait_s, min(took_s / _POLL_PART, _MOST_TIMES * wait_s))
            self._sleep(rest_s * (0.75 + random.random() / 2))
            wait_s = min(wait_s * (_POLL_GROWTH if wait_s < 1 else _LATER_POLL_GROWTH), self.settings.most_poll_s)

    def _newcomer_s(self) -> float:
        return min(_NEWCOMER_S, self.settings.most_poll_s / 4)

    def _served(self, session: Session) -> Mapping[str, Any] | None:
        """Take the turn, if it is nobody's, serve all, and hear what came of it for this session."""
        turn = self.board.take_turn(session)
        if turn is None:
            return None
        costs = None
        try:
            # The turn before may have served this session after it had looked.
            if session.heard() is None:
                costs = self.proposals.serve(turn)
        except StudyUnavailableError:
            raise  # the turn is taken away in time
        except BaseException:
            turn.give_back()
            raise
        turn.give_back()
        if costs is not None and costs.served:
            self.done.costs.turns.append(costs)
        return session.heard()

    def _held(self, answer: Mapping[str, Any], session: Session) -> TrialRecord | None:
        """The trial that an answer names; None if another was faster."""
        study = self.study
        if "vector" in answer:
            return study.create_trial(answer["vector"], answer["estimated_ms"], answer[ASSIGNMENT], session.id)
        trial_id = study.trial_id(int(answer["trial"]))
        if not study.storage.take(trial_id):
            return None
        with suppress(study.optuna.exceptions.UpdateFinishedTrialError):
            study.storage.set_attr(trial_id, SESSION, session.id)
            return record_of(study.storage.trial(trial_id))
        return None

    # ----------------------------------------------------------------- training

    def _train(self, held: TrialRecord, session: Session, heart: Heart) -> None:
        trial = Held(
            self.study, held, session, self._clock, self.done.costs, _TRUSTED_BEATS * self.settings.beat_s,
            lambda: heart.beaten_s,
        )  # fmt: skip
        folder = self.study.trial_folder(held.number)
        told = f"trial {held.number}, {held.estimated_ms:.3g} ms"
        self._say(f"{told}: {'begins' if not held.tries else f'goes on after epoch {held.epochs}'}")

        def report(epoch: int, top1_percent: float, _: float) -> bool:
            if epoch < trial.reported:
                return False
            if epoch > trial.reported:
                trial.report(epoch, top1_percent)
            # Of the last epoch recorded too: the worker before may have died between the answer and its consequence.
            return self._pruner.should_prune(held.number, trial.id, dict(trial.curve))

        def should_stop() -> bool:
            return heart.buried.is_set() or bool(self._leaves())

        try:
            trained = self.trainer(
                held.vector, folder, seed=self.study.definition.seed_of(held.number), report=report,
                should_stop=should_stop,
            )  # fmt: skip
        except PreemptedError:
            why = self._leaves() or "asked to leave (SIGTERM)"  # which the run may have heard in our place
            if not heart.buried.is_set():
                self.done.end = why
            self._not_ended(trial, told, heart, why)
        except TrialLostError:
            self._lose(told)
        except FolderInUseError as error:  # the worker before, taken for dead, lives
            self._not_ended(trial, told, heart, error.message)
            self._sleep(self.settings.most_poll_s)
        except StudyUnavailableError:
            raise
        except (KeyboardInterrupt, SystemExit):
            self.done.end = "interrupted"
            self._not_ended(trial, told, heart, "interrupted")
            raise
        except Exception as error:
            fault = disk_fault(error)
            if fault is None:
                self._fail(trial, told, error)
                return
            self._not_ended(trial, told, heart, f"the disk of this machine: {fault}")
            raise WorkerError(
                f"checkpoints cannot be written: {fault}",
                "Mend it and start the worker again: its trial waits.",
            ) from error
        else:
            if not trained.pruned and not math.isfinite(trained.top1_percent):
                self._fail(trial, told, TrainingError(f"it ended with a top-1 accuracy of {trained.top1_percent}."))
            elif trial.tell(trained):
                self.done.ended += 1
                self._failed_in_a_row = 0
                self._say(f"{told}: {'pruned' if trained.pruned else 'complete'}, {trained.top1_percent:.2f} %")
            else:
                self._lose(told)

    def _not_ended(self, trial: Held, told: str, heart: Heart, why: str) -> None:
        """Lay a trial back that was left before its end."""
        if heart.buried.is_set() or not trial.lay_back(why):
            self._lose(told)
            return
        self.done.laid_back += 1
        self._say(f"{told}: laid back after epoch {trial.reported}: {why}")

    def _lose(self, told: str) -> None:
        self.done.lost += 1
        self._say(f"{told}: taken up by another worker")

    def _fail(self, trial: Held, told: str, error: Exception) -> None:
        """An attempt that failed: the trial is laid back for another, or failed for good."""
        reason = error.message if isinstance(error, GpunetError) else "".join(traceback.format_exception_only(error))
        reason = reason.strip()
        self._failed_in_a_row += 1
        ended = trial.fail(reason)
        if ended is None:
            self._lose(told)
        elif ended:
            self.done.ended += 1
            self._say(f"{told}: failed for good: {reason}")
        else:
            self.done.laid_back += 1
            self._say(f"{told}: failed, and will be tried again: {reason}")
        if self._failed_in_a_row >= _FAILED_IN_A_ROW:
            raise WorkerError(
                f"{self._failed_in_a_row} attempts in a row failed on this worker: {reason}",
                "Something is wrong with this machine: its disk, its memory, its data. Other workers go on.",
            )


def disk_fault(error: BaseException | None) -> str | None:
    """What is wrong with the disk, if that is what an error is about: no network's fault."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _DISK:
            return str(error)
        error = error.__cause__ or error.__context__
    return None
