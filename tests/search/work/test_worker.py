from __future__ import annotations

import errno
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.estimates import Roofline
from helpers.studies import EPOCHS, SPACE, Place, Time, Trainer, accuracy, definition, estimator
from optuna.trial import TrialState

from gpunet.errors import (
    FolderInUseError,
    PreemptedError,
    StudyError,
    StudyUnavailableError,
    TrainingError,
    TrialLostError,
    WorkerError,
)
from gpunet.search import Optimizer, StudyDefinition, Trained, Worker, register_optimizer
from gpunet.search.storage.storage import WORKERS
from gpunet.search.study.definition import Pruning
from gpunet.search.study.study import Study
from gpunet.search.work.held_trial import HeldTrial
from gpunet.search.work.proposals import LOST, Proposals
from gpunet.search.work.registry import WorkerRegistry
from gpunet.search.work.session import WorkerSession
from gpunet.search.work.summary import Costs, WorkerSettings, WorkSummary
from gpunet.testing.servers import HANG_GUARD_S

QUICK = WorkerSettings(heartbeat_s=1.0, grace_s=HANG_GUARD_S, most_poll_s=0.02)  # nobody expires under load


def worker(study: Study, trainer: Any, settings: WorkerSettings = QUICK, **options: Any) -> Worker:
    return Worker(study, trainer, estimator(), settings, **options)


def checked(study: Study, budget: int) -> None:
    """All trials ended once, each a network of its own, and not one too many."""
    trials = study.trials()
    assert len(trials) == budget
    assert all(each.ended for each in trials)
    assert len({each.vector for each in trials}) == budget
    for each in trials:
        if each.state == "complete":
            assert each.curve == {epoch: accuracy(each.vector, epoch) for epoch in range(1, EPOCHS + 1)}
            assert each.top1_percent == accuracy(each.vector, EPOCHS)
            assert (each.weights, each.seconds) == ("model.safetensors", 1.0)


def at_once(*work: Callable[[], Any]) -> list[Any]:
    """Results of these calls, each in a thread."""
    results: list[Any] = [None] * len(work)
    faults: list[BaseException] = []

    def run(number: int) -> None:
        try:
            results[number] = work[number]()
        except BaseException as error:  # a thread's end tells nobody else
            faults.append(error)

    threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(len(work))]
    for each in threads:
        each.start()
    for each in threads:
        each.join(timeout=HANG_GUARD_S)
    assert not faults, faults
    assert not any(each.is_alive() for each in threads)
    return results


class Ghost:
    """A worker whose process was killed: it had a session, and a trial in some epoch."""

    def __init__(self, study: Study, epochs: int) -> None:
        self.study = study
        board = WorkerRegistry(study.storage, study.storage.made_study(study.name + WORKERS)[0], 1.0, Time())
        self.session: WorkerSession = board.register()
        self.session.request()
        lease = board.acquire_lease(self.session)
        assert lease is not None
        Proposals(study, board, estimator()).serve(lease)
        lease.release()
        answer = self.session.response()
        assert answer is not None
        if "trial" in answer:
            self.number = answer["trial"]
            study.storage.take(study.trial_id(self.number))
            study.storage.set_attr(study.trial_id(self.number), "session", self.session.id)
        else:
            arguments = (answer["vector"], answer["estimated_ms"], answer["assignment"], self.session.id)
            self.number = study.create_trial(*arguments).number
        record = study.trials()[self.number]
        folder = study.trial_folder(self.number)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "epoch.txt").write_text(str(epochs), encoding="utf-8")
        for epoch in range(1, epochs + 1):
            study.storage.report(study.trial_id(self.number), epoch, accuracy(record.vector, epoch))

    def expires(self) -> None:
        """As others do who miss its beats: see test_board."""
        self.study.storage.finish(self.session.id, TrialState.FAIL)


# ------------------------------------------------------------------------ whole studies


