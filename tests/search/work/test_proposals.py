from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from helpers.estimates import Roofline
from helpers.studies import Place, Time, accuracy, definition, estimator, every_network
from optuna.trial import TrialState

from gpunet.errors import ExhaustedError, StudyError
from gpunet.search import Optimizer, register_optimizer
from gpunet.search.optimize.lamcts import LaMcts
from gpunet.search.optimize.named import optimizer_names
from gpunet.search.storage.storage import WORKERS
from gpunet.search.study.study import Study
from gpunet.search.study.trials import SESSION, TRIES
from gpunet.search.work.lease import LeaderLease
from gpunet.search.work.proposals import LOST, Proposals, failures, losses_in_a_row
from gpunet.search.work.registry import WorkerRegistry
from gpunet.search.work.session import WorkerSession

GRACE_S = 120.0


class Desk:
    """One worker's view, worked by hand: its study, board, session and proposals, and its own clock."""

    def __init__(self, place: Place, made: Any = None) -> None:
        self.time = Time()
        self.study: Study = place.create(definition() if made is None else made)
        self.registry_id, _ = self.study.storage.made_study(place.name + WORKERS)
        self.registry = WorkerRegistry(self.study.storage, self.registry_id, GRACE_S, self.time)
        self.session = self.registry.register()
        self.proposals = Proposals(self.study, self.registry, estimator(), self.time)

    def lease(self) -> LeaderLease:
        taken = self.registry.acquire_lease(self.session)
        assert taken is not None
        return taken

    def serve(self) -> Any:
        lease = self.lease()
        costs = self.proposals.serve(lease)
        lease.release()
        return costs

    def requesting(self, count: int) -> list[WorkerSession]:
        sessions = [self.registry.register() for _ in range(count)]
        for each in sessions:
            each.request()
        return sessions

    def held(self, session: WorkerSession) -> int:
        """Make the trial that the session was given."""
        answer = session.response()
        assert answer is not None
        return self.study.create_trial(
            answer["vector"], answer["estimated_ms"], answer["assignment"], session.id
        ).number

    def end(self, number: int) -> None:
        vector = self.study.trials()[number].vector
        self.study.storage.finish(self.study.trial_id(number), TrialState.COMPLETE, accuracy(vector, 3))

    def expire(self, session: WorkerSession) -> None:
        self.study.storage.finish(session.id, TrialState.FAIL)


@pytest.fixture
def desk(place: Place) -> Desk:
    return Desk(place)


@pytest.fixture
def file_desk(database: Place) -> Desk:
    return Desk(database)


def answers(sessions: Sequence[WorkerSession]) -> list[Any]:
    return [each.response() for each in sessions]


def test_one_round_serves_all_with_networks_of_their_own(desk: Desk) -> None:
    sessions = desk.requesting(5)
    costs = desk.serve()
    assert (costs.served, costs.proposed) == (5, 5)
    given = answers(sessions)
    assert len({tuple(each["vector"]) for each in given}) == 5
    assert len({each["assignment"] for each in given}) == 5
    estimates = desk.proposals.tier.latency_ms(np.array([each["vector"] for each in given]))
    assert estimates.tolist() == [each["estimated_ms"] for each in given]
    assert desk.serve().served == 0  # nobody requests


def test_the_budget_holds_with_what_is_given_and_not_made_yet(desk: Desk) -> None:
    desk.study.set_max_trials(5)
    first = desk.requesting(3)
    assert desk.serve().served == 3
    desk.held(first[0])
    later = desk.requesting(4)
    assert desk.serve().served == 2
    assert desk.serve().served == 0
    assert sum(each is not None for each in answers(later)) == 2
    # A session that ends before it has made its network lets the budget go.
    desk.expire(first[1])
    assert desk.serve().served == 1
    assert desk.serve().served == 0


