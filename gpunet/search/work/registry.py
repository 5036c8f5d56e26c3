"""The worker registry: which workers of a study live, what each requests, and which of them leads.

A worker's session is a trial of the study NAME/workers, RUNNING while the worker lives:

    process         host and process, for people
    heartbeat       a counter that rises while the worker lives; whoever sees it stand still for long enough, by a clock
                    of its own, ends the session as expired
    heartbeat_s     between two of them
    request         number of the worker's latest request for work
    response        to that request: {"request": 3, "vector": [...], "assignment": "..."}, {"request": 3, "trial": 7},
                    both with what a pruner needs that is "known" (gpunet.search.study.pruning), or
                    {"request": 3, "end": "..."}

The leader lease (gpunet.search.work.lease) is one more trial there, WAITING while nobody holds it. Acquiring it
(WAITING to RUNNING) and expiring (RUNNING to FAIL) happen once, whoever else tries: the storage sees to it. Clocks of
different machines are never compared. What the leader's optimiser has fitted is an attribute, for the next leader.
"""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gpunet.search.storage.storage import StudyStorage
from gpunet.search.work.heartbeat import ExpiryWatch
from gpunet.search.work.lease import KIND, LEASE, LeaderLease
from gpunet.search.work.session import (
    HEARTBEAT,
    HEARTBEAT_S,
    PROCESS,
    REQUEST,
    RESPONSE,
    WORKER,
    WorkerSession,
    process_name,
)

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

FITTED = "fitted"
_MISSED = 3  # heartbeats, that say nothing yet: one that is late, and one lost on its way, are everyday


@dataclass(frozen=True)
class RegisteredWorker:
    """A session as the registry shows it.

    Args:
        id: of the session.
        process: host and process.
        request: number of its latest; 0 before the first.
        response: the latest, to whichever request.
    """

    id: int
    process: str
    request: int
    response: Mapping[str, Any]

    @property
    def waits(self) -> bool:
        """Whether a request has no response yet."""
        return self.request > 0 and self.response.get(REQUEST) != self.request

    @property
    def assigned(self) -> Mapping[str, Any]:
        """The work that the session was assigned, of which no trial may tell yet."""
        return {} if self.waits else self.response


