"""LaMctsSampler in Optuna's studies: every kind of parameter, and every state of a trial."""

from __future__ import annotations

import pickle
import time
import warnings

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpunet.errors import InvalidArgumentError
from gpunet.search import Box, LaMctsSampler, Lattice
from gpunet.search.optimize import optuna_sampler
from gpunet.search.optimize.mixed import Mixed
from gpunet.search.optimize.optuna_sampler import Guide, IndependentSamplingWarning
from gpunet.search.optimize.optuna_space import OptunaSpace

optuna.logging.set_verbosity(optuna.logging.ERROR)
of = optuna.distributions

MIXED = {
    "rate": of.FloatDistribution(1e-5, 1e-1, log=True),
    "momentum": of.FloatDistribution(-1.0, 1.0),
    "decay": of.FloatDistribution(0.0, 1.0, step=0.25),
    "layers": of.IntDistribution(1, 9, step=2),
    "width": of.IntDistribution(1, 1024, log=True),
    "kind": of.CategoricalDistribution(["a", "b", None]),
    "on": of.CategoricalDistribution([True, False]),
}
DISCRETE = {name: MIXED[name] for name in ("decay", "layers", "kind", "on")}


def study_of(direction: str = "minimize", **how) -> optuna.Study:
    return optuna.create_study(direction=direction, sampler=LaMctsSampler(seed=1, initial=4, **how))


def mixed(trial: optuna.Trial) -> float:
    rate = trial.suggest_float("rate", 1e-5, 1e-1, log=True)
    layers = trial.suggest_int("layers", 1, 9, step=2)
    kind = trial.suggest_categorical("kind", ["a", "b", None])
    return abs(np.log10(rate) + 3.7) + abs(layers - 7) + (kind is not None)


# ---------------------------------------------------------------------- space


@settings(deadline=None)
@given(st.sampled_from([MIXED, DISCRETE]), st.integers(0, 2**32))
def test_every_point_is_a_trials_parameters_and_back(space, seed: int):
    known = OptunaSpace(space)
    for point in known.domain.draw(5, np.random.default_rng(seed)):
        values = known.values(point)
        for name, distribution in space.items():
            assert distribution._contains(distribution.to_internal_repr(values[name])), name
        at = known.point(values)
        assert known.domain.contains(at[None]).all()
        assert known.values(at) == pytest.approx(values) if space is MIXED else known.values(at) == values


def test_a_space_of_few_choices_is_a_lattice():
    known = OptunaSpace(DISCRETE)
    assert isinstance(known.domain, Lattice)
    assert known.names == ["decay", "kind", "layers", "on"]
    assert known.domain.choices == (5, 3, 5, 2)
    assert known.domain.categorical == (False, True, False, True)
    mixed = OptunaSpace(MIXED)
    assert isinstance(mixed.domain, Mixed)
    assert dict(zip(mixed.names, mixed.domain.counts.tolist(), strict=True)) == {
        "decay": 5, "kind": 3, "layers": 5, "momentum": 0, "on": 2, "rate": 0, "width": 0
    }  # fmt: skip
    assert isinstance(OptunaSpace({name: MIXED[name] for name in ("rate", "width")}).domain, Box)
    assert isinstance(OptunaSpace(DISCRETE, repeats=True).domain, Mixed)


# -------------------------------------------------------------------- studies


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_a_study_gets_better_than_its_start(direction: str):
    study = study_of(direction)
    sign = 1 if direction == "minimize" else -1
    study.optimize(lambda trial: sign * mixed(trial), n_trials=22)
    values = [sign * trial.value for trial in study.trials]
    assert min(values[5:]) < min(values[:5])
    assert min(values) < 0.2


def test_a_study_is_determined_by_the_seed():
    one, same = study_of(), study_of()
    for study in (one, same):
        study.optimize(mixed, n_trials=8)
    assert [trial.params for trial in one.trials] == [trial.params for trial in same.trials]


def test_a_lattice_is_not_tried_twice_and_can_be_exhausted():
    study = study_of()
    study.optimize(lambda trial: float(trial.suggest_int("x", 0, 5) + trial.suggest_int("y", 0, 1)), n_trials=12)
    tried = {(trial.params["x"], trial.params["y"]) for trial in study.trials}
    assert len(tried) == 12
    with pytest.warns(IndependentSamplingWarning, match="sampled at random: every combination has been tried"):
        study.optimize(lambda trial: float(trial.suggest_int("x", 0, 5) + trial.suggest_int("y", 0, 1)), n_trials=1)


def test_pruned_failed_and_running_trials_are_used():
    def objective(trial: optuna.Trial) -> float:
        x = trial.suggest_float("x", 0, 1)
        if trial.number == 1:
            trial.report(7.0, 0)
            trial.report(5.0, 3)
            raise optuna.TrialPruned
        if trial.number == 2:
            raise optuna.TrialPruned
        if trial.number == 3:
            raise RuntimeError("failed")
        return x

    study = study_of()
    study.optimize(objective, n_trials=6, catch=RuntimeError)
    running = [study.ask({"x": of.FloatDistribution(0, 1)}) for _ in range(3)]
    guide = study.sampler.guide
    optimizer = guide.optimizer
    told = dict(zip([trial.number for trial in study.trials], optimizer.values, strict=False))
    assert told[1] == 5.0
    assert np.isnan([told[2], told[3]]).all()
    assert optimizer.pending[:2, 0].tolist() == pytest.approx([trial.params["x"] for trial in running[:2]])
    assert len({trial.params["x"] for trial in running}) == 3


