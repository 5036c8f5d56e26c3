"""The board: which workers are there, what each of them asks for, and whose turn it is to propose for all.

A worker's session is a trial of the study NAME/workers, RUNNING while the worker lives:

    who         host and process, for people
    beat        a counter that rises while the worker lives; whoever sees it stand still for long enough, by a clock of
                its own, buries the session
    beat_s      between two of them
    wish        number of the worker's latest request for work
    answer      to that wish: {"wish": 3, "vector": [...], "assignment": "..."}, {"wish": 3, "trial": 7}, both with
                what a pruner needs that is "known" (gpunet.search.study.pruning), or {"wish": 3, "end": "..."}

The turn is one more trial there, WAITING while it is nobody's; it says how often it has been taken, and which session
holds it, by whose beats it is judged. Taking it (WAITING to RUNNING) and burying (RUNNING to FAIL) happen once, whoever
else tries: the storage sees to it. Clocks of different machines are never compared. What the optimiser of a turn has
learned is an attribute of the study, for the next; so is which trial the turn is.
"""

from __future__ import annotations

import math
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gpunet.errors import StudyUnavailableError, TrialLostError
from gpunet.search.storage.storage import StudyStorage

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

KIND, WHO, BEAT, WISH, ANSWER, TURN = "kind", "who", "beat", "wish", "answer", "turn"
EVERY, LEARNED = "beat_s", "learned"
_LEFT_OUT = 3  # beats, that say nothing yet
_WORKER = "worker"


@dataclass(frozen=True)
class Seat:
    """A session as the board shows it.

    Args:
        id: of the session.
        who: its worker.
        wish: number of its latest request; 0 before the first.
        answer: the latest answer, to whichever wish.
    """

    id: int
    who: str
    wish: int
    answer: Mapping[str, Any]

    @property
    def asks(self) -> bool:
        """Whether a wish waits for its answer."""
        return self.wish > 0 and self.answer.get("wish") != self.wish

    @property
    def given(self) -> Mapping[str, Any]:
        """The work that the session has been given, of which nothing else may tell yet."""
        return {} if self.asks else self.answer


