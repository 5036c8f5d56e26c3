"""The optimisers that are compared, each asked and told: ours, Optuna's samplers, BoTorch's loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gpunet.search import (
    Box,
    Domain,
    GaussianProcessBo,
    LaMcts,
    RandomSearch,
    RegularizedEvolution,
    SobolSearch,
)
from gpunet.search.optimize.domain import every_point
from gpunet.search.optimize.mixed import Mixed
from optimizer_benchmark.problems import MIXED

OURS = "lamcts"
_LISTED = 20_000  # points that are all scored
_NEVER_CUT = 10**9  # samples of a leaf: trust regions without a partition, in the manner of CASMOPOLITAN


class OptunaStudy:
    """A sampler of Optuna's, asked and told."""

    def __init__(self, sampler: str, domain: Domain, seed: int) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        made: Any
        if sampler == "tpe":
            made = optuna.samplers.TPESampler(seed=seed, multivariate=True)
        elif sampler == "optuna_gp":
            made = optuna.samplers.GPSampler(seed=seed)
        else:
            made = optuna.samplers.CmaEsSampler(seed=seed)
        self._study = optuna.create_study(sampler=made)
        self._scale: Any = 1
        of = optuna.distributions
        if isinstance(domain, Box):
            ranges = zip(domain.low, domain.high, strict=True)
            self._space: Any = {f"x{k}": of.FloatDistribution(low, high) for k, (low, high) in enumerate(ranges)}
        elif isinstance(domain, Mixed):
            self._space = {}
            for k, (count, unordered) in enumerate(zip(domain.counts.tolist(), domain.unordered, strict=True)):
                steps = range(count)
                ordered = of.IntDistribution(0, count - 1) if count else of.FloatDistribution(0, 1)
                self._space[f"x{k}"] = of.CategoricalDistribution(steps) if unordered else ordered
            self._scale = np.maximum(domain.counts - 1, 1)
        else:
            self._space = {f"x{k}": of.IntDistribution(0, count - 1) for k, count in enumerate(domain.choices or ())}

    def ask(self) -> np.ndarray:
        """One point, `1 x dimensions`."""
        self._trial = self._study.ask(self._space)
        return np.array([[self._trial.params[name] for name in self._space]]) / self._scale

    def tell(self, point: np.ndarray, value: float) -> None:
        """The value of the point last asked for."""
        self._study.tell(self._trial, value)


class BoTorchLoop:
    """BoTorch as its documentation has it: SingleTaskGP, LogEI, optimize_acqf; 20 Sobol points first."""

    def __init__(self, domain: Box, seed: int, initial: int = 20) -> None:
        import torch

        torch.manual_seed(seed)
        self._domain, self._initial = domain, initial
        self._sobol = SobolSearch(domain, seed=seed)
        self._unit: list[np.ndarray] = []
        self._values: list[float] = []

    def ask(self) -> np.ndarray:
        """One point, `1 x dimensions`."""
        if len(self._values) < self._initial:
            return self._sobol.ask()
        import torch
        from botorch.acquisition import LogExpectedImprovement
        from botorch.fit import fit_gpytorch_mll
        from botorch.models import SingleTaskGP
        from botorch.optim import optimize_acqf
        from gpytorch.mlls import ExactMarginalLogLikelihood

        unit, values = torch.from_numpy(np.array(self._unit)), -torch.tensor(self._values, dtype=torch.float64)[:, None]
        model = SingleTaskGP(unit, values)
        fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
        bounds = torch.stack([torch.zeros(unit.shape[1]), torch.ones(unit.shape[1])]).double()
        improvement = LogExpectedImprovement(model, best_f=values.max())
        found, _ = optimize_acqf(improvement, bounds, q=1, num_restarts=10, raw_samples=512)
        return self._domain.decode(found.numpy())

    def tell(self, point: np.ndarray, value: float) -> None:
        """The value of a point."""
        self._unit.append(self._domain.encode(point[None])[0])
        self._values.append(value)