def test_the_end_is_told_when_all_have_ended(desk: Desk) -> None:
    desk.study.set_max_trials(1)
    one, other = desk.requesting(2)
    desk.serve()
    number = desk.held(one)
    assert (desk.serve().served, other.response()) == (0, None)
    desk.end(number)
    one.request()
    desk.serve()
    assert other.response() == {"request": 1, "end": "all 1 trials have ended"}
    assert one.response() == {"request": 2, "end": "all 1 trials have ended"}


def test_a_tier_can_be_exhausted(database: Place) -> None:
    estimates = Proposals(*_parts(database), estimator()).tier.latency_ms(every_network())
    fastest = np.sort(estimates)[:3]
    desk = Desk(_renamed(database), definition(0.0, float(fastest[2]) + 1e-12))
    count = int((estimates <= fastest[2]).sum())
    sessions = desk.requesting(count + 1)
    assert desk.serve().served == count
    assert desk.proposals.tier.contains(np.array([each["vector"] for each in answers(sessions)[:count]])).all()
    numbers = [desk.held(each) for each in sessions[:count]]
    assert desk.serve().served == 0
    # A network that was given to one that was lost before it made it is proposed again.
    for number in numbers:
        desk.end(number)
    desk.serve()
    assert sessions[-1].response() == {"request": 1, "end": "every network of the tier has been tried"}


def _parts(place: Place) -> tuple[Study, WorkerRegistry]:
    study = place.create()
    return study, WorkerRegistry(study.storage, study.storage.made_study(place.name + WORKERS)[0], GRACE_S)


def _renamed(place: Place) -> Place:
    place.name += "-tier"
    return place


def test_what_was_given_to_one_that_was_lost_is_proposed_again(database: Place) -> None:
    desk = Desk(database, definition(0.0, _bound(2)))
    first = desk.requesting(3)
    assert desk.serve().served == 2
    assert desk.proposals.serve(desk.lease()).served == 0
    assert desk.proposals.exhausted
    desk = _another(desk)
    desk.expire(first[0])
    assert desk.serve().served == 1
    assert first[2].response() is not None


def _bound(count: int) -> float:
    """Latency below which the space has so many networks."""
    from gpunet.search.tiers.stratify import Lookup

    estimates = np.sort(Lookup(estimator().plan, estimator().arrays).sum_from_vectors(every_network()))
    return float((estimates[count - 1] + estimates[count]) / 2)


def _another(desk: Desk) -> Desk:
    """The same, without the lease that is out."""
    desk.study.storage.finish(desk.registry._token()._trial_id, TrialState.FAIL)
    desk.registry.acquire_lease(desk.session)
    return desk


@pytest.mark.parametrize("optimizer", optimizer_names())
def test_every_optimizer_proposes_for_several_workers(optimizer: str, database: Place) -> None:
    made = definition(optimizer=optimizer)
    desk, other = Desk(database, made), Desk(database, made)
    vectors = []
    for own in (desk, other, desk, other):
        sessions = own.requesting(3)
        assert own.serve().served == 3
        for each in sessions:
            number = own.held(each)
            vectors.append(own.study.trials()[number].vector)
            own.end(number)
            each.close()
    assert len(set(vectors)) == 12
    assert {tuple(each) for each in vectors} <= {tuple(each) for each in every_network().tolist()}


class Outside(Optimizer):
    """Does not keep to its tier: two points outside it, and one inside."""

    def ask(self, n: int = 1) -> np.ndarray:
        if n > 3:
            raise ExhaustedError("no more")
        inside = self.domain.contains(every_network())
        return np.concatenate([every_network()[~inside][:2], every_network()[inside][:1]])[:n]

    def _propose(self, n: int) -> np.ndarray:
        raise NotImplementedError


