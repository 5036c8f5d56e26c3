"""What LA-MCTS has to beat: random points, Sobol points, evolution, and a Gaussian process without a partition."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gpunet.core.arguments import checked_integer
from gpunet.search.optimize.base import Optimizer
from gpunet.search.optimize.domain import Domain
from gpunet.search.optimize.lamcts import LaMcts
from gpunet.search.optimize.starts.sobol import SobolPoints


class RandomSearch(Optimizer):
    """Uniform points of the domain."""

    title = "random search"

    def _propose(self, n: int) -> np.ndarray:
        return self._draw_new(n)


class SobolSearch(Optimizer):
    """Points of a scrambled Sobol sequence; on a finite domain the nearest, and random ones for those that repeat."""

    title = "Sobol points"

    def __init__(self, domain: Domain, *, seed: int = 0, maximize: bool = True) -> None:
        super().__init__(domain, seed=seed, maximize=maximize)
        self._sequence = SobolPoints(domain, self.seed)

    def _propose(self, n: int) -> np.ndarray:
        return self._sequence_new(self._sequence, n)

    def _extra_state(self) -> dict[str, Any]:
        return {"sobol_drawn": self._sequence.drawn}

    def _load_extra_state(self, state: Mapping[str, Any]) -> None:
        self._sequence = SobolPoints(self.domain, self.seed, drawn=state["sobol_drawn"])


class RegularizedEvolution(Optimizer):
    """Tournaments in a population that ages (Real, Aggarwal, Huang, Le, AAAI 2019): the best of a sample, mutated.

    Args:
        domain: where to look.
        seed: of everything random.
        maximize: whether higher values are better.
        population: so many of the latest points are alive.
        sample: so many of them meet in a tournament.

    Raises:
        InvalidArgumentError: `population` or `sample` is no integer of 1 or more.
    """

    title = "regularized evolution"

    def __init__(
        self, domain: Domain, *, seed: int = 0, maximize: bool = True, population: int = 50, sample: int = 10
    ) -> None:
        super().__init__(domain, seed=seed, maximize=maximize)
        self.population = checked_integer("population", population, 1)
        self.sample = checked_integer("sample", sample, 1)

    def _propose(self, n: int) -> np.ndarray:
        chosen = self._rows([])
        for _ in range(n):
            child = self._child(chosen)
            chosen = np.concatenate([chosen, self._draw_new(1, besides=chosen) if child is None else child])
        return chosen

    def _child(self, besides: np.ndarray) -> np.ndarray | None:
        """A new neighbour of a tournament's winner; None while the population is young, or if none is new."""
        alive = np.flatnonzero(np.isfinite(self._values))[-self.population :]
        if len(self._points) + len(self._pending) + len(besides) < self.population or not len(alive):
            return None
        entrants = self._generator.choice(alive, size=min(self.sample, len(alive)), replace=False)
        winner = max(entrants.tolist(), key=lambda row: self._values[row])
        children = self.domain.neighbours(self._points[winner], self._generator, 32)
        new = self._is_new(np.concatenate([besides, children]))[len(besides) :]
        return children[new][:1] if new.any() else None


class GaussianProcessBo(LaMcts):
    """The same surrogate and acquisition over the whole domain: no partition, no trust region.

    Args:
        domain: where to look.
        seed: of everything random.
        maximize: whether higher values are better.
        initial, budget: of the points before the first model, as of `LaMcts`.
        constraints: how many are learned, as of `LaMcts`.
    """

    title = "Bayesian optimisation"

    def __init__(
        self,
        domain: Domain,
        *,
        seed: int = 0,
        maximize: bool = True,
        initial: int | None = None,
        budget: int | None = None,
        constraints: int = 0,
    ) -> None:
        super().__init__(
            domain,
            seed=seed,
            maximize=maximize,
            initial=initial,
            budget=budget,
            partition=False,
            constraints=constraints,
        )
