"""A worker: requests a network, trains it, reports each epoch, tells what came of it, and requests again.

Workers come and go as they like, and any of them may lead: whoever finds the leader lease free acquires it, proposes
for all (gpunet.search.work.proposals) and releases it. What a worker holds is requeued when it leaves (SIGTERM), and
taken from it when its heartbeats stop; the next one goes on from the checkpoint.
"""

from __future__ import annotations

import errno
import math
import random
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
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
from gpunet.search.storage.storage import WORKERS
from gpunet.search.study.pruning import Pruner
from gpunet.search.study.study import Study
from gpunet.search.study.trainer import Trainer
from gpunet.search.study.trials import ASSIGNMENT, SESSION, TrialRecord, record_of
from gpunet.search.tiers.tier import LatencyEstimates
from gpunet.search.work.heartbeat import Heartbeat
from gpunet.search.work.held_trial import HeldTrial
from gpunet.search.work.proposals import Proposals
from gpunet.search.work.registry import WorkerRegistry
from gpunet.search.work.session import WorkerSession, session_expired
from gpunet.search.work.summary import WorkerSettings, WorkSummary

_FIRST_POLL_S = 0.2
_POLL_GROWTH, _LATER_POLL_GROWTH = 5.0, 1.5  # to a second, and from there on
# Hundreds that wait at once must not be what they wait for: where looking takes long, all look less often.
_POLL_PART, _MOST_TIMES = 0.1, 4.0  # but a look in a burst says little of the next: so many times as long, at most
_LEASE_LOOKS = 3  # of the response's, to one of the lease, once another held it
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EACCES, errno.EPERM, errno.ESTALE)
_FAILED_IN_A_ROW = 5  # attempts, after which a worker holds itself for broken: one bad network takes three
_TRUSTED_HEARTBEATS = 2  # since the last that came through, in which the session surely lives: expiring takes three
_NEWCOMER_S = 0.3  # that one without an optimiser lets the others go first

Say = Callable[[str], None]


