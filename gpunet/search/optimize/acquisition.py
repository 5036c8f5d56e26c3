"""How promising a point is to the surrogate: the logarithm of its expected improvement, or draws of what it may be.

    EI(x) = s h(t),  t = (mean - best) / s,  h(t) = phi(t) + t Phi(t)      s: standard deviation at x

Its logarithm keeps its slope where EI itself underflows (Ament et al., "Unexpected Improvements to Expected
Improvement for Bayesian Optimization", NeurIPS 2023).
"""

from __future__ import annotations

import math

import numpy as np
import torch

from gpunet.search.optimize.surrogate import Limit, Surrogate

_ASYMPTOTIC = -1e3  # below it, h(t) is phi(t) / t^2 to six digits


class LogImprovement:
    """ln EI over `best`, by a surrogate: BoTorch's LogExpectedImprovement written out, several times as fast.

    Where constraints are learned, plus ln of the probability that each is kept (Gardner et al., "Bayesian Optimization
    with Inequality Constraints", ICML 2014).

    Args:
        surrogate: of the values.
        best: the z to improve on; minus infinity while no point keeps the constraints, which alone count then.
    """

    def __init__(self, surrogate: Surrogate, best: float) -> None:
        self.surrogate, self.best = surrogate, best

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """M values for `m x columns` features."""
        mean, deviation = (torch.from_numpy(each) for each in self.surrogate.predict(features))
        found = log_improvement(mean, deviation, self.best) if self.best > -math.inf else torch.zeros_like(mean)
        for limit in self.surrogate.limits:
            mean, deviation = (torch.from_numpy(each) for each in limit.surrogate.predict(features))
            found = found + _log_kept(mean, deviation, limit)
        return found.numpy()

    def with_gradient(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """M values, and their `m x columns` slopes."""
        rows = torch.from_numpy(features).requires_grad_()
        found = 0 * rows.sum(dim=-1)
        if self.best > -math.inf:
            found = log_improvement(*self.surrogate.moments(rows), self.best)
        for limit in self.surrogate.limits:
            found = found + _log_kept(*limit.surrogate.moments(rows), limit)
        (slopes,) = torch.autograd.grad(found.sum(), rows)
        return found.detach().numpy(), slopes.numpy()


def log_improvement(mean: torch.Tensor, deviation: torch.Tensor, best: float) -> torch.Tensor:
    """Ln EI of m independent predictions."""
    t = (mean - best) / deviation
    # Above -1, h is computed as it stands. Below, phi is taken out, h = phi (1 + t Phi / phi), with Phi / phi by the
    # scaled complementary error function; far below, 1 + t Phi / phi is 1 / t^2. Each branch sees only its own t.
    near = torch.where(t > -1, t, 0.0)
    direct = (torch.exp(-0.5 * near.square()) / math.sqrt(2 * math.pi) + near * torch.special.ndtr(near)).log()
    middle = torch.where((t > -1) | (t < _ASYMPTOTIC), -1.0, t)
    ratio = torch.log1p(middle * math.sqrt(math.pi / 2) * torch.special.erfcx(-middle / math.sqrt(2)))
    far = torch.where(t < _ASYMPTOTIC, t, -1.0)
    ratio = torch.where(t < _ASYMPTOTIC, -2 * torch.log(-far), ratio)
    log_density = -0.5 * t.square() - 0.5 * math.log(2 * math.pi)
    return torch.where(t > -1, direct, log_density + ratio) + deviation.log()


def _log_kept(mean: torch.Tensor, deviation: torch.Tensor, limit: Limit) -> torch.Tensor:
    """Ln of the probability that what will be measured, noise included, keeps a limit."""
    if math.isinf(limit.most):  # kept everywhere, or, as far as is known, nowhere
        return torch.zeros_like(mean)
    return torch.special.log_ndtr((limit.most - mean) / (deviation.square() + limit.surrogate.noise).sqrt())


def promises(surrogate: Surrogate, features: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
    """`count x m` draws of how good the rows may be: z where every constraint is kept, below all z where one is not."""
    worth = draws(surrogate, features, count, generator)
    for limit in surrogate.limits:
        if math.isfinite(limit.most):
            excess = np.clip(draws(limit.surrogate, features, count, generator) - limit.most, 0, None)
            worth = np.where(excess > 0, -1e3 * (1 + excess), worth)
    return worth


def draws(surrogate: Surrogate, features: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
    """`count x m` draws of z at m rows from the posterior, jointly: BoTorch's covariance, noise from `generator`."""
    with torch.no_grad():
        posterior = surrogate.model.posterior(torch.from_numpy(features))
        mean = posterior.mean[:, 0]
        covariance = posterior.distribution.covariance_matrix
        covariance = covariance + 1e-6 * covariance.diagonal().mean() * torch.eye(len(mean), dtype=torch.float64)
        root, failed = torch.linalg.cholesky_ex(covariance)
        if failed:  # rows that are all but equal: their own variances, then, without what they share
            root = torch.diag(covariance.diagonal().clamp_min(0).sqrt())
        noise = torch.from_numpy(generator.standard_normal((len(mean), count)))
        return (mean[:, None] + root @ noise).T.numpy()