class WorkerRegistry:
    """A study's workers.

    Args:
        storage: of the study.
        study_id: of NAME/workers.
        grace_s: after so long without a heartbeat a worker has expired.
        clock: seconds, monotonic.
    """

    def __init__(
        self, storage: StudyStorage, study_id: int, grace_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.storage, self.study_id = storage, study_id
        self._clock = clock
        self.watch = ExpiryWatch(grace_s, clock)
        self._lease_watch = ExpiryWatch(grace_s, clock)
        self._states = storage.optuna.trial.TrialState
        self._lease_id: int | None = None
        self._looked_s = -math.inf  # at the leader's heartbeat

    # ----------------------------------------------------------------- sessions

    def register(self, heartbeat_s: float = 0.0) -> WorkerSession:
        """A session for this process.

        Args:
            heartbeat_s: between its heartbeats; nobody lets it expire before several have been missed.
        """
        attrs = {KIND: WORKER, PROCESS: process_name(), HEARTBEAT: 0, HEARTBEAT_S: heartbeat_s, REQUEST: 0,
                 RESPONSE: {}}  # fmt: skip
        return WorkerSession(self.storage, self._made(attrs, self._states.RUNNING))

    def workers(self) -> list[RegisteredWorker]:
        """The sessions that live, the longest there first; those that have expired are ended on the way."""
        found = []
        for each in self.unfinished():
            attrs = each.user_attrs
            if attrs.get(KIND) != WORKER:
                continue
            least_s = _MISSED * attrs.get(HEARTBEAT_S, 0.0)
            # While the storage did not serve, heartbeats could not come through: time counts from its recovery.
            if self.watch.has_expired(each._trial_id, attrs[HEARTBEAT], self.storage.recovered_s, least_s):
                self.storage.finish(each._trial_id, self._states.FAIL)
                continue
            found.append(RegisteredWorker(each._trial_id, attrs[PROCESS], attrs[REQUEST], attrs[RESPONSE]))
        return found

    def respond(self, worker: RegisteredWorker, response: Mapping[str, Any]) -> None:
        """Answer a request; a session that has ended meanwhile does not see it."""
        with suppress(self.storage.optuna.exceptions.UpdateFinishedTrialError):
            self.storage.set_attr(worker.id, RESPONSE, {REQUEST: worker.request, **response})

    def respond_all(
        self, responses: Sequence[tuple[RegisteredWorker, Mapping[str, Any]]], goes_on: Callable[[], bool]
    ) -> int:
        """Answer requests, several at once where the storage gains by it; how many before it had to end.

        Args:
            responses: what to say, and to whom.
            goes_on: asked on the way; False ends it.
        """
        at_once, done = self.storage.at_once, 0
        if at_once == 1 or len(responses) <= 1:
            for worker, response in responses:
                if not goes_on():
                    return done
                self.respond(worker, response)
                done += 1
            return done
        with ThreadPoolExecutor(at_once) as pool:
            for few in (responses[at : at + at_once] for at in range(0, len(responses), at_once)):
                if not goes_on():
                    return done
                done += len(list(pool.map(self.respond, *zip(*few, strict=True))))
        return done

    # --------------------------------------------------------- what was fitted

    def fitted(self) -> Mapping[str, Any] | None:
        """What the leader before had fitted; see `Optimizer.learned`."""
        return self.storage.study_attrs(self.study_id).get(FITTED)

    def keep_fitted(self, fitted: Mapping[str, Any]) -> None:
        """Hand it on to the next leader."""
        self.storage.set_study_attr(self.study_id, FITTED, dict(fitted))

    # ---------------------------------------------------------------- the lease

    def acquire_lease(self, session: WorkerSession) -> LeaderLease | None:
        """The leader lease, if nobody holds it; None if another does. It is taken from a leader that has expired.

        Args:
            session: that is to hold it.
        """
        token = self._token()
        count, holder = token.user_attrs[LEASE]
        if token.state == self._states.WAITING:
            if not self.storage.take(token._trial_id):
                return None
            # Between the two calls another may take the trial for that of an expired leader: then it has ended.
            with suppress(self.storage.optuna.exceptions.UpdateFinishedTrialError):
                self.storage.set_attr(token._trial_id, LEASE, [count + 1, session.id])
                return LeaderLease(self.storage, token._trial_id, count + 1, self.watch.grace_s / 4, self._clock)
        elif token.state.is_finished() or self._leader_expired(token, count, holder):
            # A lease is never handed from one holder to another: its trial ends, and the next look makes a new one.
            self.storage.finish(token._trial_id, self._states.FAIL)
            self._lease_id = None
        return None

    def prepare(self) -> None:
        """Make the lease, so that hundreds who begin at once find it."""
        self._token()

    def _leader_expired(self, token: FrozenTrial, count: int, holder: int | None) -> bool:
        """Whether neither the lease nor its holder's session shows a sign of life; now and then it is looked at."""
        if self._clock() - self._looked_s < self._lease_watch.grace_s / 8:
            return False  # hundreds wait: each look costs the storage two calls
        self._looked_s = self._clock()
        beats = None if holder is None else self.storage.trial(holder).user_attrs[HEARTBEAT]
        sign = token.state.name, count, token.user_attrs.get(HEARTBEAT), beats
        return self._lease_watch.has_expired(token._trial_id, sign, self.storage.recovered_s)

    def _token(self) -> FrozenTrial:
        """The lease's trial: of several, the first that has not ended."""
        if self._lease_id is None:  # hundreds begin at once: reading one another's sessions for it would take minutes
            noted = self.storage.study_attrs(self.study_id).get(LEASE)
            token = None if noted is None else self.storage.trial(noted)
            if token is not None and not token.state.is_finished():
                self._lease_id = token._trial_id
                return token
        while self._lease_id is None:
            tokens = [each for each in self.unfinished() if each.user_attrs.get(KIND) == LEASE]
            if tokens:
                self._lease_id = tokens[0]._trial_id
                self.storage.set_study_attr(self.study_id, LEASE, self._lease_id)
            else:
                self._made({KIND: LEASE, LEASE: [0, None]}, self._states.WAITING)
        return self.storage.trial(self._lease_id)

    def unfinished(self) -> list[FrozenTrial]:
        """Sessions that live or have not been seen to expire, and leases, as trials of the storage."""
        return self.storage.trials(self.study_id, (self._states.RUNNING, self._states.WAITING))

    def _made(self, attrs: dict[str, Any], state: Any) -> int:
        key = uuid.uuid4().hex
        template = self.storage.optuna.trial.FrozenTrial(
            number=-1, trial_id=-1, state=state, value=None, datetime_start=None, datetime_complete=None, params={},
            distributions={}, user_attrs={**attrs, "assignment": key}, system_attrs={}, intermediate_values={},
        )  # fmt: skip
        # An answer that is lost may leave two: of two sessions one never beats, and expires; of two leases all take
        # the first.
        return self.storage.made_trial(self.study_id, template, key)
