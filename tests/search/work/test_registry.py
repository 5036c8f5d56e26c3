from __future__ import annotations

import itertools
import threading
from typing import Any

import optuna
import pytest
from helpers.studies import Place, Time
from optuna.trial import TrialState

from gpunet.errors import StudyUnavailableError, TrialLostError
from gpunet.search.storage.storage import WORKERS, StudyStorage
from gpunet.search.work.heartbeat import ExpiryWatch, Heartbeat
from gpunet.search.work.lease import LEASE
from gpunet.search.work.registry import RegisteredWorker, WorkerRegistry
from gpunet.search.work.session import WorkerSession, process_name
from gpunet.testing.servers import HANG_GUARD_S

GRACE_S = 120.0


def registry(place: Place, time: Time | None = None, **options: Any) -> WorkerRegistry:
    """With a storage of its own, as each worker has it."""
    storage = place.storage(**options)
    study_id, _ = storage.made_study(place.name + WORKERS)
    return WorkerRegistry(storage, study_id, GRACE_S, Time() if time is None else time)


def registered(seen: WorkerRegistry, session: WorkerSession) -> RegisteredWorker | None:
    return {each.id: each for each in seen.workers()}.get(session.id)


# -------------------------------------------------------------------------- sessions


def test_optunas_list_of_studies_stays_whole(every_place: Place) -> None:
    """The registry is in it, but not through gpunet's proxy."""
    mine = registry(every_place)
    for _ in range(2):
        mine.register().close()
    listed = [each.study_name for each in optuna.get_all_study_summaries(mine.storage.raw)]
    assert (every_place.name + WORKERS in listed) == (every_place.kind != "proxy")


def test_a_request_is_seen_and_answered(place: Place) -> None:
    mine, others = registry(place), registry(place)
    session = mine.register()
    assert session.response() is None
    worker = registered(others, session)
    assert worker is not None
    assert (worker.process, worker.waits, worker.assigned) == (process_name(), False, {})
    session.request()
    worker = registered(others, session)
    assert worker is not None
    assert worker.waits
    others.respond(worker, {"trial": 7})
    assert session.response() == {"request": 1, "trial": 7}
    worker = registered(others, session)
    assert worker is not None
    assert (worker.waits, worker.assigned) == (False, {"request": 1, "trial": 7})
    session.request()
    assert session.response() is None  # the old answer is to the old wish
    worker = registered(others, session)
    assert worker is not None
    assert worker.assigned == {}
    session.close()
    assert registered(others, session) is None
    others.respond(worker, {"trial": 8})  # which nobody hears any more


def test_the_one_that_waits_longest_comes_first(place: Place) -> None:
    seen = registry(place)
    sessions = [registry(place).register() for _ in range(3)]
    assert [each.id for each in seen.workers()] == sorted(each.id for each in sessions)


def test_a_silent_session_expires_and_hears_of_it(place: Place) -> None:
    time = Time()
    seen, session = registry(place, time), registry(place).register()
    assert registered(seen, session) is not None
    time.now_s = GRACE_S
    assert registered(seen, session) is not None
    assert session.heartbeat(1)
    time.now_s = 2 * GRACE_S  # since the beat was seen
    assert registered(seen, session) is not None
    time.now_s += GRACE_S + 1
    assert registered(seen, session) is None
    assert not session.heartbeat(2)
    message = r"this worker's session has expired: its heartbeats did not come through"
    with pytest.raises(TrialLostError, match=message) as caught:
        session.response()
    assert caught.value.hint == "It begins anew."
    with pytest.raises(TrialLostError, match=message):
        session.request()
    session.close()  # which is nothing any more
    assert seen.storage.trial(session.id).state == TrialState.FAIL


def test_while_the_storage_was_away_nobody_is_silent(database: Place) -> None:
    time = Time()
    seen, session = registry(database, time), registry(database).register()
    seen.workers()
    time.now_s = seen.storage.recovered_s = 10 * GRACE_S
    assert registered(seen, session) is not None
    time.now_s += GRACE_S + 1
    assert registered(seen, session) is None


def test_a_watch() -> None:
    time = Time()
    watch = ExpiryWatch(10.0, time)
    assert not watch.has_expired(1, "a")
    time.now_s = 10.0
    assert not watch.has_expired(1, "a")
    time.now_s = 10.1
    assert watch.has_expired(1, "a")
    assert not watch.has_expired(1, "a", since_s=5.0)
    assert not watch.has_expired(1, "b")
    assert not watch.has_expired(2, "a")


# -------------------------------------------------------------------------- the lease


def test_the_lease_is_one_workers(every_place: Place) -> None:
    mine, others = registry(every_place), registry(every_place)
    me, other = mine.register(), others.register()
    lease = mine.acquire_lease(me)
    assert lease is not None
    assert lease.is_held()
    assert others.acquire_lease(other) is None
    lease.release()
    assert not lease.is_held()
    second = others.acquire_lease(other)
    assert second is not None
    assert second.is_held()
    assert not lease.is_held()
    assert mine.acquire_lease(me) is None


