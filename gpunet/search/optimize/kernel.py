"""The covariance of the surrogate, main effects plus interactions, and the likelihood of its hyperparameters.

    k(x, x') = s_main mean_g e_g  +  s_pair mean_{g<h} e_g e_h  +  s_all exp(-sum_g d_g^2 / (2 m_g^2))
    e_g      = exp(-d_g^2 / (2 l_g^2))

    g         a column of the features, G of them
    d_g       distance of x and x' in it; where choices have no order, 1 if they differ
    l, m      lengthscales of the effects of one and two columns, and of the product of all, G each
    s         output scales
    noise     variance of a standardised value
    theta     ln of (l, m, s_main, s_pair, s_all, noise), 2 G + 4 numbers

What one dimension contributes is learned from a few samples a dimension, and what two do together from not many more
(Duvenaud, Nickisch, Rasmussen, "Additive Gaussian Processes", NeurIPS 2011); a product kernel alone needs far more.
What is no such sum is left to the product, whose lengthscales have BoTorch's dimension-scaled prior (Hvarfner,
Hellsten, Nardi, "Vanilla Bayesian Optimization Performs Great in High Dimensions", ICML 2024). The likelihood decides
how much there is of each.
"""

from __future__ import annotations

import functools
import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from gpunet.core.files import require

PURPOSE = "to model what has been evaluated"
# Of a domain with derived features, a tier: many columns, and few samples of noisy trainings. By these two the model is
# less sure of what it has seen little of (benchmarks/optimizer_benchmark/paper_tiers.py).
DESCRIBED_DEVIATION = 0.7  # of ln m
DESCRIBED_NOISE = -3.0  # the expected ln noise
DERIVED_NEARER = 2.0  # by which ln m of a derived feature is expected below that of a digit
_AT_ONCE = 1 << 17  # distances worked on at a time: more leave a processor's cache, and take three times as long
_DIFFERENT = 1e-12  # a squared distance above it is that of two choices
_IMPOSSIBLE = 1e10  # the loss where the covariance is numerically singular


@dataclass(frozen=True)
class Prior:
    """Independent normal priors of theta's entries, and the bounds within which they are sought."""

    mean: np.ndarray
    deviation: np.ndarray
    low: np.ndarray
    high: np.ndarray
    derived: int = 0

    @classmethod
    def of(cls, dimensions: int, derived: int = 0) -> Prior:
        """The prior for G `dimensions`, of features in the unit cube and standardised values.

        Args:
            dimensions: G.
            derived: so many of them, the last, are derived features, which are likely to matter more than a digit.
        """
        parts = [  # count, mean, deviation, low, high
            (dimensions, 0.0, 1.0, math.log(0.02), math.log(20)),
            (dimensions, math.sqrt(2) + math.log(dimensions) / 2, math.sqrt(3), math.log(0.05), math.log(200)),
            (1, 0.0, 2.0, -9.0, 4.0),
            (1, 0.0, 2.0, -9.0, 4.0),
            (1, 0.0, 2.0, -9.0, 4.0),
            (1, -4.0, 1.0, math.log(1e-6), 0.0),
        ]
        mean, deviation, low, high = (
            np.concatenate([np.full(part[0], part[k]) for part in parts]) for k in range(1, 5)
        )
        if derived:
            mean[2 * dimensions - derived : 2 * dimensions] -= DERIVED_NEARER
            deviation[dimensions : 2 * dimensions] = DESCRIBED_DEVIATION
            mean[-1] = DESCRIBED_NOISE
        return cls(mean, deviation, low, high, derived)

    def start(self) -> np.ndarray:
        """A theta to begin a search from."""
        dimensions = (len(self.mean) - 4) // 2
        lengthscales = np.repeat(np.log([0.5, 0.5 * math.sqrt(dimensions)]), dimensions)
        lengthscales[2 * dimensions - self.derived :] -= DERIVED_NEARER
        return np.concatenate([lengthscales, np.log([0.5, 0.25, 0.25, 0.01])])


