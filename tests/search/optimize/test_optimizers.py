"""What holds for every optimiser: proposals inside, distinct, reproducible, resumable, whatever it is told."""

from __future__ import annotations

import json
import math

import bench_proposals
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gpunet.errors import ExhaustedError, InvalidArgumentError
from gpunet.search import (
    Box,
    Domain,
    GaussianProcessBo,
    LaMcts,
    Lattice,
    Pool,
    RandomSearch,
    RegularizedEvolution,
    SobolSearch,
)
from gpunet.search.optimize.base import Optimizer

MAKERS = {
    "random": RandomSearch,
    "sobol": SobolSearch,
    "evolution": lambda domain, **how: RegularizedEvolution(domain, population=8, sample=3, **how),
    "gp": lambda domain, **how: GaussianProcessBo(domain, initial=5, **how),
    "lamcts": lambda domain, **how: LaMcts(domain, initial=5, leaf_size=4, **how),
}
DOMAINS = {
    "box": Box([-1, 0, 5], [1, 10, 6]),
    "line": Box([0], [1]),
    "lattice": Lattice([3, 4, 3, 2], categorical=[False, True, False, True]),
    "large lattice": Lattice([10] * 12),
    "pool": Pool(np.random.default_rng(0).random((60, 3))),
}
TOLD = {
    "bowl": lambda point: -float(np.square(point - 0.3).sum()),
    "constant": lambda point: 2.0,
    "failing": lambda point: None,
    "half failing": lambda point: None if point[0] > 0.5 else float(point.sum()),
    "huge": lambda point: 1e300 * (1 if point.sum() > 1 else -1),
    "infinite": lambda point: math.inf if point[0] > 0.5 else -math.inf,
    "not a number": lambda point: math.nan if point[0] > 0.5 else 1.0,
    "tiny": lambda point: 1e-300 * float(point.sum()),
}
every_optimizer = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


def run(optimizer: Optimizer, told, rounds: int, batch: int = 1) -> np.ndarray:
    asked = []
    for _ in range(rounds):
        points = optimizer.ask(batch)
        asked.append(points)
        for point in points:
            optimizer.tell(point, told(point))
    return np.concatenate(asked)


def assert_proper(domain: Domain, points: np.ndarray) -> None:
    assert domain.contains(points).all()
    if domain.finite:
        assert len(np.unique(points, axis=0)) == len(points)


@every_optimizer
@pytest.mark.parametrize("domain", DOMAINS.values(), ids=DOMAINS)
def test_proposals_are_inside_and_distinct(make, domain: Domain):
    optimizer = make(domain, seed=3)
    points = np.concatenate([run(optimizer, TOLD["bowl"], 8), run(optimizer, TOLD["bowl"], 2, batch=7)])
    assert points.shape == (22, domain.dimensions)
    assert_proper(domain, points)
    assert len(optimizer.points) == 22
    assert len(optimizer.pending) == 0


@every_optimizer
@pytest.mark.parametrize("told", TOLD.values(), ids=TOLD)
def test_whatever_it_is_told(make, told):
    for domain in (DOMAINS["box"], DOMAINS["lattice"]):
        optimizer = make(domain, seed=1)
        assert_proper(domain, run(optimizer, told, 9))
        known = optimizer.values[np.isfinite(optimizer.values)]
        assert (optimizer.best is None) == (len(known) == 0)
        assert optimizer.best is None or optimizer.best[1] == known.max()
        json.dumps(optimizer.state_dict(), allow_nan=False)


@every_optimizer
@pytest.mark.parametrize("domain", [DOMAINS["box"], DOMAINS["lattice"]], ids=["box", "lattice"])
def test_a_resumed_optimizer_proposes_what_the_uninterrupted_one_would_have(make, domain: Domain):
    first = make(domain, seed=5, maximize=False)
    run(first, TOLD["bowl"], 9)
    first.ask(2)
    state = json.loads(json.dumps(first.state_dict(), allow_nan=False))
    second = make(domain, seed=5, maximize=False)
    second.load_state_dict(state)
    assert second.state_dict() == first.state_dict()
    for _ in range(3):
        assert np.array_equal(first.ask(2), second.ask(2))
        for optimizer in (first, second):
            optimizer.tell(optimizer.pending[0], 0.25)
    assert second.state_dict() == first.state_dict()