def test_many_threads_never_hold_two_leases(every_place: Place) -> None:
    having, most, had, faults = [0], [0], [0], []
    lock, begin = threading.Lock(), threading.Barrier(3, timeout=HANG_GUARD_S)
    registries = [registry(every_place) for _ in range(3)]

    def work(own: WorkerRegistry) -> None:
        try:
            session = own.register()
            begin.wait()
            mine = 0
            while mine < 3:
                lease = own.acquire_lease(session)
                if lease is None:
                    continue
                with lock:
                    having[0] += 1
                    most[0] = max(most[0], having[0])
                assert lease.is_held()
                mine += 1
                with lock:
                    having[0] -= 1
                    had[0] += 1
                lease.release()
        except BaseException as error:  # a thread's end tells nobody else
            faults.append(error)

    threads = [threading.Thread(target=work, args=(each,), daemon=True) for each in registries]
    for each in threads:
        each.start()
    for each in threads:
        each.join(timeout=HANG_GUARD_S)
    assert faults == []
    assert (most[0], had[0]) == (1, 9)


def test_a_lease_whose_holder_is_silent_is_taken_away(place: Place) -> None:
    time = Time()
    seen, lost = registry(place, time), registry(place)
    me, dead = seen.register(), lost.register()
    stale = lost.acquire_lease(dead)
    assert stale is not None
    assert seen.acquire_lease(me) is None
    time.now_s = GRACE_S + 1
    assert seen.acquire_lease(me) is None
    assert not stale.is_held()
    lease = seen.acquire_lease(me)
    assert lease is not None
    stale.release()  # which is not theirs to give
    assert lease.is_held()
    assert lost.acquire_lease(dead) is None
    lease.release()
    assert lost.acquire_lease(dead) is not None


def test_a_lease_that_is_held_long_stays_with_a_worker_that_lives(database: Place) -> None:
    time = Time()
    seen, busy = registry(database, time), registry(database)
    me, other = seen.register(), busy.register()
    lease = busy.acquire_lease(other)
    assert lease is not None
    for count in range(1, 6):
        time.now_s += GRACE_S - 1
        other.heartbeat(count)
        assert seen.acquire_lease(me) is None
        assert lease.is_held()


def test_one_that_died_before_it_said_that_it_holds_the_lease(database: Place) -> None:
    """The worker before it lives on, and beats."""
    time = Time()
    seen, alive = registry(database, time), registry(database)
    me, other = seen.register(), alive.register()
    lease = alive.acquire_lease(other)
    assert lease is not None
    lease.release()
    token = next(each for each in seen.unfinished() if LEASE in each.user_attrs)
    assert seen.storage.take(token._trial_id)  # and dies
    for count in range(1, 4):
        other.heartbeat(count)
        assert seen.acquire_lease(me) is None
        time.now_s += GRACE_S / 2 + 1
    assert seen.acquire_lease(me) is not None


def test_a_lease_taken_from_one_that_was_about_to_say_so(database: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = registry(database)
    session = mine.register()
    taken = mine.storage.take

    def taken_away(trial_id: int) -> bool:
        done = taken(trial_id)
        mine.storage.finish(trial_id, TrialState.FAIL)
        return done

    monkeypatch.setattr(mine.storage, "take", taken_away)
    assert mine.acquire_lease(session) is None
    monkeypatch.undo()
    assert mine.acquire_lease(session) is None  # it sees that the lease has ended
    assert mine.acquire_lease(session) is not None


# ------------------------------------------------------------------------- the heartbeat


class Beats:
    """A session that only counts."""

    def __init__(self, *answers: bool | BaseException) -> None:
        self.answers, self.counts, self.enough = list(answers), [], threading.Event()

    def heartbeat(self, count: int) -> bool:
        self.counts.append(count)
        answer = self.answers.pop(0)
        if not self.answers:
            self.enough.set()
            self.answers.append(True)
        if isinstance(answer, BaseException):
            raise answer
        return answer


def test_heartbeats_go_on_through_times_when_the_storage_is_away() -> None:
    session = Beats(True, StudyUnavailableError("away"), True)
    with Heartbeat(session, 0.001) as heartbeat:  # type: ignore[arg-type]
        assert session.enough.wait(HANG_GUARD_S)
        assert not heartbeat.expired.is_set()
    assert not heartbeat.is_alive()
    assert session.counts[:3] == [1, 2, 3]


def test_a_heartbeat_says_when_it_began_the_last_beat_that_came_through() -> None:
    times = itertools.count(100.0)
    session = Beats(True, StudyUnavailableError("away"), False)
    with Heartbeat(session, 0.001, lambda: next(times)) as heartbeat:  # type: ignore[arg-type]
        assert heartbeat.expired.wait(HANG_GUARD_S)
    assert heartbeat.confirmed_s == 100.0
    assert next(times) == 103.0


def test_a_heartbeat_knows_that_its_session_expired() -> None:
    session = Beats(True, False)
    with Heartbeat(session, 0.001) as heartbeat:  # type: ignore[arg-type]
        assert heartbeat.expired.wait(HANG_GUARD_S)
    assert session.counts == [1, 2]


def test_beats_come_from_a_thread_of_their_own(place: Place) -> None:
    storage: StudyStorage = place.storage()
    study_id, _ = storage.made_study(place.name + WORKERS)
    session = WorkerRegistry(storage, study_id, GRACE_S).register()
    with Heartbeat(session, 0.01):
        while storage.trial(session.id).user_attrs["heartbeat"] < 2:
            pass
    session.close()
    assert storage.trial(session.id).state == TrialState.COMPLETE