def test_nothing_outside_the_tier_is_ever_given(database: Place) -> None:
    register_optimizer("outside", Outside)
    desk = Desk(database, definition(0.0, _bound(10), optimizer="outside"))
    inside = desk.proposals.tier.contains(every_network())
    assert inside.sum() == 10
    sessions = desk.requesting(3)
    assert desk.serve().served == 1
    assert [each is not None for each in answers(sessions)] == [True, False, False]
    assert answers(sessions)[0]["vector"] == every_network()[inside][0].tolist()


def test_a_worker_with_another_table_is_refused(database: Place) -> None:
    study, board = _parts(database)
    with pytest.raises(StudyError, match="the latency table is not the study's"):
        Proposals(study, board, Roofline(estimator().plan, [2 * each for each in estimator().arrays]))


# --------------------------------------------------------------------- lost trials


def test_a_lost_workers_trial_is_handed_out_first(desk: Desk) -> None:
    lost, other = desk.requesting(2)
    desk.serve()
    number = desk.held(lost)
    desk.study.storage.report(desk.study.trial_id(number), 1, 33.0)
    desk.study.storage.finish(desk.study.trial_id(desk.held(other)), TrialState.COMPLETE, 50.0)
    desk.expire(lost)
    other.request()
    (late,) = desk.requesting(1)
    costs = desk.serve()
    assert (costs.served, costs.proposed) == (2, 1)
    assert other.response() == {"request": 2, "trial": number}
    assert "vector" in late.response()
    record = desk.study.trials()[number]
    assert (record.state, record.session, record.curve) == ("waiting", None, {1: 33.0})
    assert record.tries == ({"session": lost.id, "epochs": 1, "end": LOST},)
    # Until it is taken, it is nobody else's.
    (third,) = desk.requesting(1)
    desk.serve()
    assert "vector" in third.response()


def test_a_trial_of_a_session_that_asks_for_another_is_nobodys(desk: Desk) -> None:
    """As one that Optuna made twice: a session holds one at a time."""
    (alive,) = desk.requesting(1)
    desk.serve()
    number = desk.held(alive)
    alive.request()
    desk.serve()
    assert alive.response() == {"request": 2, "trial": number}


def test_a_trial_taken_by_one_that_died_before_it_said_so(desk: Desk) -> None:
    lost, alive = desk.requesting(2)
    desk.serve()
    number = desk.held(alive)
    trial_id = desk.study.trial_id(number)
    storage = desk.study.storage
    storage.set_attr(trial_id, SESSION, None)  # requeued by one that lives on
    storage.requeue(trial_id)
    lost.request()
    desk.serve()
    assert lost.response() == {"request": 2, "trial": number}
    assert storage.take(trial_id)
    alive.request()
    desk.serve()
    assert "vector" in alive.response()  # not the trial that is being taken
    desk.expire(lost)
    alive.request()
    desk.serve()
    assert alive.response() == {"request": 3, "trial": number}


def test_a_trial_that_only_loses_workers_is_failed(database: Place) -> None:
    desk = Desk(database, definition(max_losses=3))
    (session,) = desk.requesting(1)
    desk.serve()
    number = desk.held(session)
    trial_id = desk.study.trial_id(number)
    for count in range(3):
        assert desk.study.trials()[number].state == "running"
        desk.expire(session)
        (session,) = desk.requesting(1)
        desk.serve()
        if count < 2:
            assert session.response() == {"request": 1, "trial": number}
            assert desk.study.storage.take(trial_id)
            desk.study.storage.set_attr(trial_id, SESSION, session.id)
    record = desk.study.trials()[number]
    assert (record.state, record.reason) == ("failed", f"{LOST} 3 times before an epoch's end")
    assert [each["end"] for each in record.tries] == [LOST] * 3
    assert "vector" in session.response()


def test_losses_count_only_without_progress() -> None:
    tries = [{"epochs": 0, "end": LOST}, {"epochs": 0, "end": LOST}, {"epochs": 2, "end": LOST}]
    assert losses_in_a_row([]) == 0
    assert losses_in_a_row(tries[:2]) == 2
    assert losses_in_a_row(tries) == 1
    assert losses_in_a_row([*tries, {"epochs": 2, "end": "asked to leave"}]) == 0
    assert failures([*tries, {"epochs": 2, "end": "a bug", "failed": True}]) == 1