@every_optimizer
def test_proposals_are_determined_by_the_seed(make):
    one, same, other = (run(make(DOMAINS["box"], seed=seed), TOLD["bowl"], 8) for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


@every_optimizer
def test_minimizing_is_maximizing_the_negative(make):
    domain = DOMAINS["box"]
    up, down = make(domain, seed=1), make(domain, seed=1, maximize=False)
    points = run(up, TOLD["bowl"], 8)
    assert np.array_equal(points, run(down, lambda point: -TOLD["bowl"](point), 8))
    assert np.array_equal(up.best[0], down.best[0])
    assert up.best[1] == -down.best[1] == up.values.max()


@every_optimizer
def test_a_pool_of_one(make):
    optimizer = make(Pool([[1.0, 2.0]]))
    assert optimizer.ask(5).tolist() == [[1.0, 2.0]]
    optimizer.tell([1.0, 2.0], 3.0)
    with pytest.raises(ExhaustedError, match="All 1 points of the domain have been proposed"):
        optimizer.ask()


@every_optimizer
def test_a_domain_is_exhausted_without_repeats(make):
    domain = Lattice([3, 2, 3])
    optimizer = make(domain, seed=2)
    points = run(optimizer, TOLD["bowl"], 6, batch=3)
    assert len(np.unique(points, axis=0)) == 18
    with pytest.raises(ExhaustedError, match="All 18 points"):
        optimizer.ask()


@every_optimizer
def test_what_is_under_way_is_not_proposed_again(make):
    domain = DOMAINS["lattice"]
    optimizer = make(domain, seed=2)
    run(optimizer, TOLD["bowl"], 10)
    waiting = np.concatenate([optimizer.ask() for _ in range(6)])
    assert_proper(domain, np.concatenate([optimizer.points, waiting]))
    assert np.array_equal(optimizer.pending, waiting)
    optimizer.tell(waiting[2], 1.0)
    assert np.array_equal(optimizer.pending, np.delete(waiting, 2, axis=0))


@every_optimizer
def test_points_that_were_not_asked_for_are_learned(make):
    domain = Lattice([2, 2])
    optimizer = make(domain)
    optimizer.tell([1, 1], 4.0)
    assert optimizer.best[0].tolist() == [1, 1]
    assert [1, 1] not in optimizer.ask(3).tolist()


@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(sorted(MAKERS)),
    st.lists(st.integers(1, 4), min_size=1, max_size=4),
    st.lists(st.none() | st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=12),
    st.integers(0, 2**31),
)
def test_any_values_on_any_lattice(name: str, choices: list[int], values: list[float | None], seed: int):
    domain = Lattice(choices)
    optimizer = MAKERS[name](domain, seed=seed)
    for value in values[: domain.size]:
        optimizer.tell(optimizer.ask()[0], value)
    assert_proper(domain, optimizer.points)


class Unsized(Lattice):
    """A lattice that does not know how many points it has, as one with bounds does not."""

    def __init__(self, choices: list[int]) -> None:
        super().__init__(choices)
        self.size = None


@every_optimizer
def test_a_domain_of_unknown_size_can_be_exhausted(make):
    optimizer = make(Unsized([3, 2]), seed=1)
    assert len(run(optimizer, TOLD["bowl"], 3, batch=2)) == 6
    with pytest.raises(ExhaustedError, match=r"No new point was found in .* draws: the domain seems to be exhausted"):
        optimizer.ask()


@every_optimizer
def test_what_others_work_on_takes_the_place_of_what_was_asked_for(make):
    optimizer = make(Lattice([2, 2]))
    optimizer.ask()
    optimizer.expect([[0, 0], [1, 1]])
    assert optimizer.pending.tolist() == [[0, 0], [1, 1]]
    asked = optimizer.ask(4).tolist()
    assert [0, 0] not in asked
    assert [1, 1] not in asked
    optimizer.expect([])
    assert len(optimizer.pending) == 0
    assert len(optimizer.ask(4)) == 4  # what was asked for here and is not under way may be proposed again
    for wrong, text in (
        ([[0, 0], [0, 5]], r"\[0, 5\]"),
        ([[0.5, 0]], r"\[0.5, 0\]"),
        ([[0, 1, 1]], r"\[0, 1, 1\]"),
        (7, "7"),
    ):
        with pytest.raises(InvalidArgumentError, match=f"A point must be in the domain, but {text} is not"):
            optimizer.expect(wrong)


def without(state: dict, key: str) -> dict:
    return {name: value for name, value in state.items() if name != key}


