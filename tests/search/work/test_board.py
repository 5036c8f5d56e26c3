from __future__ import annotations

import itertools
import threading
from typing import Any

import pytest
from helpers.servers import HANG_GUARD_S
from helpers.studies import Place, Time
from optuna.trial import TrialState

from gpunet.errors import StudyUnavailableError, TrialLostError
from gpunet.search.storage.storage import StudyStorage
from gpunet.search.study.study import BOARD
from gpunet.search.work.board import TURN, Board, Heart, Seat, Session, Watch, process_name

GRACE_S = 120.0


def board(place: Place, time: Time | None = None, **options: Any) -> Board:
    """With a storage of its own, as each worker has it."""
    storage = place.storage(**options)
    study_id, _ = storage.made_study(place.name + BOARD)
    return Board(storage, study_id, GRACE_S, Time() if time is None else time)


def seat_of(seen: Board, session: Session) -> Seat | None:
    return {each.id: each for each in seen.seats()}.get(session.id)


# -------------------------------------------------------------------------- sessions


def test_a_wish_is_seen_answered_and_heard(place: Place) -> None:
    mine, others = board(place), board(place)
    session = mine.join()
    assert session.heard() is None
    seat = seat_of(others, session)
    assert seat is not None
    assert (seat.who, seat.asks, seat.given) == (process_name(), False, {})
    session.wish()
    seat = seat_of(others, session)
    assert seat is not None
    assert seat.asks
    others.answer(seat, {"trial": 7})
    assert session.heard() == {"wish": 1, "trial": 7}
    seat = seat_of(others, session)
    assert seat is not None
    assert (seat.asks, seat.given) == (False, {"wish": 1, "trial": 7})
    session.wish()
    assert session.heard() is None  # the old answer is to the old wish
    seat = seat_of(others, session)
    assert seat is not None
    assert seat.given == {}
    session.leave()
    assert seat_of(others, session) is None
    others.answer(seat, {"trial": 8})  # which nobody hears any more


def test_the_one_that_waits_longest_comes_first(place: Place) -> None:
    seen = board(place)
    sessions = [board(place).join() for _ in range(3)]
    assert [each.id for each in seen.seats()] == sorted(each.id for each in sessions)


def test_a_silent_session_is_buried_and_hears_of_it(place: Place) -> None:
    time = Time()
    seen, session = board(place, time), board(place).join()
    assert seat_of(seen, session) is not None
    time.now_s = GRACE_S
    assert seat_of(seen, session) is not None
    assert session.beat(1)
    time.now_s = 2 * GRACE_S  # since the beat was seen
    assert seat_of(seen, session) is not None
    time.now_s += GRACE_S + 1
    assert seat_of(seen, session) is None
    assert not session.beat(2)
    message = r"this worker was taken for dead: its beats did not come through"
    with pytest.raises(TrialLostError, match=message) as caught:
        session.heard()
    assert caught.value.hint == "It begins anew."
    with pytest.raises(TrialLostError, match=message):
        session.wish()
    session.leave()  # which is nothing any more
    assert seen.storage.trial(session.id).state == TrialState.FAIL


def test_while_the_storage_was_away_nobody_is_silent(database: Place) -> None:
    time = Time()
    seen, session = board(database, time), board(database).join()
    seen.seats()
    time.now_s = seen.storage.recovered_s = 10 * GRACE_S
    assert seat_of(seen, session) is not None
    time.now_s += GRACE_S + 1
    assert seat_of(seen, session) is None


def test_a_watch() -> None:
    time = Time()
    watch = Watch(10.0, time)
    assert not watch.is_silent(1, "a")
    time.now_s = 10.0
    assert not watch.is_silent(1, "a")
    time.now_s = 10.1
    assert watch.is_silent(1, "a")
    assert not watch.is_silent(1, "a", since_s=5.0)
    assert not watch.is_silent(1, "b")
    assert not watch.is_silent(2, "a")


# -------------------------------------------------------------------------- the turn


def test_the_turn_is_one_workers(place: Place) -> None:
    mine, others = board(place), board(place)
    me, other = mine.join(), others.join()
    turn = mine.take_turn(me)
    assert turn is not None
    assert turn.is_mine()
    assert others.take_turn(other) is None
    turn.give_back()
    assert not turn.is_mine()
    second = others.take_turn(other)
    assert second is not None
    assert second.is_mine()
    assert not turn.is_mine()
    assert mine.take_turn(me) is None