# ------------------------------------------------------------------ leases taken away


def test_what_one_leader_has_fitted_is_handed_on_to_the_next(database: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    made = definition(optimizer="lamcts")
    desk, other = Desk(database, made), Desk(database, made)
    count = LaMcts(desk.proposals.tier).initial + 2
    desk.study.set_max_trials(count + 9)
    sessions = desk.requesting(count)
    assert desk.serve().served == count
    for each in sessions:
        desk.end(desk.held(each))
        each.close()
    desk.requesting(1)
    desk.serve()
    learned = desk.registry.fitted()
    assert learned is not None
    assert learned["fitted_rows"] == count
    monkeypatch.setattr("gpunet.search.optimize.lamcts.fit", None)  # nothing new: no fit is needed
    other.requesting(1)
    assert other.serve().served == 1
    assert other.registry.fitted() == learned


def test_answers_of_many_at_once(every_place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpunet.search.storage.storage.StudyStorage.at_once", 3)
    desk = Desk(every_place)
    sessions = desk.requesting(7)
    assert desk.serve().served == 7
    assert len({tuple(each["vector"]) for each in answers(sessions)}) == 7
    workers = [each for each in desk.registry.workers() if each.id in {session.id for session in sessions}]
    renew = iter([True, True, False])
    said = [(worker, {"end": str(number)}) for number, worker in enumerate(workers)]
    assert desk.registry.respond_all(said, lambda: next(renew)) == 6
    assert [each["end"] for each in answers(sessions)[:6]] == list("012345")


def test_one_whose_lease_was_taken_away_writes_nothing(desk: Desk) -> None:
    sessions = desk.requesting(2)
    lost, _ = sessions
    desk.serve()
    number = desk.held(lost)
    desk.expire(lost)
    sessions[1].request()
    lease = desk.lease()
    desk.study.storage.finish(lease._trial_id, TrialState.FAIL)
    assert desk.proposals.serve(lease).served == 0
    assert sessions[1].response() is None
    assert desk.study.trials()[number].tries == ()


class Slow(Optimizer):
    """While it proposes, something happens."""

    meanwhile: Callable[[], object] = staticmethod(lambda: None)

    def _propose(self, n: int) -> np.ndarray:
        Slow.meanwhile()
        return self._draw_new(n)


def test_a_lease_taken_away_while_it_proposes(database: Place) -> None:
    register_optimizer("slow", Slow)
    desk = Desk(database, definition(optimizer="slow"))
    (session,) = desk.requesting(1)
    lease = desk.lease()
    Slow.meanwhile = staticmethod(lambda: desk.study.storage.finish(lease._trial_id, TrialState.FAIL))
    costs = desk.proposals.serve(lease)
    assert (costs.served, costs.proposed) == (0, 0)
    assert session.response() is None


def test_a_trial_that_another_has_meanwhile_is_not_requeued(file_desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lease that stood still between reading and writing: another leader has requeued the trial, and it was taken."""
    desk = file_desk
    lost, other = desk.requesting(2)
    desk.serve()
    number = desk.held(lost)
    desk.expire(lost)
    other.request()
    storage, trial_id = desk.study.storage, desk.study.trial_id(number)
    budget = desk.study.max_trials

    def meanwhile() -> int:
        storage.set_attr(trial_id, SESSION, other.id)
        return budget()

    monkeypatch.setattr(desk.study, "max_trials", meanwhile)
    desk.serve()
    record = desk.study.trials()[number]
    assert (record.state, record.session) == ("running", other.id)
    assert TRIES not in storage.trial(trial_id).user_attrs
    assert "vector" in other.response()