@every_optimizer
@pytest.mark.parametrize(
    ("act", "text"),
    [
        (lambda it: it.ask(0), "n must be an integer of 1 or more, but got 0"),
        (lambda it: it.ask(1.5), "n must be an integer of 1 or more, but got 1.5"),
        (
            lambda it: it.tell([0, 0], "1"),
            "A value must be a number, or None for an evaluation that failed, but got '1'",
        ),
        (lambda it: it.tell([0, 0], [1, 2]), r"A value must be a number, .* but got \[1, 2\]"),
        (lambda it: it.tell(["a", "b"], 1.0), r"must be in the domain, but \['a', 'b'\] is not"),
        (lambda it: it.tell([0, [1]], 1.0), r"must be in the domain, but \[0, \[1\]\] is not"),
        (lambda it: it.load_state_dict([]), r"A state must be what `state_dict` gives, but got \[\]"),
        (
            lambda it: it.load_state_dict({**it.state_dict(), "maximize": False}),
            "maximize must be True, but it is False",
        ),
        (lambda it: it.load_state_dict({**it.state_dict(), "seed": 3}), "seed must be 0, but it is 3"),
        (lambda it: it.load_state_dict(without(it.state_dict(), "values")), "lacks values"),
        (lambda it: it.load_state_dict({**it.state_dict(), "values": [1.0]}), "must have a value .* has 1 for 0"),
        (
            lambda it: it.load_state_dict({**it.state_dict(), "points": [[2, 0]], "values": [1.0]}),
            r"must be in the domain, but \[2, 0\] is not",
        ),
        (lambda it: it.tell([2, 0], 1.0), r"must be in the domain, but \[2, 0\] is not"),
        (lambda it: it.tell([0], 1.0), r"must be in the domain, but \[0\] is not"),
        (lambda it: it.load_state_dict({**it.state_dict(), "version": 99}), "version must be 1, but it is 99"),
        (
            lambda it: it.load_state_dict({**it.state_dict(), "optimizer": "Other"}),
            "optimizer must be '.*', but it is 'Other'",
        ),
        (lambda it: it.load_state_dict({**it.state_dict(), "dimensions": 7}), "dimensions must be 2, but it is 7"),
    ],
)
def test_what_is_refused(make, act, text: str):
    with pytest.raises(InvalidArgumentError, match=text):
        act(make(Lattice([2, 2])))


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: LaMcts(DOMAINS["box"], initial=1), "initial must be an integer of 2 or more, but got 1"),
        (lambda: LaMcts(DOMAINS["box"], leaf_size=2.5), "leaf_size must be an integer of 2 or more, but got 2.5"),
        (
            lambda: LaMcts(DOMAINS["box"], exploration=-0.1),
            "exploration must be a finite number of 0 or more, but got -0.1",
        ),
        (
            lambda: LaMcts(DOMAINS["box"], exploration=math.nan),
            "exploration must be a finite number of 0 or more, but got nan",
        ),
        (lambda: RegularizedEvolution(DOMAINS["box"], population=0), "population must be an integer of 1 or more"),
        (lambda: RegularizedEvolution(DOMAINS["box"], sample=0), "sample must be an integer of 1 or more, but got 0"),
        (lambda: RandomSearch([0, 1]), r"have what gpunet.search.Domain asks for, but got \[0, 1\]"),
        (lambda: RandomSearch(DOMAINS["box"], seed=-1), "seed must be an integer from 0 to .*, but got -1"),
        (lambda: RandomSearch(DOMAINS["box"], seed=None), "seed must be an integer from 0 to .*, but got None"),
        (lambda: RandomSearch(DOMAINS["box"]).reseed(-1), "seed must be an integer of 0 or more, but got -1"),
    ],
)
def test_what_is_no_optimizer_is_refused(make, text: str):
    with pytest.raises(InvalidArgumentError, match=text):
        make()


@every_optimizer
@pytest.mark.parametrize("seed", [np.int64(3), 2**40, 2**63 - 1])
def test_any_seed_serves(make, seed: int):
    optimizer = make(DOMAINS["lattice"], seed=seed)
    run(optimizer, TOLD["bowl"], 9)
    json.dumps(optimizer.state_dict())


@every_optimizer
def test_values_of_any_kind_of_number(make):
    optimizer = make(DOMAINS["line"])
    kinds = [np.float32(0.5), np.float16(0.5), 10**400, -(10**400), torch.tensor(2.0), np.array([3.0])[0], True]
    for value in kinds:
        optimizer.tell(np.array([0.5], dtype=object), value)
    assert optimizer.values.tolist() == [0.5, 0.5, 1e300, -1e300, 2, 3, 1]


@every_optimizer
def test_what_was_asked_for_is_the_callers_to_change(make):
    optimizer = make(DOMAINS["box"])
    asked = optimizer.ask(2)
    before = asked.copy()
    asked += 7
    assert np.array_equal(optimizer.pending, before)


def test_a_zero_is_one_point_of_a_pool():
    optimizer = RandomSearch(Pool([[0.0], [1.0]]))
    optimizer.tell([-0.0], 1.0)
    assert optimizer.ask(2).tolist() == [[1.0]]


@pytest.mark.parametrize("domain", [DOMAINS["box"], DOMAINS["line"]], ids=["box", "line"])
def test_a_batch_in_a_box_repeats_nothing(domain: Domain):
    optimizer = LaMcts(domain, seed=0)
    run(optimizer, TOLD["bowl"], 20)
    optimizer.ask(10)
    optimizer.ask(150)
    everything = np.concatenate([optimizer.points, optimizer.pending])
    assert len(np.unique(everything, axis=0)) == 180