class Likelihood:
    """The negative log posterior of theta, up to a constant, with its gradient.

    Written out, because a search takes hundreds of steps: three milliseconds each at 150 samples in 20 dimensions,
    where automatic differentiation of the same takes 15.

    Args:
        features: `n x G`.
        unordered: the columns in which only the same or not the same counts, G bools.
        prior: of theta.
    """

    def __init__(self, features: np.ndarray, unordered: np.ndarray, prior: Prior) -> None:
        self._count = len(features)
        self._upper = torch.triu_indices(self._count, self._count, 1)
        first, second = self._upper.numpy()
        squared = np.square(features[first] - features[second]).T
        squared[unordered] = squared[unordered] > _DIFFERENT
        self._dimensions = features.shape[1]
        self._squared = torch.from_numpy(np.ascontiguousarray(squared))  # G x pairs
        self._prior = prior

    def __call__(self, theta: np.ndarray, values: np.ndarray) -> tuple[float, np.ndarray]:
        """Loss and gradient at theta for n `values`."""
        size, count = self._dimensions, self._count
        main_scale, pair_scale, all_scale, noise = np.exp(theta[2 * size :])
        pairs_of_columns = max(size * (size - 1) / 2, 1)
        main_weight = torch.from_numpy(np.exp(-2 * theta[:size]))
        all_weight = torch.from_numpy(np.exp(-2 * theta[size : 2 * size]))
        each = torch.exp(self._squared * (-0.5 * main_weight)[:, None])
        total, squares = each.sum(dim=0), torch.einsum("gp,gp->p", each, each)
        main, two = total / size, (total.square() - squares) / (2 * pairs_of_columns)
        product = torch.exp(-0.5 * (all_weight @ self._squared))

        covariance = torch.zeros((count, count), dtype=torch.float64)
        covariance[self._upper[0], self._upper[1]] = main_scale * main + pair_scale * two + all_scale * product
        covariance += covariance.T.clone()
        covariance.diagonal().fill_(main_scale + (size > 1) * pair_scale + all_scale + noise)
        root, failed = torch.linalg.cholesky_ex(covariance)
        if failed:
            return _IMPOSSIBLE, np.zeros_like(theta)
        inverse = torch.cholesky_inverse(root)
        y = torch.from_numpy(values)
        weights = inverse @ y
        loss = 0.5 * float(y @ weights) + float(root.diagonal().log().sum())

        slope = 0.5 * (inverse - torch.outer(weights, weights))  # of the loss, by entries of the covariance
        pairs = 2 * slope[self._upper[0], self._upper[1]]
        trace = float(slope.trace())
        gradient = np.empty_like(theta)
        # d k / d e_g = s_main / G + s_pair (total - e_g) / (G (G - 1) / 2)
        alone = pairs * (main_scale / size + (pair_scale / pairs_of_columns) * total)
        sloped = self._squared * each
        by_each = sloped @ alone - (pair_scale / pairs_of_columns) * torch.einsum("gp,gp,p->g", sloped, each, pairs)
        gradient[:size] = (by_each * main_weight).numpy()
        gradient[size : 2 * size] = all_scale * ((self._squared @ (pairs * product)) * all_weight).numpy()
        gradient[2 * size] = main_scale * (float(pairs @ main) + trace)
        gradient[2 * size + 1] = pair_scale * (float(pairs @ two) + (size > 1) * trace)
        gradient[2 * size + 2] = all_scale * (float(pairs @ product) + trace)
        gradient[2 * size + 3] = noise * trace

        away = (theta - self._prior.mean) / self._prior.deviation
        return loss + 0.5 * float(away @ away), gradient + away / self._prior.deviation


class Covariance:
    """k at a fixed theta, differentiable in the rows by torch.

    Args:
        theta: see the module.
        unordered: the columns in which only the same or not the same counts, G bools.
    """

    def __init__(self, theta: np.ndarray, unordered: np.ndarray) -> None:
        size = (len(theta) - 4) // 2
        self._pairs = max(size * (size - 1) / 2, 1)
        self._unordered = torch.from_numpy(unordered) if unordered.any() else None
        self._main_weight = torch.from_numpy(np.exp(-2 * theta[:size]))
        self._all_weight = torch.from_numpy(np.exp(-2 * theta[size : 2 * size]))
        self._main_scale, self._pair_scale, self._all_scale, self.noise = np.exp(theta[2 * size :]).tolist()
        self.variance = self._main_scale + (size > 1) * self._pair_scale + self._all_scale

    def __call__(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        """`... x m x n` covariances of `... x m x G` and `... x n x G` rows."""
        if first.ndim == 2 and first.shape[0] * second.numel() > _AT_ONCE:
            parts = first.split(max(1, _AT_ONCE // second.numel()))
            return torch.cat([self.of_differences(part.unsqueeze(-2) - second) for part in parts])
        return self.of_differences(first.unsqueeze(-2) - second.unsqueeze(-3))

    def of_differences(self, differences: torch.Tensor) -> torch.Tensor:
        """Covariances of pairs of rows that differ by `... x G`."""
        squared = differences.square()
        if self._unordered is not None:
            squared = torch.where(self._unordered, (squared > _DIFFERENT).to(torch.float64), squared)
        each = torch.exp(squared * (-0.5 * self._main_weight))
        total = each.sum(dim=-1)
        two = (total.square() - each.square().sum(dim=-1)) / (2 * self._pairs)
        effects = (self._main_scale / each.shape[-1]) * total + self._pair_scale * two
        return effects + self._all_scale * torch.exp(-0.5 * (squared @ self._all_weight))


def load(module: str) -> Any:
    """A module of BoTorch's or GPyTorch's.

    Raises:
        MissingDependencyError: BoTorch is not installed.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of torch, about what they do as they are imported
        return require(module, "search", purpose=PURPOSE)


@functools.cache
def _kernel_class() -> Any:
    """A GPyTorch kernel's class: it derives from one of an optional package, so it is made on first use."""
    kernels: Any = load("gpytorch.kernels")

    class MainAndAll(kernels.Kernel):  # type: ignore[misc]
        def __init__(self, covariance: Covariance) -> None:
            super().__init__()
            self.covariance = covariance

        def forward(self, x1: torch.Tensor, x2: torch.Tensor, diag: bool = False, **_: Any) -> torch.Tensor:
            return self.covariance.of_differences(x1 - x2) if diag else self.covariance(x1, x2)

    return MainAndAll


def gpytorch_kernel(covariance: Covariance) -> Any:
    """The covariance as a GPyTorch kernel.

    Raises:
        MissingDependencyError: BoTorch is not installed.
    """
    return _kernel_class()(covariance)