def test_many_threads_never_have_two_turns(place: Place) -> None:
    having, most, had, faults = [0], [0], [0], []
    lock, begin = threading.Lock(), threading.Barrier(3, timeout=HANG_GUARD_S)
    boards = [board(place) for _ in range(3)]

    def work(own: Board) -> None:
        try:
            session = own.join()
            begin.wait()
            mine = 0
            while mine < 3:
                turn = own.take_turn(session)
                if turn is None:
                    continue
                with lock:
                    having[0] += 1
                    most[0] = max(most[0], having[0])
                assert turn.is_mine()
                mine += 1
                with lock:
                    having[0] -= 1
                    had[0] += 1
                turn.give_back()
        except BaseException as error:  # a thread's end tells nobody else
            faults.append(error)

    threads = [threading.Thread(target=work, args=(each,), daemon=True) for each in boards]
    for each in threads:
        each.start()
    for each in threads:
        each.join(timeout=HANG_GUARD_S)
    assert faults == []
    assert (most[0], had[0]) == (1, 9)


def test_a_turn_whose_worker_is_silent_is_taken_away(place: Place) -> None:
    time = Time()
    seen, lost = board(place, time), board(place)
    me, dead = seen.join(), lost.join()
    stale = lost.take_turn(dead)
    assert stale is not None
    assert seen.take_turn(me) is None
    time.now_s = GRACE_S + 1
    assert seen.take_turn(me) is None
    assert not stale.is_mine()
    turn = seen.take_turn(me)
    assert turn is not None
    stale.give_back()  # which is not theirs to give
    assert turn.is_mine()
    assert lost.take_turn(dead) is None
    turn.give_back()
    assert lost.take_turn(dead) is not None


def test_a_turn_that_takes_long_stays_with_a_worker_that_lives(database: Place) -> None:
    time = Time()
    seen, busy = board(database, time), board(database)
    me, other = seen.join(), busy.join()
    turn = busy.take_turn(other)
    assert turn is not None
    for count in range(1, 6):
        time.now_s += GRACE_S - 1
        other.beat(count)
        assert seen.take_turn(me) is None
        assert turn.is_mine()


def test_one_that_died_before_it_said_that_it_has_the_turn(database: Place) -> None:
    """The worker before it lives on, and beats."""
    time = Time()
    seen, alive = board(database, time), board(database)
    me, other = seen.join(), alive.join()
    turn = alive.take_turn(other)
    assert turn is not None
    turn.give_back()
    token = next(each for each in seen._unfinished() if TURN in each.user_attrs)
    assert seen.storage.take(token._trial_id)  # and dies
    for count in range(1, 4):
        other.beat(count)
        assert seen.take_turn(me) is None
        time.now_s += GRACE_S / 2 + 1
    assert seen.take_turn(me) is not None


def test_a_turn_taken_from_one_that_was_about_to_say_so(database: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = board(database)
    session = mine.join()
    taken = mine.storage.take

    def taken_away(trial_id: int) -> bool:
        done = taken(trial_id)
        mine.storage.finish(trial_id, TrialState.FAIL)
        return done

    monkeypatch.setattr(mine.storage, "take", taken_away)
    assert mine.take_turn(session) is None
    monkeypatch.undo()
    assert mine.take_turn(session) is None  # it sees that the turn has ended
    assert mine.take_turn(session) is not None


# ------------------------------------------------------------------------- the heart


class Beats:
    """A session that only counts."""

    def __init__(self, *answers: bool | BaseException) -> None:
        self.answers, self.counts, self.enough = list(answers), [], threading.Event()

    def beat(self, count: int) -> bool:
        self.counts.append(count)
        answer = self.answers.pop(0)
        if not self.answers:
            self.enough.set()
            self.answers.append(True)
        if isinstance(answer, BaseException):
            raise answer
        return answer


def test_a_heart_beats_through_times_when_the_storage_is_away() -> None:
    session = Beats(True, StudyUnavailableError("away"), True)
    with Heart(session, 0.001) as heart:  # type: ignore[arg-type]
        assert session.enough.wait(HANG_GUARD_S)
        assert not heart.buried.is_set()
    assert not heart.is_alive()
    assert session.counts[:3] == [1, 2, 3]


def test_a_heart_says_when_it_began_the_last_beat_that_came_through() -> None:
    times = itertools.count(100.0)
    session = Beats(True, StudyUnavailableError("away"), False)
    with Heart(session, 0.001, lambda: next(times)) as heart:  # type: ignore[arg-type]
        assert heart.buried.wait(HANG_GUARD_S)
    assert heart.beaten_s == 100.0
    assert next(times) == 103.0


def test_a_heart_knows_that_it_was_buried() -> None:
    session = Beats(True, False)
    with Heart(session, 0.001) as heart:  # type: ignore[arg-type]
        assert heart.buried.wait(HANG_GUARD_S)
    assert session.counts == [1, 2]


def test_beats_come_from_a_thread_of_their_own(place: Place) -> None:
    storage: StudyStorage = place.storage()
    study_id, _ = storage.made_study(place.name + BOARD)
    session = Board(storage, study_id, GRACE_S).join()
    with Heart(session, 0.01):
        while storage.trial(session.id).user_attrs["beat"] < 2:
            pass
    session.leave()
    assert storage.trial(session.id).state == TrialState.COMPLETE
