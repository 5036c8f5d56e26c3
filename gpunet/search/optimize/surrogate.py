"""The surrogate: a BoTorch Gaussian process of what has been evaluated, its hyperparameters fitted with warm starts.

X       features, `n x columns`
y, z    values, higher is better, and what the model is told of them (outcome.py)
theta   hyperparameters (kernel.py)
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from gpunet.core.files import require
from gpunet.search.optimize.kernel import PURPOSE, Covariance, Likelihood, Prior, gpytorch_kernel, load
from gpunet.search.optimize.outcome import CANDIDATES, OutcomeTransform

FIRST_STEPS = 60  # of the search for theta, where nothing is known of it
NEXT_STEPS = 15  # from the theta of one sample less
ROWS = 300  # samples that a surrogate is fitted to
PART = 100  # samples that a transform is chosen by
_ROWS_AT_ONCE = 4096  # predicted at a time
_JITTER = 1e-8  # on the diagonal, for rows that are all but equal
_PREFERENCE = 1.0  # nats by which another transform must be likelier than the present one


@dataclass(frozen=True)
class Fit:
    """What a fit found, and the next one starts from."""

    theta: np.ndarray
    outcome: OutcomeTransform


@dataclass(frozen=True)
class Limit:
    """A constraint as it is learned: kept where its own surrogate's value is at most `most`."""

    surrogate: Surrogate
    most: float


