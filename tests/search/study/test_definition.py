from __future__ import annotations

import copy
import dataclasses
import json
import math
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from helpers.estimates import Roofline, roofline_of
from helpers.spaces import SMALL_SPACE
from helpers.studies import SPACE, definition, estimator, every_network

from gpunet.errors import GpunetError, InvalidArgumentError, SpecError, StudyError
from gpunet.search import StudyDefinition
from gpunet.search.study.definition import MOST_CANDIDATES, Pruning, defined
from gpunet.search.tiers.stratify import Lookup


def latencies_ms() -> np.ndarray:
    return Lookup(estimator().plan, estimator().arrays).sum_from_vectors(every_network())


def test_a_definition_is_json_both_ways() -> None:
    made = definition(0.0, 0.05, pruning=Pruning("hyperband", 2, 3, 4), table="/tables/a.sqlite", seed=7)
    written = json.loads(json.dumps(made.to_dict()))
    assert StudyDefinition.from_dict(written) == made
    assert StudyDefinition.from_dict(written).to_dict() == made.to_dict()
    endless = definition()
    assert endless.to_dict()["high_ms"] is None
    assert StudyDefinition.from_dict(json.loads(json.dumps(endless.to_dict()))).high_ms == math.inf


def test_what_the_estimator_says_is_recorded() -> None:
    low, high = np.quantile(latencies_ms(), [0.3, 0.6])
    made = definition(float(low), float(high))
    tier = made.tier(estimator())
    assert tier.contains(np.array(made.candidates)).all()
    assert 0 < len(made.candidates) <= MOST_CANDIDATES
    assert len(set(made.candidates)) == len(made.candidates)
    probes = np.array([vector for vector, _ in made.probes])
    assert np.allclose(tier.latency_ms(probes), [estimate for _, estimate in made.probes])
    assert {"gpunet", "torch", "optuna"} <= made.versions.keys()


def test_candidates_that_are_given_are_kept() -> None:
    given = every_network()[:3]
    assert {tuple(each) for each in given.tolist()} <= set(definition(candidates=given).candidates)
    slowest = every_network()[np.argmax(latencies_ms())]
    with pytest.raises(InvalidArgumentError, match="candidates"):
        definition(0.0, float(latencies_ms().max()), candidates=[slowest])


def test_estimates_of_another_table_are_refused() -> None:
    other = Roofline(estimator().plan, [1.01 * each for each in estimator().arrays])
    with pytest.raises(StudyError, match=r"not the study's: of one network it says [\d.]+ ms") as caught:
        definition().tier(other)
    assert "FILE.latencies.npz" in caught.value.hint


def test_a_tier_that_is_empty_is_refused() -> None:
    with pytest.raises(StudyError, match="no network of the space has an estimate 1000 ms or more") as caught:
        definition(1000.0)
    assert "gpunet table estimate" in caught.value.hint


def test_an_estimator_of_another_space_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="estimator is of another space"):
        defined(SMALL_SPACE, estimator(), 0.0, 1.0, trainer={}, epochs=1, max_trials=1)


@pytest.mark.parametrize(("changes", "message"), [
    ({"space": "paper"}, "space: 'paper' is not a search space"),
    ({"low_ms": -1.0}, "low_ms: "),
    ({"high_ms": 0.0}, "high_ms: "),
    ({"low_ms": 2.0, "high_ms": 1.0}, "low_ms: low < high must hold, but got 2 and 1"),
    ({"trainer": "recipe"}, "trainer: 'recipe' is not an object"),
    ({"epochs": 0}, "epochs: "),
    ({"max_trials": 0}, "max_trials: "),
    ({"max_failures": 0}, "max_failures: "),
    ({"max_losses": 0}, "max_losses: "),
    ({"num_classes": 1}, "num_classes: "),
    ({"seed": -1}, "seed: "),
    ({"optimizer": "grid"}, "optimizer: "),
    ({"table": 7}, "table: 7 is not a path"),
    ({"pruning": "median"}, "pruning: 'median' is not of Pruning"),
])  # fmt: skip
def test_faults_name_their_field(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        dataclasses.replace(definition(), **changes)


@pytest.mark.parametrize(("changes", "message"), [
    ({"pruner": "random"}, "pruning.pruner: "), ({"warmup_epochs": -1}, "pruning.warmup_epochs: "),
    ({"startup_trials": 0.5}, "pruning.startup_trials: "), ({"reduction_factor": 1}, "pruning.reduction_factor: "),
])  # fmt: skip
def test_faults_of_pruning_name_their_field(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        Pruning(**changes)


@pytest.mark.parametrize(("changes", "message"), [
    ({"definition_version": 2}, "definition_version: 2 is not 1"),
    ({"definition_version": None}, "definition_version: None is not 1"),
    ({"speed": 1}, "speed"),
    ({"pruning": {"kind": "none"}}, "pruning"),
    ({"candidates": 5}, "candidates, probes: "),
    ({"probes": [[[0, 0], "fast"]]}, "candidates, probes: "),
    ({"space": {}}, "space"),
])  # fmt: skip
def test_what_is_no_definition_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        StudyDefinition.from_dict({**definition().to_dict(), **changes})
    with pytest.raises(SpecError, match=r"study: \[\] is not an object"):
        StudyDefinition.from_dict([])  # type: ignore[arg-type]


def _places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield at
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield from _places(value[key], (*at, key))


@pytest.mark.parametrize("odd", [None, "x", 0, -1, 10**30, 1.5, math.nan, [], {}, [1], [[1]], True], ids=repr)
def test_a_definition_that_is_damaged_anywhere_is_refused_or_is_one(odd: object) -> None:
    """Never a traceback, whichever part is something else."""
    whole = json.loads(json.dumps(definition(0.0, 900.0, candidates=every_network()[:3]).to_dict()))
    whole["candidates"], whole["probes"] = whole["candidates"][:2], whole["probes"][:2]
    refused = 0
    for at in _places(whole):
        data = {"all": copy.deepcopy(whole)}
        part: Any = data
        for key in ("all", *at[:-1]) if at else ():
            part = part[key]
        part[at[-1] if at else "all"] = odd
        with suppress(GpunetError):
            made = StudyDefinition.from_dict(data["all"])
            made.described()
            made.tier(estimator() if made.space == SPACE else roofline_of(made.space))
            continue
        refused += 1
    assert refused > 40


def test_a_space_of_ones_own_is_given() -> None:
    written = {**definition().to_dict(), "space": {"kind": "mine"}}
    assert StudyDefinition.from_dict(written, SPACE) == definition()


def test_the_identity_is_of_what_trials_depend_on() -> None:
    one = definition()
    same = dataclasses.replace(one, max_trials=99, table="/elsewhere.sqlite", versions={"gpunet": "9"})
    assert same.identity == one.identity
    for changes in ({"seed": 1}, {"epochs": 4}, {"optimizer": "sobol"}, {"low_ms": 1e-6}, {"trainer": {"a": 1}},
                    {"pruning": Pruning("median")}, {"num_classes": 11}):  # fmt: skip
        assert dataclasses.replace(one, **changes).identity != one.identity, changes


def test_a_trials_seed_is_its_own_and_stays() -> None:
    made = definition(seed=3)
    seeds = [made.seed_of(number) for number in range(100)]
    assert len(set(seeds)) == 100
    assert seeds == [dataclasses.replace(made, max_trials=9).seed_of(number) for number in range(100)]
    assert not {definition(seed=4).seed_of(number) for number in range(3)} & set(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)
