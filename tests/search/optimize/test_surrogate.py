"""The surrogate: its formulas against BoTorch's and finite differences, what it learns, what it must survive."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpunet.search.optimize.acquisition import LogImprovement, draws, log_improvement, promises
from gpunet.search.optimize.kernel import Likelihood, Prior, load
from gpunet.search.optimize.outcome import CANDIDATES, OutcomeTransform
from gpunet.search.optimize.surrogate import Fit, Surrogate, fit, fit_limit

ORDERED = np.zeros(4, dtype=bool)
KINDS = {"ordered": ORDERED, "some unordered": np.array([False, True, False, True])}
any_kind = pytest.mark.parametrize("unordered", KINDS.values(), ids=KINDS)


def theta_of(unordered: np.ndarray, seed: int = 0) -> np.ndarray:
    start = Prior.of(len(unordered)).start()
    return start + 0.3 * np.random.default_rng(seed).standard_normal(len(start))


def sampled(unordered: np.ndarray, count: int = 25, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    features = np.random.default_rng(seed).random((count, len(unordered)))
    features[:, unordered] = np.round(2 * features[:, unordered]) / 2
    values = -np.square(features - 0.3).sum(axis=1)
    return features, (values - values.mean()) / values.std()


def surrogate_of(unordered: np.ndarray) -> Surrogate:
    return Surrogate(*sampled(unordered), unordered, theta_of(unordered))


# ---------------------------------------------------------- against BoTorch


@any_kind
def test_predictions_are_botorchs(unordered: np.ndarray):
    surrogate = surrogate_of(unordered)
    at = np.random.default_rng(1).random((9, len(unordered)))
    with torch.no_grad():
        posterior = surrogate.model.posterior(torch.from_numpy(at))
    mean, deviation = surrogate.predict(at)
    assert np.allclose(mean, posterior.mean[:, 0], atol=1e-5)
    assert np.allclose(deviation**2, posterior.variance[:, 0], atol=1e-5)


@any_kind
def test_log_improvement_and_its_slope_are_botorchs(unordered: np.ndarray):
    surrogate = surrogate_of(unordered)
    score = LogImprovement(surrogate, 1.5)
    at = np.random.default_rng(1).random((9, len(unordered)))
    values, slopes = score.with_gradient(at)
    assert np.allclose(values, score(at))
    rows = torch.from_numpy(at).requires_grad_()
    theirs = load("botorch.acquisition").LogExpectedImprovement(surrogate.model, best_f=1.5)(rows[:, None])
    assert np.allclose(values, theirs.detach(), rtol=1e-3)
    assert np.allclose(slopes, torch.autograd.grad(theirs.sum(), rows)[0], rtol=1e-2, atol=1e-3)


@given(st.floats(-1e100, 1e100) | st.floats(-40, 40))
def test_log_improvement_is_botorchs_at_any_distance(t: float):
    from botorch.acquisition.analytic import _log_ei_helper

    rows = torch.tensor([t], dtype=torch.float64, requires_grad=True)
    ours = log_improvement(rows, torch.ones(1, dtype=torch.float64), 0.0)
    (slope,) = torch.autograd.grad(ours.sum(), rows)
    assert ours.item() == pytest.approx(_log_ei_helper(rows.detach()).item(), rel=1e-6)
    assert slope.item() > 0
    assert math.isfinite(slope.item())


@any_kind
def test_the_loss_is_gpytorchs_up_to_the_priors(unordered: np.ndarray):
    features, z = sampled(unordered)
    prior = Prior.of(len(unordered))
    likelihood = Likelihood(features, unordered, prior)

    def differences(theta: np.ndarray) -> float:
        model = Surrogate(features, z, unordered, theta).model
        model.train()
        marginal = load("gpytorch.mlls").ExactMarginalLogLikelihood(model.likelihood, model)
        with torch.no_grad():
            theirs = -float(marginal(model(model.train_inputs[0]), model.train_targets)) * len(z)
        away = (theta - prior.mean) / prior.deviation
        return likelihood(theta, z)[0] - 0.5 * float(away @ away) - theirs

    assert differences(theta_of(unordered, 0)) == pytest.approx(differences(theta_of(unordered, 1)), abs=1e-3)


# ------------------------------------------------------------------ the fit


@any_kind
def test_the_gradient_is_the_loss_differentiated(unordered: np.ndarray):
    features, z = sampled(unordered)
    likelihood = Likelihood(features, unordered, Prior.of(len(unordered)))
    theta = theta_of(unordered)
    _, gradient = likelihood(theta, z)
    for entry in range(len(theta)):
        step = np.zeros(len(theta))
        step[entry] = 1e-5
        slope = (likelihood(theta + step, z)[0] - likelihood(theta - step, z)[0]) / 2e-5
        assert gradient[entry] == pytest.approx(slope, rel=1e-3, abs=1e-5)


def test_a_singular_covariance_is_no_error():
    features = np.zeros((5, 2))
    likelihood = Likelihood(features, np.zeros(2, dtype=bool), Prior.of(2))
    theta = Prior.of(2).start()
    theta[-1] = -800.0
    assert likelihood(theta, np.zeros(5))[0] == 1e10


def test_a_sum_of_effects_is_learned_from_a_few_samples_a_dimension():
    def truth(rows: np.ndarray) -> np.ndarray:
        return -np.square(rows - np.linspace(0.1, 0.9, 20)).sum(axis=1)

    generator = np.random.default_rng(0)
    features, test = generator.random((80, 20)), generator.random((200, 20))
    found, z = fit(features, truth(features), np.zeros(20, dtype=bool), None, choose=False)
    mean, _ = Surrogate(features, z, np.zeros(20, dtype=bool), found.theta).predict(test)
    assert np.corrcoef(mean, truth(test))[0, 1] > 0.99


def test_a_fit_goes_on_from_the_last_one():
    features, z = sampled(ORDERED)
    first, _ = fit(features, z, ORDERED, None)
    again, _ = fit(features, z, ORDERED, first, choose=False)
    assert again.outcome == first.outcome
    assert np.allclose(again.theta, first.theta, atol=0.2)


def test_what_is_believed_narrows_the_model():
    surrogate = surrogate_of(ORDERED)
    at = np.full((1, 4), 0.9)
    mean, deviation = surrogate.predict(at)
    believing = surrogate.believing(at)
    assert believing.predict(at)[0] == pytest.approx(mean, abs=1e-3)
    assert believing.predict(at)[1] < 0.9 * deviation
    assert surrogate.believing(np.zeros((0, 4))) is surrogate


def test_believing_step_by_step_is_the_same_as_beginning_anew():
    surrogate, rows = surrogate_of(ORDERED), np.random.default_rng(3).random((12, 4))
    believing = surrogate
    for few in (rows[:8], rows[8:11], rows[11:], surrogate.features[:1]):  # the last is a sample once more
        believing = believing.believing(few)
    anew = Surrogate(believing.features, believing.z, ORDERED, believing.theta)
    at = np.random.default_rng(4).random((50, 4))
    for one, other in zip(believing.predict(at), anew.predict(at), strict=True):
        assert np.allclose(one, other, rtol=1e-6, atol=1e-8)


def test_draws_have_the_models_mean_and_spread():
    surrogate = surrogate_of(ORDERED)
    at = np.random.default_rng(2).random((5, 4))
    found = draws(surrogate, at, 20_000, np.random.default_rng(0))
    mean, deviation = surrogate.predict(at)
    assert found.shape == (20_000, 5)
    assert np.allclose(found.mean(axis=0), mean, atol=0.02)
    assert np.allclose(found.std(axis=0), deviation, rtol=0.05)


def test_draws_at_one_point_many_times():
    found = draws(surrogate_of(ORDERED), np.full((300, 4), 0.5), 3, np.random.default_rng(0))
    assert np.isfinite(found).all()


# ------------------------------------------------------------- constraints


def limited(scale: float = 1.0) -> Surrogate:
    """A surrogate whose first column has to be 0.5 or less."""
    features, z = sampled(ORDERED)
    _, limit = fit_limit(features, scale * (features[:, 0] - 0.5), ORDERED, None)
    return Surrogate(features, z, ORDERED, theta_of(ORDERED), (limit,))


@pytest.mark.parametrize("scale", [1.0, 1e-300, 1e300])
def test_a_constraint_is_learned(scale: float):
    score = LogImprovement(limited(scale), -math.inf)
    at = np.full((9, 4), 0.5)
    at[:, 0] = np.linspace(0.1, 0.9, 9)
    values, slopes = score.with_gradient(at)
    assert np.allclose(values, score(at))
    assert (values[:3] > -0.1).all()
    assert values[4] == pytest.approx(math.log(0.5), abs=0.5)
    assert (values[6:] < -3).all()
    assert (slopes[4:6, 0] < 0).all()


def test_a_constraint_adds_its_probability_to_the_improvement():
    surrogate = limited()
    at = np.random.default_rng(1).random((9, 4))
    both, kept = LogImprovement(surrogate, 1.0)(at), LogImprovement(surrogate, -math.inf)(at)
    assert np.allclose(both, kept + LogImprovement(surrogate_of(ORDERED), 1.0)(at))
    assert np.isfinite(LogImprovement(surrogate.believing(at), 1.0)(at)).all()
    assert len(surrogate.believing(at).limits[0].surrogate.z) == 25 + 9


def test_draws_that_break_a_constraint_are_worth_less_than_all_that_keep_it():
    at = np.full((2, 4), 0.5)
    at[:, 0] = 0.1, 0.9
    worth = promises(limited(), at, 50, np.random.default_rng(0))
    assert (worth[:, 0] > -100).all()
    assert (worth[:, 1] < -1000).all()


@pytest.mark.parametrize(("value", "most"), [(-1.0, math.inf), (0.0, math.inf), (2.0, -math.inf), (np.nan, math.inf)])
def test_a_constraint_of_one_value_says_nothing_of_where(value: float, most: float):
    features, _ = sampled(ORDERED)
    _, limit = fit_limit(features, np.full(len(features), value), ORDERED, None)
    assert limit.most == most


# ---------------------------------------------------------------- the outcome

VALUES = st.lists(st.floats(-1e300, 1e300) | st.sampled_from([0.0, 1.0, 1e-300, 1e300]), min_size=1, max_size=30)


@settings(deadline=None)
@given(VALUES, st.sampled_from(CANDIDATES))
def test_an_outcome_keeps_the_order(values: list[float], outcome: OutcomeTransform):
    given_values = np.array(values)
    z, logarithm = outcome(given_values)
    if logarithm == -math.inf:
        return
    assert np.isfinite(z).all()
    order = np.argsort(given_values)
    assert (np.diff(z[order]) >= 0).all()


def test_a_plain_outcome_always_serves():
    z, logarithm = OutcomeTransform()(np.array([1e300, -1e300, 0.0]))
    assert z.tolist() == pytest.approx([1.5**0.5, -(1.5**0.5), 0])
    assert math.isfinite(logarithm)


@pytest.mark.parametrize("power", [0.0, 0.5, 2.0])
def test_the_jacobian_is_the_slope(power: float):
    values = np.random.default_rng(0).random(20)
    values[[0, 1]] = 0.0, 1.0  # the ends that set the scale
    outcome = OutcomeTransform(power, 0.7)
    z, logarithm = outcome(values)
    plain_z, plain = OutcomeTransform()(values)
    order = np.argsort(values)
    fine = np.linspace(0, 1, 200_001)
    # Both are monotone functions of the values: interpolate one against the other, and sum the log of its slope.
    middle = np.median(1 - values)
    ratio = 1 + (1 - fine) / (0.7 * middle)
    raw = -np.log(ratio) if power == 0 else -(ratio**power - 1) / power
    slope = np.interp(values, fine, np.gradient(raw, fine))
    spread = np.interp(values, fine, raw).std()
    expected = np.log(slope / spread).sum() + len(values) * np.log(values.std())
    assert logarithm - plain == pytest.approx(expected, abs=0.1)
    assert (np.diff(z[order]) > 0).all()
    assert plain_z.std() == pytest.approx(1)


def test_losses_of_all_magnitudes_are_told_by_their_logarithm():
    features = np.random.default_rng(0).random((60, 3))
    values = -np.exp(20 * features.sum(axis=1))
    found, _ = fit(features, values, np.zeros(3, dtype=bool), None)
    assert found.outcome.power == 0.0
    assert isinstance(found, Fit)