class BoTorchFinite:
    """BoTorch's SingleTaskGP and LogEI on a finite domain, 10 random points first.

    All points are scored where they can be listed; else random ones, and from the best of them and of the samples'
    neighbours the search goes on from neighbour to neighbour.
    """

    def __init__(self, domain: Domain, seed: int, initial: int = 10) -> None:
        import torch

        torch.manual_seed(seed)
        self._domain, self._initial = domain, initial
        self._generator = np.random.default_rng(seed)
        self._listed = every_point(domain, _LISTED)
        self._points: list[np.ndarray] = []
        self._values: list[float] = []

    def ask(self) -> np.ndarray:
        """One point, `1 x dimensions`."""
        if len(self._values) < self._initial:
            return self._new(self._domain.draw(64, self._generator))[:1]
        import torch
        from botorch.acquisition import LogExpectedImprovement
        from botorch.fit import fit_gpytorch_mll
        from botorch.models import SingleTaskGP
        from gpytorch.mlls import ExactMarginalLogLikelihood

        unit = torch.from_numpy(np.asarray(self._domain.encode(np.array(self._points)), dtype=np.float64))
        values = -torch.tensor(self._values, dtype=torch.float64)[:, None]
        model = SingleTaskGP(unit, values)
        fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
        improvement = LogExpectedImprovement(model, best_f=values.max())

        def scores(points: np.ndarray) -> np.ndarray:
            rows = torch.from_numpy(np.asarray(self._domain.encode(points), dtype=np.float64))
            with torch.no_grad():
                return torch.cat([improvement(part[:, None]) for part in rows.split(2048)]).numpy()

        if self._listed is not None:
            left = self._new(self._listed)
            return left[[int(scores(left).argmax())]]
        best = np.argsort(self._values)[:5]
        near = [self._domain.neighbours(self._points[row], self._generator) for row in best]
        rows = self._new(np.concatenate([self._domain.draw(1000, self._generator), *near]))
        values_of = scores(rows)
        found, worth = rows[int(values_of.argmax())], float(values_of.max())
        for _ in range(20):
            around = self._new(self._domain.neighbours(found, self._generator))
            values_of = scores(around) if len(around) else np.array([-np.inf])
            if values_of.max() <= worth:
                break
            found, worth = around[int(values_of.argmax())], float(values_of.max())
        return found[None]

    def tell(self, point: np.ndarray, value: float) -> None:
        """The value of a point."""
        self._points.append(np.asarray(point))
        self._values.append(value)

    def _new(self, points: np.ndarray) -> np.ndarray:
        """Those that were not told."""
        told = {each.tobytes() for each in self._points}
        return points[[point.tobytes() not in told for point in points]]


def _botorch(domain: Domain, seed: int) -> Any:
    return BoTorchFinite(domain, seed) if domain.finite else BoTorchLoop(domain, seed)


OPTIMIZERS: dict[str, Callable[[Any, int], Any]] = {
    OURS: lambda domain, seed: LaMcts(domain, seed=seed, maximize=False),
    "no_partition": lambda domain, seed: LaMcts(domain, seed=seed, maximize=False, leaf_size=_NEVER_CUT),
    "gp_bo": lambda domain, seed: GaussianProcessBo(domain, seed=seed, maximize=False),
    "evolution": lambda domain, seed: RegularizedEvolution(domain, seed=seed, maximize=False, population=20, sample=5),
    "sobol": lambda domain, seed: SobolSearch(domain, seed=seed, maximize=False),
    "random": lambda domain, seed: RandomSearch(domain, seed=seed, maximize=False),
    "tpe": lambda domain, seed: OptunaStudy("tpe", domain, seed),
    "optuna_gp": lambda domain, seed: OptunaStudy("optuna_gp", domain, seed),
    "cma_es": lambda domain, seed: OptunaStudy("cma_es", domain, seed),
    "botorch": _botorch,
}
_WHOLE_ONLY = ("tpe", "optuna_gp", "cma_es")  # they know no set of allowed points


def serves(optimizer: str, problem: str) -> bool:
    """Whether an optimiser can be asked for points of this problem."""
    if problem == MIXED and optimizer in ("botorch", "cma_es"):
        return False  # for numbers alone
    part_of_a_lattice = "tier" in problem or problem.startswith("paper")
    return not (part_of_a_lattice and optimizer in _WHOLE_ONLY)
