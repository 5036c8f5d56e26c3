"""The covariance of the surrogate, main effects plus interactions, and the likelihood of its hyperparameters.

    k(x, x') = s_main mean_g exp(-d_g^2 / (2 l_g^2))  +  s_all exp(-sum_g d_g^2 / (2 m_g^2))

    g         a dimension: one column of the features or, for categories, several; G of them
    d_g^2     squared distance of x and x' in the columns of g
    l, m      lengthscales of the main effects and of the product, G each
    s         output scales
    noise     variance of a standardised value
    theta     ln of (l, m, s_main, s_all, noise), 2 G + 3 numbers

What one dimension contributes is learned from a few samples a dimension (Duvenaud, Nickisch, Rasmussen, "Additive
Gaussian Processes", NeurIPS 2011); a product kernel alone needs many more. What is not such a sum is left to the
product, whose lengthscales have BoTorch's dimension-scaled prior (Hvarfner, Hellsten, Nardi, "Vanilla Bayesian
Optimization Performs Great in High Dimensions", ICML 2024). The likelihood decides how much there is of each.
"""

from __future__ import annotations

import functools
import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from gpunet.files import require

PURPOSE = "to model what has been evaluated"
_IMPOSSIBLE = 1e10  # the loss where the covariance is numerically singular


@dataclass(frozen=True)
class Prior:
    """Independent normal priors of theta's entries, and the bounds within which they are sought."""

    mean: np.ndarray
    deviation: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @classmethod
    def of(cls, dimensions: int) -> Prior:
        """The prior for G `dimensions`, of features in the unit cube and standardised values."""
        parts = [  # count, mean, deviation, low, high
            (dimensions, 0.0, 1.0, math.log(0.02), math.log(20)),
            (dimensions, math.sqrt(2) + math.log(dimensions) / 2, math.sqrt(3), math.log(0.05), math.log(200)),
            (1, 0.0, 2.0, -9.0, 4.0),
            (1, 0.0, 2.0, -9.0, 4.0),
            (1, -4.0, 1.0, math.log(1e-6), 0.0),
        ]
        columns = [np.concatenate([np.full(part[0], part[k]) for part in parts]) for k in range(1, 5)]
        return cls(*columns)

    def start(self) -> np.ndarray:
        """A theta to begin a search from."""
        dimensions = (len(self.mean) - 3) // 2
        lengthscales = np.repeat(np.log([0.5, 0.5 * math.sqrt(dimensions)]), dimensions)
        return np.concatenate([lengthscales, np.log([0.5, 0.5, 0.01])])


class Likelihood:
    """The negative log posterior of theta, up to a constant, with its gradient.

    Written out, because a search takes hundreds of steps: three milliseconds each at 150 samples in 20 dimensions,
    where automatic differentiation of the same takes 15.

    Args:
        features: `n x columns`.
        groups: the dimension of each column.
        prior: of theta.
    """

    def __init__(self, features: np.ndarray, groups: np.ndarray, prior: Prior) -> None:
        self._count = len(features)
        self._upper = torch.triu_indices(self._count, self._count, 1)
        first, second = self._upper.numpy()
        squared = np.square(features[first] - features[second]).T
        self._dimensions = int(groups.max()) + 1
        if len(groups) != self._dimensions:
            squared = np.add.reduceat(squared, np.flatnonzero(np.diff(groups, prepend=-1)), axis=0)
        self._squared = torch.from_numpy(np.ascontiguousarray(squared))  # G x pairs
        self._prior = prior

    def __call__(self, theta: np.ndarray, values: np.ndarray) -> tuple[float, np.ndarray]:
        """Loss and gradient at theta for n `values`."""
        size, count = self._dimensions, self._count
        main_scale, all_scale, noise = np.exp(theta[2 * size :])
        main_weight = torch.from_numpy(np.exp(-2 * theta[:size]))
        all_weight = torch.from_numpy(np.exp(-2 * theta[size : 2 * size]))
        each = torch.exp(self._squared * (-0.5 * main_weight)[:, None])
        main = each.mean(dim=0)
        product = torch.exp(-0.5 * (all_weight @ self._squared))

        covariance = torch.zeros((count, count), dtype=torch.float64)
        covariance[self._upper[0], self._upper[1]] = main_scale * main + all_scale * product
        covariance += covariance.T.clone()
        covariance.diagonal().fill_(main_scale + all_scale + noise)
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
        by_main = (each.mul_(self._squared) @ pairs) * main_weight
        gradient[:size] = (main_scale / size) * by_main.numpy()
        gradient[size : 2 * size] = all_scale * ((self._squared @ (pairs * product)) * all_weight).numpy()
        gradient[2 * size] = main_scale * (float(pairs @ main) + trace)
        gradient[2 * size + 1] = all_scale * (float(pairs @ product) + trace)
        gradient[2 * size + 2] = noise * trace

        away = (theta - self._prior.mean) / self._prior.deviation
        return loss + 0.5 * float(away @ away), gradient + away / self._prior.deviation


class Covariance:
    """k at a fixed theta, differentiable in the rows by torch.

    Args:
        theta: see the module.
        groups: the dimension of each column of the features.
    """

    def __init__(self, theta: np.ndarray, groups: np.ndarray) -> None:
        size = (len(theta) - 3) // 2
        one_each = len(groups) == size
        self._members = (
            None if one_each else torch.nn.functional.one_hot(torch.from_numpy(groups), size).to(torch.float64)
        )
        self._main_weight = torch.from_numpy(np.exp(-2 * theta[:size]))
        self._all_weight = torch.from_numpy(np.exp(-2 * theta[size : 2 * size]))
        self._main_scale, self._all_scale, self.noise = np.exp(theta[2 * size :]).tolist()
        self.variance = self._main_scale + self._all_scale

    def __call__(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        """`... x m x n` covariances of `... x m x columns` and `... x n x columns` rows."""
        return self.of_differences(first.unsqueeze(-2) - second.unsqueeze(-3))

    def of_differences(self, differences: torch.Tensor) -> torch.Tensor:
        """Covariances of pairs of rows that differ by `... x columns`."""
        squared = differences.square()
        if self._members is not None:
            squared = squared @ self._members
        main = torch.exp(squared * (-0.5 * self._main_weight)).mean(dim=-1)
        return self._main_scale * main + self._all_scale * torch.exp(-0.5 * (squared @ self._all_weight))


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