def test_one_worker_does_it_all(every_place: Place) -> None:
    study = every_place.create(definition(max_trials=6))
    said: list[str] = []
    trainer = Trainer()
    done = worker(study, trainer, say=said.append).work()
    assert (done.ended, done.requeued, done.lost, done.end) == (6, 0, 0, "all 6 trials have ended")
    checked(every_place.open(), 6)
    assert [each.user_attrs["trained"]["folder"] for each in study.frozen()] == [
        f"trial-0000{number}" for number in range(6)
    ]
    assert [each.params for each in study.frozen()] == [SPACE.values_of(each.vector) for each in study.trials()]
    assert len(trainer.seeds) == 6
    assert said[0].startswith("trial 0, ")
    assert said[0].endswith("ms: begins")
    assert said[1].endswith(f"ms: complete, {study.trials()[0].top1_percent:.2f} %")
    assert len(done.costs.asking_s) == len(done.costs.telling_s) == 6
    assert len(done.costs.reporting_s) == 6 * EPOCHS
    assert sum(each.proposed for each in done.costs.rounds) == 6
    assert worker(every_place.open(), trainer).work().end == "all 6 trials have ended"  # one that comes late


def test_a_lease_that_is_not_needed_any_more_is_released(database: Place) -> None:
    one = worker(database.create(definition()), Trainer())
    session = one.registry.register()
    session.request()
    (own,) = one.registry.workers()
    one.registry.respond(own, {"trial": 3})
    assert one.lead(session) == {"request": 1, "trial": 3}
    assert one.registry.acquire_lease(session) is not None


def test_two_workers_do_each_trial_once(every_place: Place) -> None:
    every_place.create(definition(max_trials=20))
    together = threading.Barrier(2, timeout=HANG_GUARD_S)
    first: set[int] = set()

    def meet(_: Sequence[int], epoch: int) -> None:
        if threading.get_ident() not in first:  # neither is done before the other has begun
            first.add(threading.get_ident())
            together.wait()

    trainers = [Trainer(meet), Trainer(meet)]
    done: list[WorkSummary] = at_once(*(worker(every_place.open(), each).work for each in trainers))
    checked(every_place.open(), 20)
    assert sum(each.ended for each in done) == 20
    assert all(each.ended > 0 for each in done)
    assert [each.end for each in done] == ["all 20 trials have ended"] * 2
    trained = Counter(trainers[0].trained + trainers[1].trained)
    assert set(trained.values()) == {1}
    assert len(trained) == 20 * EPOCHS


def test_a_budget_that_is_raised_is_worked_off(database: Place) -> None:
    study = database.create(definition(max_trials=2))
    worker(study, Trainer()).work()
    study.set_max_trials(5)
    assert worker(database.open(), Trainer()).work().ended == 3
    checked(study, 5)


@pytest.mark.slow
def test_the_papers_optimizer(database: Place) -> None:
    study = database.create(definition(max_trials=12, optimizer="lamcts"))
    worker(study, Trainer()).work()
    checked(study, 12)


@pytest.mark.slow
@pytest.mark.parametrize("pruner", ["median", "hyperband"])
def test_bad_trials_are_pruned(pruner: str, database: Place) -> None:
    database.name = pruner  # hyperband draws a trial's bracket by the study's name
    study = database.create(definition(pruning=Pruning(pruner, 1, 2, 2), max_trials=12, epochs=5))
    clock = Time()

    def before(_: Sequence[int], epoch: int) -> None:
        clock.now_s += 1000  # the pruner's mirror is read anew

    patient = WorkerSettings(heartbeat_s=1.0, grace_s=1e9, most_poll_s=0.02)  # its beats are by another clock
    done = worker(study, Trainer(before, 5), patient, clock=clock, sleep=clock.sleep).work()
    trials = study.trials()
    states = Counter(each.state for each in trials)
    assert done.ended == 12
    assert states["pruned"] > 0
    assert states["complete"] > 0
    assert states["pruned"] + states["complete"] == 12
    for each in trials:
        assert (len(each.curve) < 5) == (each.state == "pruned")
    assert [bool(each.params) for each in study.frozen()] == [each.state == "complete" for each in trials]
    best = max(trials, key=lambda each: accuracy(each.vector, 5))
    assert study.best().number == best.number or best.state == "pruned"
    assert study.best().top1_percent > sum(accuracy(each.vector, 5) for each in trials) / 12