class Surrogate:
    """A Gaussian process of z at X, conditioned on the samples given.

    Its predictions are written out, since a proposal takes thousands of them; `model` is the same as BoTorch has it.

    Args:
        features: `n x columns`.
        z: n standardised values.
        unordered: the columns in which only the same or not the same counts, G bools.
        theta: the hyperparameters.
        limits: constraints that a good point has to keep.
        inverse: of the covariance of the samples, noise included, where it is known.
    """

    def __init__(
        self,
        features: np.ndarray,
        z: np.ndarray,
        unordered: np.ndarray,
        theta: np.ndarray,
        limits: tuple[Limit, ...] = (),
        inverse: torch.Tensor | None = None,
    ) -> None:
        self.features, self.z, self.unordered, self.theta, self.limits = features, z, unordered, theta, limits
        self._covariance = Covariance(theta, unordered)
        self._rows = torch.from_numpy(features)
        with torch.no_grad():
            if inverse is None:
                inverse = torch.cholesky_inverse(torch.linalg.cholesky(self._noisy_covariance(self._rows)))
            self._inverse = inverse
            self._weights = self._inverse @ torch.from_numpy(z)

    @property
    def noise(self) -> float:
        """Variance of a value beside the model's."""
        return self._covariance.noise

    @property
    def effects(self) -> np.ndarray:
        """How much of what is known of a point is lost where one column alone changes by its whole range, G numbers."""
        with torch.no_grad():
            left = self._covariance.of_differences(torch.eye(self.features.shape[1], dtype=torch.float64))
        return 1 - left.numpy() / self._covariance.variance

    def moments(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and standard deviation of z at `m x columns` rows, without the noise; differentiable."""
        covariance = self._covariance(rows, self._rows)
        variance = self._covariance.variance - ((covariance @ self._inverse) * covariance).sum(dim=-1)
        return covariance @ self._weights, variance.clamp_min(1e-10).sqrt()

    def predict(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The same for m rows, in parts that fit in memory."""
        rows = torch.from_numpy(features)
        with torch.no_grad():
            parts = [self.moments(part) for part in rows.split(_ROWS_AT_ONCE)]
        return tuple(torch.cat(each).numpy() for each in zip(*parts, strict=True))  # type: ignore[return-value]

    @functools.cached_property
    def model(self) -> Any:
        """A `botorch.models.SingleTaskGP`.

        Raises:
            MissingDependencyError: BoTorch is not installed.
        """
        models = load("botorch.models")
        means = load("gpytorch.means")
        made = models.SingleTaskGP(
            self._rows,
            torch.from_numpy(self.z)[:, None],
            torch.full((len(self.z), 1), self._covariance.noise, dtype=torch.float64),
            covar_module=gpytorch_kernel(self._covariance),
            mean_module=means.ZeroMean(),
            outcome_transform=None,
        )
        return made.eval()

    def believing(self, features: np.ndarray) -> Surrogate:
        """The surrogate as if the evaluations under way, at these rows, had come out as it expects."""
        if not len(features):
            return self
        mean, _ = self.predict(features)
        limits = tuple(Limit(each.surrogate.believing(features), each.most) for each in self.limits)
        rows, z = np.vstack([self.features, features]), np.append(self.z, mean)
        return Surrogate(rows, z, self.unordered, self.theta, limits, self._inverse_with(torch.from_numpy(features)))

    def _noisy_covariance(self, rows: torch.Tensor) -> torch.Tensor:
        covariance = self._covariance(rows, rows)
        covariance.diagonal().add_(self._covariance.noise + _JITTER)
        return covariance

    def _inverse_with(self, rows: torch.Tensor) -> torch.Tensor | None:
        """The inverse with `m x columns` more rows, by blocks; None where that fails.

        With A the present covariance, B that of the new rows with the old and C of the new, S = C - B A^-1 B^T is the
        new block's Schur complement.
        """
        with torch.no_grad():
            between = self._covariance(rows, self._rows)
            lifted = between @ self._inverse
            root, failed = torch.linalg.cholesky_ex(self._noisy_covariance(rows) - lifted @ between.T)
            if failed:
                return None
            inner = torch.cholesky_inverse(root)
            cross = inner @ lifted
            return torch.cat(
                [torch.cat([self._inverse + lifted.T @ cross, -cross.T], 1), torch.cat([-cross, inner], 1)]
            )


def fit(
    features: np.ndarray,
    values: np.ndarray,
    unordered: np.ndarray,
    before: Fit | None,
    *,
    choose: bool = True,
    derived: int = 0,
) -> tuple[Fit, np.ndarray]:
    """Hyperparameters, and the transform of n finite values; z with them.

    What takes many steps, a first search and a choice, is done on an even part of many samples.

    Args:
        features: `n x G`.
        values: n, higher is better.
        unordered: the columns in which only the same or not the same counts, G bools.
        before: the last fit, to start from.
        choose: whether to compare the transforms anew; else that of `before` is kept.
        derived: how many of the columns, the last, are derived features.
    """
    prior = Prior.of(features.shape[1], derived)
    if before is None or choose:
        part = _even_part(values)
        before = _chosen(Likelihood(features[part], unordered, prior), prior, values[part], before)
        if len(part) == len(values):
            return before, before.outcome(values)[0]
    z, _ = before.outcome(values)
    theta, _ = _search(Likelihood(features, unordered, prior), prior, before.theta, z, NEXT_STEPS)
    return Fit(theta, before.outcome), z


def fit_limit(
    features: np.ndarray, values: np.ndarray, unordered: np.ndarray, before: Fit | None, *, derived: int = 0
) -> tuple[Fit, Limit]:
    """A constraint as it is learned, kept at 0 or less, and what the next fit starts from.

    Args:
        features: `n x G`.
        values: n of the constraint; NaN where it is not known.
        unordered: the columns in which only the same or not the same counts, G bools.
        before: the last fit.
        derived: how many of the columns, the last, are derived features.
    """
    known = np.isfinite(values)
    features, values = features[known], values[known]
    values = values / max(float(np.abs(values).max(initial=0.0)), 1e-300)
    start = Fit(Prior.of(features.shape[1], derived).start(), OutcomeTransform()) if before is None else before
    if not len(values) or values.min() == values.max():  # kept everywhere, or nowhere
        kept = math.inf if not len(values) or values[0] <= 0 else -math.inf
        return start, Limit(Surrogate(features, np.zeros(len(values)), unordered, start.theta), kept)
    found, z = fit(features, values, unordered, start, choose=False, derived=derived)
    return found, Limit(Surrogate(features, z, unordered, found.theta), -float(values.mean() / values.std()))


def _chosen(likelihood: Likelihood, prior: Prior, values: np.ndarray, before: Fit | None) -> Fit:
    """The likeliest transform, with theta for it."""
    start, steps = (prior.start(), FIRST_STEPS) if before is None else (before.theta, NEXT_STEPS)
    now = OutcomeTransform() if before is None else before.outcome
    found = []
    for outcome in sorted(CANDIDATES, key=lambda each: each != now):
        z, logarithm = outcome(values)
        if logarithm == -math.inf:
            continue
        theta, loss = _search(likelihood, prior, start, z, steps)
        found.append((loss - logarithm - (_PREFERENCE if outcome == now else 0.0), Fit(theta, outcome)))
        start, steps = found[0][1].theta, NEXT_STEPS
    return min(found, key=lambda pair: pair[0])[1] if found else Fit(start, OutcomeTransform())


def _even_part(values: np.ndarray) -> np.ndarray:
    """Rows of at most PART samples, evenly from the best to the worst."""
    if len(values) <= PART:
        return np.arange(len(values))
    order = np.argsort(values, kind="stable")
    return np.sort(order[np.linspace(0, len(values) - 1, PART).round().astype(int)])


def _search(
    likelihood: Likelihood, prior: Prior, start: np.ndarray, z: np.ndarray, steps: int
) -> tuple[np.ndarray, float]:
    """Theta by L-BFGS, and its loss."""
    optimize = require("scipy.optimize", "search", purpose=PURPOSE)
    found = optimize.minimize(
        likelihood,
        np.clip(start, prior.low, prior.high),
        args=(z,),
        jac=True,
        method="L-BFGS-B",
        bounds=list(zip(prior.low, prior.high, strict=True)),
        options={"maxiter": steps},
    )
    return found.x, float(found.fun)


def informative(known: np.ndarray) -> np.ndarray:
    """Rows for the surrogate: all, or the best three quarters of ROWS and an even choice of the others."""
    if len(known) <= ROWS:
        return np.arange(len(known))
    # A Gaussian process takes time by the cube of its rows. Where the best are decides; others say where not to look.
    order = np.argsort(-known, kind="stable")
    best, others = order[: 3 * ROWS // 4], np.sort(order[3 * ROWS // 4 :])
    even = others[np.linspace(0, len(others) - 1, ROWS - len(best)).astype(int)]
    return np.sort(np.concatenate([best, even]))
