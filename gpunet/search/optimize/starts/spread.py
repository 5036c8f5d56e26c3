"""The start on a finite domain: few points, each standing for many, spread by all that is known of them.

An evaluation is a training of days, and a tier's best networks lie within a few evaluations of a start that covers what
decides: multiply-adds, parameters, depth. So the points are chosen one by one, each such that the candidates are on
average nearest to a chosen one (the greedy facility location; Nemhauser, Wolsey, Fisher, Math. Programming 1978): the
middle first, then what that does not stand for. A feature counts by its rank, so that no scale of it matters.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from gpunet.search.optimize.domain import Domain
from gpunet.search.optimize.features import Features
from gpunet.search.optimize.starts.warm import Source, expected_by

CANDIDATES = 400
CHOSEN = 64  # by how they are spread; those after them are in the order in which they were drawn


class SpreadPoints:
    """A sequence of points of a finite domain, each new one where the others are not.

    Args:
        domain: where the points are wanted.
        seed: of the candidates.
        features: of the domain.
        drawn: how many points have been taken already.
        sources: what was known before; every other point is then the one that they expect most of.
    """

    def __init__(
        self, domain: Domain, seed: int, features: Features, drawn: int = 0, sources: Sequence[Source] = ()
    ) -> None:
        self._domain, self._seed, self._features, self.drawn = domain, seed, features, drawn
        self._sources = sources

    def take(self, count: int) -> np.ndarray:
        """The next points, fewer where there are no more."""
        self.drawn += count
        return self._points[self.drawn - count : self.drawn]

    @cached_property
    def _points(self) -> np.ndarray:
        points = np.unique(self._domain.draw(CANDIDATES, np.random.default_rng(self._seed)), axis=0)
        points = np.random.default_rng(self._seed).permutation(points)
        away = _distances(self._features, points)
        nearest = np.full(len(points), np.inf)
        chosen: list[int] = []
        expected = expected_by(self._sources, self._features(points)) if self._sources else None
        for number in range(min(CHOSEN, len(points))):
            by_sources = expected is not None and number % 2 == 0
            cost = -expected if by_sources and expected is not None else np.minimum(nearest, away).sum(axis=1)
            cost[chosen] = np.inf
            chosen.append(int(cost.argmin()))
            nearest = np.minimum(nearest, away[chosen[-1]])
        return points[[*chosen, *np.setdiff1d(np.arange(len(points)), chosen)]]


def _distances(features: Features, points: np.ndarray) -> np.ndarray:
    """`n x n`: what derived features say counts as much as what digits or columns say."""
    at = features(points)
    derived = features.derived
    found = _of_columns(at[:, ~derived], features.unordered[~derived])
    return found + _of_columns(at[:, derived], features.unordered[derived])


def _of_columns(at: np.ndarray, unordered: np.ndarray) -> np.ndarray:
    found = np.zeros((len(at), len(at)))
    for column, categories in zip(at.T, unordered, strict=True):
        if categories:
            found += column[:, None] != column
        else:
            _, ranks, counts = np.unique(column, return_inverse=True, return_counts=True)
            middles = (np.cumsum(counts) - counts / 2) / len(column)
            found += np.abs(middles[ranks][:, None] - middles[ranks])
    return found / max(at.shape[1], 1)