class Worker:
    """Works on a study; `work` is the loop.

    Args:
        study: the record.
        trainer: trains a network.
        estimator: of the study's latencies.
        settings: see `WorkerSettings`.
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
        estimator: LatencyEstimates,
        settings: WorkerSettings | None = None,
        *,
        say: Say = lambda line: None,
        should_stop: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        settings = WorkerSettings() if settings is None else settings
        least_s = 2 * settings.heartbeat_s
        if least_s > settings.grace_s:
            raise WorkerError(
                f"grace_s must be at least 2 x heartbeat_s = {least_s:g}, but got {settings.grace_s:g}.",
                "A worker whose heartbeats are late expires.",
            )
        self.study, self.trainer, self.settings = study, trainer, settings
        self._say, self._asked, self._clock, self._sleep = say, should_stop, clock, sleep
        registry_id, _ = study.storage.made_study(study.name + WORKERS)
        self.registry = WorkerRegistry(study.storage, registry_id, settings.grace_s, clock)
        self.proposals = Proposals(study, self.registry, estimator)
        self._pruner = Pruner(study, clock)
        self.done = WorkSummary()
        self._failed_in_a_row = 0
        self._ends_s = None if settings.hours is None else clock() + 3600 * settings.hours
        self._sigterm: Callable[[], bool] = lambda: False

    # ----------------------------------------------------------------- the loop

    def work(self) -> WorkSummary:
        """Work until the study's budget is spent, the worker's own limits are reached, or it is asked to leave.

        Returns:
            What was done; `end` says why it ended.

        Raises:
            StudyUnavailableError: (a RuntimeError) the storage does not serve, and patience has ended.
            WorkerError: (a RuntimeError) attempt after attempt failed here.
        """
        with sigterm_asked() as self._sigterm:
            while not self.done.end:
                session = self.registry.register(self.settings.heartbeat_s)
                try:
                    with Heartbeat(session, self.settings.heartbeat_s, self._clock) as heartbeat:
                        self._work_in(session, heartbeat)
                except StudyUnavailableError:
                    raise  # the session is not closed, which would be waited for once more: it expires
                except TrialLostError as error:
                    self._say(error.message)
                except BaseException:
                    with suppress(StudyUnavailableError):  # the error under way says more
                        session.close()
                    raise
                else:
                    session.close()
        return self.done

    def _work_in(self, session: WorkerSession, heartbeat: Heartbeat) -> None:
        done, settings = self.done, self.settings
        while not done.end:
            if settings.trials is not None and done.ended >= settings.trials:
                done.end = f"{done.ended} trials done"
                return
            began_s = self._clock()
            held = self._ask(session, heartbeat)
            if held is None:
                return
            done.costs.asking_s.append(self._clock() - began_s)
            self._train(held, session, heartbeat)

    def _asked_to_leave(self) -> str:
        """By whom; '' where nobody has asked."""
        if self._sigterm():
            return "asked to leave (SIGTERM)"
        return "asked to leave" if self._asked() else ""

    def _leaves(self) -> str:
        """Why to leave now; '' to stay."""
        asked = self._asked_to_leave()
        if asked:
            return asked
        if self._ends_s is not None and self._clock() >= self._ends_s:
            return f"{self.settings.hours:g} hours are over"
        return ""

    # ------------------------------------------------------------------- asking

    def _ask(self, session: WorkerSession, heartbeat: Heartbeat) -> TrialRecord | None:
        """The next trial, held by this session; None where there is none for it."""
        session.request()
        began_s, wait_s, looks, just_requested = self._clock(), _FIRST_POLL_S, 0, True
        while True:
            reason = self._leaves()
            if reason:
                self.done.end = reason
                return None
            looked_s = self._clock()
            response = None if just_requested else session.response()
            took_s = self._clock() - looked_s
            just_requested = False
            # One that has led before has its optimiser at hand, and acquires the lease at once. A newcomer would have
            # to fit one first, while all wait for it: it lets the others go first for a moment.
            if response is None and (self.proposals.has_optimizer or looked_s - began_s >= self._newcomer_s()):
                if looks % _LEASE_LOOKS == 0:
                    response = self.lead(session)
                looks += 1
            if response is not None:
                if "end" in response:
                    self.done.end = response["end"]
                    return None
                held = self._held(response, session)
                if held is not None:
                    self._pruner.begins(response.get("known"))
                    return held
                session.request()
                wait_s, looks, just_requested = _FIRST_POLL_S, 0, True
            if heartbeat.expired.is_set():
                raise session_expired()
            rest_s = max(wait_s, min(took_s / _POLL_PART, _MOST_TIMES * wait_s))
            self._sleep(rest_s * (0.75 + random.random() / 2))  # apart: hundreds that begin at once would look at once
            wait_s = min(wait_s * (_POLL_GROWTH if wait_s < 1 else _LATER_POLL_GROWTH), self.settings.most_poll_s)

    def _newcomer_s(self) -> float:
        return min(_NEWCOMER_S, self.settings.most_poll_s / 4)

    def lead(self, session: WorkerSession) -> Mapping[str, Any] | None:
        """Acquire the lease, if nobody holds it, propose for all, and see what came of it for this session."""
        lease = self.registry.acquire_lease(session)
        if lease is None:
            return None
        costs = None
        try:
            # The leader before may have served this session after it had looked.
            if session.response() is None:
                costs = self.proposals.serve(lease)
        except StudyUnavailableError:
            raise  # nothing can be released now: the lease expires
        except BaseException:
            lease.release()
            raise
        lease.release()
        if costs is not None and costs.served:
            self.done.costs.rounds.append(costs)
        return session.response()

    def _held(self, response: Mapping[str, Any], session: WorkerSession) -> TrialRecord | None:
        """The trial that a response names; None if another was faster."""
        study = self.study
        if "vector" in response:
            return study.create_trial(response["vector"], response["estimated_ms"], response[ASSIGNMENT], session.id)
        trial_id = study.trial_id(int(response["trial"]))
        if not study.storage.take(trial_id):
            return None
        with suppress(study.optuna.exceptions.UpdateFinishedTrialError):
            study.storage.set_attr(trial_id, SESSION, session.id)
            return record_of(study.storage.trial(trial_id))
        return None

    # ----------------------------------------------------------------- training

    def _train(self, held: TrialRecord, session: WorkerSession, heartbeat: Heartbeat) -> None:
        trial = HeldTrial(
            self.study, held, session, self._clock, self.done.costs, _TRUSTED_HEARTBEATS * self.settings.heartbeat_s,
            lambda: heartbeat.confirmed_s,
        )  # fmt: skip
        folder = self.study.trial_folder(held.number)
        name = f"trial {held.number}, {held.estimated_ms:.3g} ms"
        self._say(f"{name}: {'begins' if not held.tries else f'goes on after epoch {held.epochs}'}")

        def report(epoch: int, top1_percent: float, _: float) -> bool:
            if epoch < trial.reported:
                return False
            if epoch > trial.reported:
                trial.report(epoch, top1_percent)
            # Of the last epoch recorded too: the worker before may have died between this answer and its consequence.
            return self._pruner.should_prune(held.number, trial.id, dict(trial.curve))

        def should_stop() -> bool:
            return heartbeat.expired.is_set() or bool(self._leaves())

        try:
            trained = self.trainer(
                held.vector, folder, seed=self.study.definition.seed_of(held.number), report=report,
                should_stop=should_stop,
            )  # fmt: skip
        except PreemptedError:
            why = self._leaves() or "asked to leave (SIGTERM)"  # which the run may have seen in our place
            if not heartbeat.expired.is_set():
                self.done.end = why
            self._not_ended(trial, name, heartbeat, why)
        except TrialLostError:
            self._lose(name)
        except FolderInUseError as error:  # the worker before lives, though its session has expired
            self._not_ended(trial, name, heartbeat, error.message)
            self._sleep(self.settings.most_poll_s)
        except StudyUnavailableError:
            raise
        except (KeyboardInterrupt, SystemExit):
            self.done.end = "interrupted"
            self._not_ended(trial, name, heartbeat, "interrupted")
            raise
        except Exception as error:
            fault = disk_fault(error)
            why = self._asked_to_leave()
            if fault is None and why:
                # A terminal, or a cluster's scheduler, signals the processes that prepare images too: what comes of
                # that is no failure of the network.
                self.done.end = why
                self._not_ended(trial, name, heartbeat, why)
                return
            if fault is None:
                self._fail(trial, name, error)
                return
            self._not_ended(trial, name, heartbeat, f"the disk of this machine: {fault}")
            raise WorkerError(
                f"checkpoints cannot be written: {fault}",
                "Mend it and start the worker again: its trial waits.",
            ) from error
        else:
            if not trained.pruned and not math.isfinite(trained.top1_percent):
                self._fail(trial, name, TrainingError(f"it ended with a top-1 accuracy of {trained.top1_percent}."))
            elif trial.tell(trained):
                self.done.ended += 1
                self._failed_in_a_row = 0
                self._say(f"{name}: {'pruned' if trained.pruned else 'complete'}, {trained.top1_percent:.2f} %")
            else:
                self._lose(name)

    def _not_ended(self, trial: HeldTrial, name: str, heartbeat: Heartbeat, why: str) -> None:
        """Requeue a trial that was left before its end."""
        if heartbeat.expired.is_set() or not trial.requeue(why):
            self._lose(name)
            return
        self.done.requeued += 1
        self._say(f"{name}: requeued after epoch {trial.reported}: {why}")

    def _lose(self, name: str) -> None:
        self.done.lost += 1
        self._say(f"{name}: taken up by another worker")

    def _fail(self, trial: HeldTrial, name: str, error: Exception) -> None:
        """An attempt that failed: the trial is requeued for another, or failed for good."""
        reason = error.message if isinstance(error, GpunetError) else "".join(traceback.format_exception_only(error))
        reason = reason.strip()
        self._failed_in_a_row += 1
        ended = trial.fail(reason)
        if ended is None:
            self._lose(name)
        elif ended:
            self.done.ended += 1
            self._say(f"{name}: failed for good: {reason}")
        else:
            self.done.requeued += 1
            self._say(f"{name}: failed, and will be tried again: {reason}")
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