def test_the_medians_come_with_the_proposal(database: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who leads reads the study once a round; to compare one trial nobody reads it again."""
    study = database.create(definition(pruning=Pruning("median", 1, 2), max_trials=12, epochs=5))
    readings, frozen = [], study.frozen
    monkeypatch.setattr(study, "frozen", lambda: readings.append(1) or frozen())
    done = worker(study, Trainer(lambda *_: None, 5)).work()
    assert len(readings) <= len(done.costs.rounds) + 1  # the last finds nothing to propose
    states = Counter(each.state for each in study.trials())
    assert states["pruned"] > 0
    assert states["complete"] > 0
    assert states["pruned"] + states["complete"] == 12


# --------------------------------------------------------------------------- refusals


def test_estimates_of_another_table_are_refused(database: Place) -> None:
    other = Roofline(estimator().plan, [1.5 * each for each in estimator().arrays])
    with pytest.raises(StudyError, match="the latency table is not the study's") as caught:
        Worker(database.create(), Trainer(), other)
    assert "FILE.latencies.npz" in caught.value.hint


def test_settings_by_which_the_living_would_expire(database: Place) -> None:
    with pytest.raises(WorkerError, match=r"grace_s must be at least 2 x heartbeat_s = 40, but got 30") as caught:
        worker(database.create(), Trainer(), WorkerSettings(heartbeat_s=20, grace_s=30))
    assert caught.value.hint == "A worker whose heartbeats are late expires."


# ---------------------------------------------------------------------------- leaving


def test_a_worker_that_is_asked_to_leave_lays_its_trial_back(place: Place) -> None:
    study = place.create(definition(max_trials=3))
    asked: list[int] = []

    def before(_: Sequence[int], epoch: int) -> None:
        if epoch == 2:
            asked.append(epoch)

    said: list[str] = []
    done = worker(study, Trainer(before), should_stop=lambda: bool(asked), say=said.append).work()
    assert (done.ended, done.requeued, done.end) == (0, 1, "asked to leave")
    assert said[-1].endswith("requeued after epoch 1: asked to leave")
    (record,) = place.open().trials()
    assert (record.state, record.session, record.epochs) == ("waiting", None, 1)
    assert [(each["end"], each["epochs"]) for each in record.tries] == [("asked to leave", 1)]
    trainer = Trainer()
    said.clear()
    worker(place.open(), trainer, say=said.append).work()
    assert said[0].endswith("goes on after epoch 1")
    assert trainer.trained[0] == (record.vector, 2)
    checked(study, 3)


def test_sigterm(database: Place) -> None:
    study = database.create(definition(max_trials=3))
    handler = signal.getsignal(signal.SIGTERM)

    def before(_: Sequence[int], epoch: int) -> None:
        if epoch == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    done = worker(study, Trainer(before)).work()
    assert (done.requeued, done.end) == (1, "asked to leave (SIGTERM)")
    assert signal.getsignal(signal.SIGTERM) is handler
    assert study.trials()[0].epochs == 2
    worker(database.open(), Trainer()).work()
    checked(study, 3)


def test_sigterm_that_the_run_heard_while_it_ended_is_not_forgotten(database: Place) -> None:
    from gpunet.core.signals import sigterm_asked

    study = database.create(definition(max_trials=3))
    plain = Trainer()

    def trainer(vector: Sequence[int], folder: Path, **options: Any) -> Trained:
        with sigterm_asked():  # as gpunet.train.train has it, which looks no more after the last step
            trained = plain(vector, folder, **options)
            os.kill(os.getpid(), signal.SIGTERM)
        return trained

    done = worker(study, trainer).work()
    assert (done.ended, done.end) == (1, "asked to leave (SIGTERM)")


def test_a_worker_with_limits(database: Place) -> None:
    study, time = database.create(definition(max_trials=9)), Time()
    settings = WorkerSettings(heartbeat_s=1.0, grace_s=HANG_GUARD_S, trials=2)
    assert worker(study, Trainer(), settings).work().end == "2 trials done"

    def before(_: Sequence[int], epoch: int) -> None:
        time.now_s += 1000

    hours = WorkerSettings(heartbeat_s=1.0, grace_s=1e9, hours=1.0)
    done = worker(study, Trainer(before), hours, clock=time, sleep=time.sleep).work()
    assert (done.ended, done.requeued, done.end) == (1, 1, "1 hours are over")
    assert [each.state for each in study.trials()] == ["complete"] * 3 + ["waiting"]


def test_an_interrupted_worker_lays_back(database: Place) -> None:
    study = database.create(definition(max_trials=2))

    def before(_: Sequence[int], epoch: int) -> None:
        if epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        worker(study, Trainer(before)).work()
    (record,) = study.trials()
    assert (record.state, record.tries[0]["end"]) == ("waiting", "interrupted")
    registry_id = study.storage.study_id(study.name + WORKERS)
    assert study.storage.trials(registry_id, (TrialState.RUNNING,)) == []  # it has left


# --------------------------------------------------------------------------- the lost


def test_the_trial_of_a_worker_that_died_goes_on_elsewhere(every_place: Place) -> None:
    study = every_place.create(definition(max_trials=2))
    ghost = Ghost(study, 2)
    time = Time()
    trainer, said = Trainer(), []
    living = worker(
        every_place.open(), trainer, WorkerSettings(heartbeat_s=1.0, grace_s=120.0, most_poll_s=50.0), clock=time,
        sleep=time.sleep, say=said.append,
    )  # fmt: skip
    living.registry.watch.clock = lambda: time.now_s if ghost else 0.0
    # The worker's own heartbeat is by real time, of which almost none passes between two looks; it is kept out of the
    # injected clock's reach.
    beats = iter(range(1, 10**9))
    silent = living.registry.watch.has_expired
    living.registry.watch.has_expired = lambda key, sign, *since: silent(  # type: ignore[method-assign]
        key, sign if key == ghost.session.id else next(beats), *since
    )
    done = living.work()
    assert done.ended == 2
    assert time.now_s > 120
    record = study.trials()[ghost.number]
    assert record.tries == ({"session": ghost.session.id, "epochs": 2, "end": LOST},)
    assert f"trial {ghost.number}" in next(line for line in said if "goes on after epoch 2" in line)
    assert [epoch for vector, epoch in trainer.trained if vector == record.vector] == [3]
    checked(study, 2)


def test_an_expired_worker_that_wakes_up_tells_nothing_and_begins_anew(place: Place) -> None:
    study = place.create(definition(max_trials=2))
    said: list[str] = []
    sessions: list[int] = []

    def before(vector: Sequence[int], epoch: int) -> None:
        record = next(each for each in study.trials() if each.vector == tuple(vector))
        sessions.append(record.session)
        if len(sessions) == 2:  # in its second epoch it expires, and its trial is handed to another
            study.storage.finish(record.session, TrialState.FAIL)
            other = Ghost(place.open(), 1)
            assert other.number == record.number
            others.append(other)
            ghosts.add(other.session.id)

    others: list[Ghost] = []
    ghosts: set[int] = set()
    slow_heart = WorkerSettings(heartbeat_s=HANG_GUARD_S, grace_s=2 * HANG_GUARD_S, most_poll_s=0.02)

    def stop_once_anew() -> bool:
        if "this worker's session has expired: its heartbeats did not come through." in said and others:
            others.pop().expires()
        return False

    done = worker(study, Trainer(before), slow_heart, say=said.append, should_stop=stop_once_anew).work()
    assert done.lost == 1
    assert any("taken up by another worker" in line for line in said)
    assert "this worker's session has expired: its heartbeats did not come through." in said
    assert done.ended == 2
    assert len(set(sessions) - ghosts) == 2
    checked(study, 2)
    assert [each["end"] for each in study.trials()[0].tries] == [LOST, LOST]


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_full_disk_is_no_networks_fault(wrapped: bool, database: Place) -> None:
    study = database.create()

    def full(vector: Sequence[int], epoch: int) -> None:
        if epoch == 2:
            try:
                raise OSError(errno.ENOSPC, "No space left on device")
            except OSError:
                if not wrapped:
                    raise
                raise TrainingError("the checkpoint cannot be written.") from None

    with pytest.raises(WorkerError, match="No space left on device"):
        worker(study, Trainer(before=full)).work()
    (trial,) = study.trials()
    assert (trial.state, trial.epochs) == ("waiting", 1)
    assert [each.get("failed") for each in trial.tries] == [None]


def test_a_trial_just_seen_to_be_held_is_reported_on_without_asking(database: Place) -> None:
    study, time = database.create(), Time()
    ghost = Ghost(study, 1)
    held = HeldTrial(study, study.trials()[ghost.number], ghost.session, time, Costs(), trust_s=30.0)
    study.storage.set_attr(study.trial_id(ghost.number), "session", ghost.session.id + 1)
    time.sleep(29)
    held.report(2, 50.0)
    assert not held.tell(Trained(50.0, 3, False, None, 1.0))
    with pytest.raises(TrialLostError):  # once it is known, it stays known
        held.report(3, 50.0)


def test_beats_that_came_through_vouch_for_the_trial_until_it_is_lost(database: Place) -> None:
    study, time = database.create(), Time()
    ghost = Ghost(study, 1)
    confirmed_s = [0.0]
    held = HeldTrial(study, study.trials()[ghost.number], ghost.session, time, Costs(), 30.0, lambda: confirmed_s[0])
    study.storage.set_attr(study.trial_id(ghost.number), "session", ghost.session.id + 1)
    time.sleep(1000)
    confirmed_s[0] = 980.0
    held.report(2, 50.0)  # it is not asked: nobody takes a trial from a session that beats
    confirmed_s[0] = 960.0
    with pytest.raises(TrialLostError):
        held.report(3, 50.0)
    confirmed_s[0] = 1000.0
    with pytest.raises(TrialLostError):
        held.report(3, 50.0)


@pytest.mark.parametrize("taken", [True, False])
def test_a_trial_that_is_another_ones_takes_no_word(taken: bool, place: Place) -> None:
    study = place.create()
    ghost = Ghost(study, 1)
    held = HeldTrial(study, study.trials()[ghost.number], ghost.session, Time(), Costs())
    trial_id = study.trial_id(ghost.number)
    if taken:
        study.storage.set_attr(trial_id, "session", ghost.session.id + 1)
    else:
        study.storage.finish(trial_id, TrialState.FAIL)
    with pytest.raises(TrialLostError, match=r"trial 0 was taken up by another worker"):
        held.report(2, 50.0)
    assert not held.tell(Trained(50.0, 3, False, None, 1.0))
    assert not held.tell(Trained(50.0, 3, True, None, 1.0))
    assert not held.requeue("asked to leave")
    assert held.fail("a bug") is None
    record = study.trials()[ghost.number]
    assert (record.epochs, record.tries) == (1, ())
    assert record.state == ("running" if taken else "failed")


def test_a_folder_that_another_still_trains_in(database: Place) -> None:
    study = database.create(definition(max_trials=1))
    tries: list[int] = []

    def before(_: Sequence[int], epoch: int) -> None:
        tries.append(epoch)
        if len(tries) <= 2:
            raise FolderInUseError("another process trains in it.")

    done = worker(study, Trainer(before)).work()
    assert (done.ended, done.requeued) == (1, 2)
    assert [each["end"] for each in study.trials()[0].tries] == ["another process trains in it."] * 2
    checked(study, 1)


# --------------------------------------------------------------------------- failures


def test_a_trial_that_fails_three_times_is_failed(place: Place) -> None:
    study = place.create(definition(max_trials=3))
    bad: list[tuple[int, ...]] = []

    def before(vector: Sequence[int], epoch: int) -> None:
        bad.append(tuple(vector))
        if tuple(vector) == bad[0] and epoch == 2:
            raise ValueError("a layer is too wide")

    said: list[str] = []
    done = worker(study, Trainer(before), say=said.append).work()
    assert (done.ended, done.requeued) == (3, 2)
    record = study.trials()[0]
    assert (record.state, record.reason) == ("failed", "ValueError: a layer is too wide")
    assert [(each["end"], each["failed"]) for each in record.tries] == [(record.reason, True)] * 3
    assert record.top1_percent is None
    assert sum("failed, and will be tried again: ValueError: a layer is too wide" in line for line in said) == 2
    assert sum("failed for good: ValueError: a layer is too wide" in line for line in said) == 1
    checked(study, 3)


def test_a_failure_that_passes(database: Place) -> None:
    study = database.create(definition(max_trials=2))
    tries: list[int] = []

    def before(_: Sequence[int], epoch: int) -> None:
        tries.append(epoch)
        if len(tries) == 2:
            raise TrainingError("the disk was full.", "Make room.")

    assert worker(study, Trainer(before)).work().ended == 2
    assert [each["end"] for each in study.trials()[0].tries] == ["the disk was full."]
    checked(study, 2)


def test_a_worker_where_everything_fails_leaves_before_it_has_spent_the_budget(database: Place) -> None:
    study = database.create(definition(max_trials=9))

    def broken(_: Sequence[int], epoch: int) -> None:
        raise OSError("no space left on device")

    with pytest.raises(
        WorkerError, match="5 attempts in a row failed on this worker: OSError: no space left"
    ) as caught:
        worker(study, Trainer(broken)).work()
    assert "Something is wrong with this machine" in caught.value.hint
    assert [each.state for each in study.trials()] == ["failed", "waiting"]
    assert worker(study, Trainer()).work().ended == 8
    checked(study, 9)


def test_an_accuracy_that_is_no_number_is_a_failure(database: Place) -> None:
    study = database.create(definition(max_trials=1, max_failures=1))

    def trainer(vector: Sequence[int], folder: Path, **options: Any) -> Trained:
        return Trained(float("nan"), 1, False, None, 1.0)

    assert worker(study, trainer).work().end == "all 1 trials have ended"
    (record,) = study.trials()
    assert (record.state, record.reason) == ("failed", "it ended with a top-1 accuracy of nan.")


# ------------------------------------------------------------------- storage that goes


def away(study: Study, call: str, times: int) -> list[int]:
    """Let so many of a storage's next calls of this name fail."""
    import sqlalchemy

    known, left = getattr(study.storage.raw, call), [times]

    def failing(*arguments: Any, **options: Any) -> Any:
        if left[0] > 0:
            left[0] -= 1
            raise sqlalchemy.exc.OperationalError("", {}, Exception("database is locked"))
        return known(*arguments, **options)

    setattr(study.storage.raw, call, failing)
    return left


@pytest.mark.parametrize("call", ["create_new_trial", "get_all_trials", "set_trial_user_attr", "get_trial",
                                  "set_trial_intermediate_value", "set_trial_state_values"])  # fmt: skip
def test_a_storage_that_is_away_for_a_while_is_waited_for(call: str, database: Place) -> None:
    told: list[str] = []
    study = database.create(definition(max_trials=3), on_wait=told.append, sleep=lambda seconds: None)
    left = away(study, call, 4)
    quiet = WorkerSettings(heartbeat_s=HANG_GUARD_S, grace_s=2 * HANG_GUARD_S, most_poll_s=0.02)
    assert worker(study, Trainer(), quiet).work().ended == 3
    assert left == [0]
    assert len(told) == 1
    assert told[0].endswith("database is locked")
    checked(database.open(), 3)


def test_a_storage_that_stays_away_ends_the_worker_and_nothing_is_lost(every_place: Place) -> None:
    time = Time()
    study = every_place.create(definition(max_trials=2), clock=time, sleep=time.sleep, patience_s=60.0)
    quiet = WorkerSettings(heartbeat_s=HANG_GUARD_S, grace_s=2 * HANG_GUARD_S, most_poll_s=0.02)

    def before(_: Sequence[int], epoch: int) -> None:
        if epoch == 2:
            for call in ("set_trial_intermediate_value", "get_trial", "set_trial_state_values", "set_trial_user_attr"):
                away(study, call, 10**6)

    with pytest.raises(StudyUnavailableError, match="does not serve: database is locked") as caught:
        worker(study, Trainer(before), quiet).work()
    assert caught.value.hint == "When it answers again, run the same command: everything recorded is kept."
    assert time.now_s < 2 * 60  # it was waited for once
    other = every_place.open()
    (record,) = other.trials()
    assert (record.state, record.epochs) == ("running", 1)
    other.storage.finish(record.session, TrialState.FAIL)  # after the grace
    trainer = Trainer()
    worker(other, trainer).work()
    assert [epoch for vector, epoch in trainer.trained if vector == record.vector] == [3]
    checked(other, 2)


class Buggy(Optimizer):
    bugs = 1

    def _propose(self, n: int) -> np.ndarray:
        if Buggy.bugs:
            Buggy.bugs -= 1
            raise RuntimeError("a bug of the optimiser")
        return self._draw_new(n)


def test_an_error_while_it_proposes_ends_the_worker(database: Place) -> None:
    register_optimizer("buggy", Buggy)
    study = database.create(definition(max_trials=2, optimizer="buggy"))
    with pytest.raises(RuntimeError, match="a bug of the optimiser"):
        worker(study, Trainer()).work()
    assert worker(database.open(), Trainer()).work().ended == 2  # the lease was given back


# ------------------------------------------------------------------------------ tiers


def test_nothing_outside_the_tier_is_trained(database: Place) -> None:
    whole: StudyDefinition = definition()
    estimates = sorted(estimate for _, estimate in whole.probes)
    low, high = estimates[len(estimates) // 4], estimates[3 * len(estimates) // 4]
    study = database.create(definition(low, high, max_trials=10))
    trainer = Trainer()
    worker(study, trainer).work()
    tier = study.definition.tier(estimator())
    assert len(study.trials()) == 10
    for vector, _ in trainer.trained:
        assert low <= float(tier.latency_ms([vector])[0]) < high
    assert all(low <= each.estimated_ms < high for each in study.trials())


def test_what_a_run_says_of_epochs_before_is_not_recorded_again(database: Place) -> None:
    study = database.create(definition(max_trials=1))
    ghost = Ghost(study, 2)
    ghost.expires()
    reported: list[int] = []
    inner = study.storage.report
    study.storage.report = lambda trial_id, step, value: (  # type: ignore[method-assign]
        reported.append(step),
        inner(trial_id, step, value),
    )[1]
    # Its last checkpoint is older than its last report.
    (study.trial_folder(ghost.number) / "epoch.txt").write_text("1", encoding="utf-8")
    trainer = Trainer()
    worker(study, trainer).work()
    assert [epoch for _, epoch in trainer.trained] == [2, 3]
    assert reported == [3]
    checked(study, 1)


def test_a_preemption_nobody_asked_this_worker_for(database: Place) -> None:
    """The run heard SIGTERM in the worker's place."""
    study = database.create(definition(max_trials=1))

    def before(_: Sequence[int], epoch: int) -> None:
        raise PreemptedError("the run was asked to leave.")

    done = worker(study, Trainer(before)).work()
    assert (done.requeued, done.end) == (1, "asked to leave (SIGTERM)")