class Folded(Lattice):
    """A lattice whose second digit means nothing while the first is 0, as in a tier with stages that may be empty."""

    def __init__(self) -> None:
        super().__init__([3, 4, 3])
        self.size = None

    def draw(self, count: int, generator: np.random.Generator) -> np.ndarray:
        return self.decode(self.encode(super().draw(count, generator)))

    def decode(self, unit: np.ndarray) -> np.ndarray:
        points = super().decode(unit)
        points[points[:, 0] == 0, 1] = 0
        return points


@every_optimizer
def test_vectors_of_one_point_are_proposed_once(make):
    optimizer = make(Folded(), seed=1)
    optimizer.tell([0, 3, 1], 1.0)
    assert optimizer.points.tolist() == [[0, 0, 1]]
    points = run(optimizer, TOLD["bowl"], 26)
    assert len(np.unique(points, axis=0)) == 26
    assert not points[points[:, 0] == 0, 1].any()
    assert [0, 0, 1] not in points.tolist()
    with pytest.raises(ExhaustedError, match="the domain seems to be exhausted"):
        optimizer.ask()


# ----------------------------------------------------------------- constraints


def excess(point: np.ndarray) -> float:
    return float(np.square(point).sum() - 0.5)


@pytest.mark.parametrize("make", [LaMcts, GaussianProcessBo])
@pytest.mark.parametrize(
    "domain", [Box([0, 0], [1, 1]), Pool(np.random.default_rng(0).random((400, 2)))], ids=["box", "pool"]
)
def test_a_constraint_is_kept_and_met(make, domain: Domain):
    optimizer = make(domain, seed=0, constraints=1)
    for number in range(26):
        point = optimizer.ask()[0]
        optimizer.tell(point, None if number == 3 else float(point.sum()), None if number == 3 else [excess(point)])
    best, value = optimizer.best
    assert excess(best) <= 0
    assert value > 0.95  # of 1, where the sum is greatest on the circle
    assert sum(excess(point) < 0.05 for point in optimizer.points[10:]) >= 12
    resumed = make(domain, seed=0, constraints=1)
    resumed.load_state_dict(json.loads(json.dumps(optimizer.state_dict(), allow_nan=False)))
    assert np.array_equal(resumed.ask(8), optimizer.ask(8))


@pytest.mark.parametrize("limits", [[1.0, 1.0], [math.inf, -1.0], [math.nan, 1e300], [-1e300, 1e-300]])
def test_constraints_that_nothing_keeps(limits: list[float]):
    optimizer = LaMcts(DOMAINS["lattice"], seed=0, initial=4, constraints=2)
    for _ in range(7):
        point = optimizer.ask()[0]
        optimizer.tell(point, float(point.sum()), limits)
    assert optimizer.best is None
    assert len(optimizer.ask(6)) == 6
    json.dumps(optimizer.state_dict(), allow_nan=False)


@pytest.mark.parametrize(
    ("made_for", "told", "text"),
    [
        (1, None, "constraints must be 1 numbers with each value, but got None"),
        (1, [0.0, 1.0], r"constraints must be 1 numbers with each value, but got \[0.0, 1.0\]"),
        (0, [0.0], r"constraints must be 0 numbers with each value, but got \[0.0\]"),
        (1, ["a"], r"constraints must be numbers, .* but got \['a'\]"),
    ],
)
def test_constraints_are_as_many_as_were_said(made_for: int, told: list, text: str):
    optimizer = LaMcts(DOMAINS["line"], constraints=made_for)
    with pytest.raises(InvalidArgumentError, match=text):
        optimizer.tell([0.5], 1.0, told)
    assert len(optimizer.points) == 0


def test_how_many_constraints_is_checked():
    with pytest.raises(InvalidArgumentError, match="constraints must be an integer of 0 or more, but got -1"):
        LaMcts(DOMAINS["line"], constraints=-1)
    with pytest.raises(InvalidArgumentError, match="state's constraints must be 1, but it is 0"):
        LaMcts(DOMAINS["line"], constraints=1).load_state_dict(LaMcts(DOMAINS["line"]).state_dict())


# ----------------------------------------------------------------------- speed


@pytest.mark.slow
@pytest.mark.parametrize("name", bench_proposals.DOMAINS)
def test_no_proposal_costs_an_order_more_than_it_may(name: str):
    """A guard: the limits themselves are measured by benchmarks/bench_proposals.py, on a machine that is quiet."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for told, limit_s in bench_proposals.LIMITS_S.items():
            one_s, batch_s = bench_proposals.costs_s(bench_proposals.DOMAINS[name], told, 2)
            assert one_s < 5 * limit_s
            assert batch_s < 5 * bench_proposals.BATCH_LIMIT_S
    finally:
        torch.set_num_threads(threads)