def test_trials_of_other_workers_are_learned():
    storage = optuna.storages.InMemoryStorage()
    study = optuna.create_study(storage=storage, sampler=LaMctsSampler(seed=0, initial=3))
    other = optuna.load_study(study_name=study.study_name, storage=storage, sampler=LaMctsSampler(seed=1, initial=3))
    for each in (study, other, study, other, study, other):
        each.optimize(lambda trial: trial.suggest_float("x", 0, 1) ** 2, n_trials=1)
    assert len(other.sampler.guide.told) == 5


def test_conditional_parameters_fall_back_with_a_warning():
    def objective(trial: optuna.Trial) -> float:
        x = trial.suggest_float("x", 0, 1)
        return x + (trial.suggest_float(f"only {trial.number}", 0, 1) if trial.number > 1 else 0)

    study = study_of()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        study.optimize(objective, n_trials=4)
    said = [str(each.message) for each in caught if each.category is IndependentSamplingWarning]
    assert said[0].startswith("The parameter 'only 2' of trial 2 is sampled at random")
    quiet = study_of(warn_independent_sampling=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error", IndependentSamplingWarning)
        quiet.optimize(objective, n_trials=4)


def test_threads_share_a_sampler():
    study = study_of()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", IndependentSamplingWarning)
        study.optimize(mixed, n_trials=10, n_jobs=3)
    assert len(study.trials) == 10


def test_a_sampler_can_be_pickled_and_reseeded():
    sampler = pickle.loads(pickle.dumps(study_of(warn_independent_sampling=False).sampler))
    study = optuna.create_study(sampler=sampler)
    study.optimize(mixed, n_trials=3)
    others = [pickle.loads(pickle.dumps(sampler)) for _ in range(2)]
    for each in others:
        each.reseed_rng()
    drawn = [each.sample_independent(study, study.trials[0], "new", of.FloatDistribution(0, 1)) for each in others]
    assert drawn[0] != drawn[1]
    study.optimize(mixed, n_trials=3)


def test_threads_try_no_point_twice():
    def objective(trial: optuna.Trial) -> float:
        time.sleep(0.01)  # its parameters are not seen by the others yet
        return float(trial.suggest_int("x", 0, 5) + trial.suggest_int("y", 0, 9))

    study = study_of()
    study.optimize(lambda trial: float(trial.suggest_int("x", 0, 5) + trial.suggest_int("y", 0, 9)), n_trials=1)
    study.optimize(objective, n_trials=39, n_jobs=4)
    assert len({tuple(trial.params.values()) for trial in study.trials}) == 40


def test_trials_put_in_a_queue_take_no_point_away():
    def objective(trial: optuna.Trial) -> float:
        return float(trial.suggest_int("x", 0, 2) + trial.suggest_int("y", 0, 2))

    study = study_of()
    study.optimize(objective, n_trials=1)
    first = study.trials[0].params
    for x in range(3):
        study.enqueue_trial({"x": x, "y": (first["y"] + 1) % 3})
    study.optimize(objective, n_trials=8)
    assert len({tuple(trial.params.values()) for trial in study.trials}) == 9


def test_a_study_resumed_by_the_same_seed_goes_on_with_new_points(tmp_path):
    storage = f"sqlite:///{tmp_path}/study.db"
    optuna.create_study(study_name="it", storage=storage)
    for _ in range(3):
        study = optuna.load_study(study_name="it", storage=storage, sampler=LaMctsSampler(seed=0))
        study.optimize(lambda trial: trial.suggest_float("x", 0, 1) + trial.suggest_float("y", 0, 1), n_trials=4)
    assert len({tuple(trial.params.values()) for trial in study.trials}) == 12


def test_a_choice_that_others_depend_on_is_guided_and_may_come_again():
    def objective(trial: optuna.Trial) -> float:
        kind = trial.suggest_categorical("kind", ["good", "bad"])
        return trial.suggest_float(f"x {kind}", 0, 1) + 5 * (kind == "bad")

    study = study_of(warn_independent_sampling=False)
    study.optimize(objective, n_trials=25)
    assert [trial.params["kind"] for trial in study.trials[10:]].count("good") >= 10


def test_constraints_are_learned():
    def excess(trial: optuna.trial.FrozenTrial) -> list[float]:
        return [trial.params["x"] + trial.params["y"] - 1]

    study = study_of("maximize", constraints_func=excess)
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1) + 2 * trial.suggest_float("y", 0, 1), n_trials=20)
    assert 1.9 < study.best_value <= 2
    assert study.sampler.guide.optimizer.best[1] <= 2
    assert sum(excess(trial)[0] < 0.05 for trial in study.trials[6:]) >= 10
    study.add_trial(
        optuna.trial.create_trial(params=study.best_params, distributions=study.best_trial.distributions, value=9)
    )
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1) + 2 * trial.suggest_float("y", 0, 1), n_trials=1)
    assert study.sampler.guide.optimizer.best[1] <= 2  # whether that trial kept them is not known


def test_several_objectives_are_refused():
    study = optuna.create_study(directions=["minimize", "maximize"], sampler=LaMctsSampler(seed=0))
    with pytest.raises(InvalidArgumentError, match="one objective, but this one has 2"):
        study.ask().suggest_float("x", 0, 1)


def test_options_are_checked_at_once():
    with pytest.raises(InvalidArgumentError, match="initial must be an integer of 2 or more, but got 1"):
        LaMctsSampler(initial=1)
    with pytest.raises(InvalidArgumentError, match="seed must be an integer of 0 or more, but got 'a'"):
        LaMctsSampler(seed="a")
    with pytest.raises(TypeError, match="maximize"):
        LaMctsSampler(maximize=False)


def test_the_module_has_no_other_late_names():
    with pytest.raises(AttributeError, match="has no attribute 'Sampler'"):
        _ = optuna_sampler.Sampler
    assert issubclass(optuna_sampler.LaMctsSampler, optuna.samplers.BaseSampler)
    assert Guide.__doc__