class Watch:
    """Things that must change, and since when they have not, by one clock.

    Args:
        grace_s: how long they may stand still.
        clock: seconds, monotonic.
    """

    def __init__(self, grace_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.grace_s, self._clock = grace_s, clock
        self._seen: dict[int, tuple[Any, float]] = {}

    def is_silent(self, key: int, sign: Any, since_s: float = -math.inf, least_s: float = 0.0) -> bool:
        """Whether the sign of life has been the same for longer than that, as seen from here.

        Args:
            key: of what is watched.
            sign: what must change.
            since_s: by the clock: before it, signs may have been given and not come through.
            least_s: that it may stand still, whatever `grace_s` is.
        """
        now = self._clock()
        before = self._seen.get(key)
        if before is None or before[0] != sign:
            self._seen[key] = sign, now
            return False
        return now - max(before[1], since_s) > max(self.grace_s, least_s)


class Board:
    """A study's workers.

    Args:
        storage: of the study.
        study_id: of NAME/workers.
        grace_s: after so long without a beat a worker is taken for dead.
        clock: seconds, monotonic.
    """

    def __init__(
        self, storage: StudyStorage, study_id: int, grace_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.storage, self.study_id = storage, study_id
        self._clock = clock
        self._watch = Watch(grace_s, clock)
        self._turn_watch = Watch(grace_s, clock)
        self._states = storage.optuna.trial.TrialState
        self._turn_id: int | None = None
        self._looked_s = -math.inf  # at the one that has the turn

    # ----------------------------------------------------------------- sessions

    def join(self, beat_s: float = 0.0) -> Session:
        """A session for this process.

        Args:
            beat_s: between its beats; nobody takes it for dead before several have been left out.
        """
        attrs = {KIND: _WORKER, WHO: process_name(), BEAT: 0, EVERY: beat_s, WISH: 0, ANSWER: {}}
        return Session(self.storage, self._made(attrs, self._states.RUNNING))

    def seats(self) -> list[Seat]:
        """The sessions that live, the longest there first; those that are silent are buried on the way."""
        found = []
        for each in self._unfinished():
            if each.user_attrs.get(KIND) != _WORKER:
                continue
            least_s = _LEFT_OUT * each.user_attrs.get(EVERY, 0.0)
            if self._watch.is_silent(each._trial_id, each.user_attrs[BEAT], self.storage.recovered_s, least_s):
                self.storage.finish(each._trial_id, self._states.FAIL)
                continue
            attrs = each.user_attrs
            found.append(Seat(each._trial_id, attrs[WHO], attrs[WISH], attrs[ANSWER]))
        return found

    def answer(self, seat: Seat, answer: Mapping[str, Any]) -> None:
        """Answer a wish; a session that has ended meanwhile does not hear it."""
        with suppress(self.storage.optuna.exceptions.UpdateFinishedTrialError):
            self.storage.set_attr(seat.id, ANSWER, {"wish": seat.wish, **answer})

    def answer_all(self, answers: Sequence[tuple[Seat, Mapping[str, Any]]], goes_on: Callable[[], bool]) -> int:
        """Answer wishes, several at once where the storage gains by it; how many were answered before it had to end.

        Args:
            answers: what to say, and to whom.
            goes_on: asked on the way; False ends it.
        """
        at_once, done = self.storage.at_once, 0
        if at_once == 1 or len(answers) <= 1:
            for seat, answer in answers:
                if not goes_on():
                    return done
                self.answer(seat, answer)
                done += 1
            return done
        with ThreadPoolExecutor(at_once) as pool:
            for few in (answers[at : at + at_once] for at in range(0, len(answers), at_once)):
                if not goes_on():
                    return done
                done += len(list(pool.map(self.answer, *zip(*few, strict=True))))
        return done

    # ---------------------------------------------------------- what was learned

    def learned(self) -> Mapping[str, Any] | None:
        """What the optimiser of the turn before had learned; see `Optimizer.learned`."""
        return self.storage.study_attrs(self.study_id).get(LEARNED)

    def keep_learned(self, learned: Mapping[str, Any]) -> None:
        """Hand it on to the next turn."""
        self.storage.set_study_attr(self.study_id, LEARNED, dict(learned))

    # ----------------------------------------------------------------- the turn

    def take_turn(self, session: Session) -> Turn | None:
        """The turn, if it is nobody's; None if it is another's. It is taken away from one that is silent for too long.

        Args:
            session: that asks for it.
        """
        token = self._token()
        count, holder = token.user_attrs[TURN]
        if token.state == self._states.WAITING:
            if not self.storage.take(token._trial_id):
                return None
            with suppress(self.storage.optuna.exceptions.UpdateFinishedTrialError):
                self.storage.set_attr(token._trial_id, TURN, [count + 1, session.id])
                return Turn(self.storage, token._trial_id, count + 1, self._watch.grace_s / 4, self._clock)
        elif token.state.is_finished() or self._is_silent(token, count, holder):
            self.storage.finish(token._trial_id, self._states.FAIL)
            self._turn_id = None
        return None

    def prepare(self) -> None:
        """Make the turn, so that hundreds who begin at once find it."""
        self._token()

    def _is_silent(self, token: FrozenTrial, count: int, holder: int | None) -> bool:
        """Whether nothing has been heard of the one that has the turn; now and then it is looked at."""
        if self._clock() - self._looked_s < self._turn_watch.grace_s / 8:
            return False
        self._looked_s = self._clock()
        sign = token.state.name, count, token.user_attrs.get(BEAT), self._beat(holder)
        return self._turn_watch.is_silent(token._trial_id, sign, self.storage.recovered_s)

    def _beat(self, session_id: int | None) -> int | None:
        return None if session_id is None else self.storage.trial(session_id).user_attrs[BEAT]

    def _token(self) -> FrozenTrial:
        """The trial that is the turn: of several, the first that has not ended."""
        if self._turn_id is None:  # hundreds begin at once: reading one another's sessions for it would take minutes
            noted = self.storage.study_attrs(self.study_id).get(TURN)
            token = None if noted is None else self.storage.trial(noted)
            if token is not None and not token.state.is_finished():
                self._turn_id = token._trial_id
                return token
        while self._turn_id is None:
            tokens = [each for each in self._unfinished() if each.user_attrs.get(KIND) == TURN]
            if tokens:
                self._turn_id = tokens[0]._trial_id
                self.storage.set_study_attr(self.study_id, TURN, self._turn_id)
            else:
                self._made({KIND: TURN, TURN: [0, None]}, self._states.WAITING)
        return self.storage.trial(self._turn_id)

    def _unfinished(self) -> list[FrozenTrial]:
        return self.storage.trials(self.study_id, (self._states.RUNNING, self._states.WAITING))

    def _made(self, attrs: dict[str, Any], state: Any) -> int:
        key = uuid.uuid4().hex
        template = self.storage.optuna.trial.FrozenTrial(
            number=-1, trial_id=-1, state=state, value=None, datetime_start=None, datetime_complete=None, params={},
            distributions={}, user_attrs={**attrs, "assignment": key}, system_attrs={}, intermediate_values={},
        )  # fmt: skip
        # Of two sessions one never beats, and is buried; of two turns all take the first.
        return self.storage.made_trial(self.study_id, template, key)


class Turn:
    """The right to propose for all, until it is given back or taken away.

    Args:
        storage: of the study.
        trial_id: of the turn.
        count: how often it has been taken.
        beat_s: between two beats.
        clock: seconds, monotonic.
    """

    def __init__(
        self, storage: StudyStorage, trial_id: int, count: int, beat_s: float = math.inf,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._storage, self._trial_id, self._count = storage, trial_id, count
        self._beat_s, self._clock, self._beaten_s, self._beats = beat_s, clock, clock(), 0

    def is_mine(self) -> bool:
        """Whether nobody has taken it away."""
        token = self._storage.trial(self._trial_id)
        return token.state.name == "RUNNING" and token.user_attrs[TURN][0] == self._count

    def goes_on(self) -> bool:
        """Show that the turn goes on, where it is time to; False if it has been taken away, as far as that shows."""
        if self._clock() - self._beaten_s < self._beat_s:
            return True
        self._beaten_s, self._beats = self._clock(), self._beats + 1
        try:
            self._storage.set_attr(self._trial_id, BEAT, self._beats)
        except self._storage.optuna.exceptions.UpdateFinishedTrialError:
            return False
        return True

    def give_back(self) -> None:
        """Let others have it."""
        # Nobody's beats count from here on: whoever takes it next may die before it says who it is.
        with suppress(self._storage.optuna.exceptions.UpdateFinishedTrialError):
            self._storage.set_attr(self._trial_id, TURN, [self._count, None])
            self._storage.lay_back(self._trial_id)


class Session:
    """A worker at the board, from `join` to `leave`.

    Args:
        storage: of the study.
        id: of the session.
    """

    def __init__(self, storage: StudyStorage, id: int) -> None:
        self._storage, self.id = storage, id
        self._wishes = 0

    def wish(self) -> None:
        """Ask for work.

        Raises:
            TrialLostError: (a RuntimeError) the session has been buried.
        """
        self._wishes += 1
        try:
            self._storage.set_attr(self.id, WISH, self._wishes)
        except self._storage.optuna.exceptions.UpdateFinishedTrialError:
            raise buried() from None

    def heard(self) -> Mapping[str, Any] | None:
        """The answer to the latest wish; None while there is none.

        Raises:
            TrialLostError: (a RuntimeError) the session has been buried.
        """
        frozen = self._storage.trial(self.id)
        if frozen.state.is_finished():
            raise buried()
        answer = frozen.user_attrs[ANSWER]
        return answer if answer.get("wish") == self._wishes else None

    def beat(self, count: int) -> bool:
        """Show that the worker lives; False if it has been buried."""
        try:
            self._storage.set_attr(self.id, BEAT, count)
        except self._storage.optuna.exceptions.UpdateFinishedTrialError:
            return False
        return True

    def leave(self) -> None:
        """End the session."""
        self._storage.finish(self.id, self._storage.optuna.trial.TrialState.COMPLETE)


def buried() -> TrialLostError:
    """The error of a worker whose session was ended by others."""
    return TrialLostError("this worker was taken for dead: its beats did not come through.", "It begins anew.")


class Heart(threading.Thread):
    """Beats for a session from a thread of its own, as long as the block lasts.

    Args:
        session: whose; it has just been made.
        every_s: between two beats.
        clock: seconds, monotonic.

    Attributes:
        buried: set once the session was found buried.
        beaten_s: by the clock, when it last began a beat that came through: nobody buries the session in the time of
            three beats from then on.
    """

    def __init__(self, session: Session, every_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(name="gpunet-beats", daemon=True)
        self._session, self._every_s, self._clock = session, every_s, clock
        self.beaten_s = -math.inf
        self._ended = threading.Event()
        self.buried = threading.Event()

    def run(self) -> None:
        """Beat until told to stop, or buried."""
        count = 0
        while not self._ended.wait(self._every_s):
            count += 1
            began_s = self._clock()
            with suppress(StudyUnavailableError):  # the next beat may come through
                if not self._session.beat(count):
                    self.buried.set()
                    return
                self.beaten_s = began_s

    def __enter__(self) -> Heart:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self.join(timeout=2 * self._every_s + 5)


def process_name() -> str:
    """Who this is, for people: host and process."""
    return f"{socket.gethostname()}:{os.getpid()}"
