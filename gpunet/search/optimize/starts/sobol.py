"""Sobol points of a domain, its middle before them: the start of every model-based search.

In many dimensions nearly all of a box lies near its faces; the middle is nearer to wherever the best may be than most
random points are, and no sequence has it.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch

from gpunet.search.optimize.domain import Domain, canonical
from gpunet.search.optimize.mixed import Mixed


class Sequence(Protocol):
    """Points of a domain in a fixed order, taken in parts."""

    drawn: int

    def take(self, count: int) -> np.ndarray:
        """The next `count x dimensions` points, fewer where the domain lacks some or there are no more."""


class SobolPoints:
    """A scrambled Sobol sequence, the middle in place of its first point, carried to points of a domain.

    Args:
        domain: where the points are wanted.
        seed: of the scrambling.
        drawn: how many points have been taken already.
    """

    def __init__(self, domain: Domain, seed: int, drawn: int = 0) -> None:
        self._domain = domain
        self._columns = domain.dimensions
        if domain.choices is None:
            self._columns = domain.encode(domain.draw(1, np.random.default_rng(0))).shape[1]
        self._engine = torch.quasirandom.SobolEngine(self._columns, scramble=True, seed=seed)
        self.drawn = drawn
        if drawn:
            self._engine.fast_forward(drawn)

    def take(self, count: int) -> np.ndarray:
        """The next points, less those that the domain does not contain."""
        unit = self._engine.draw(count, dtype=torch.float64).numpy()
        if self.drawn == 0 and count:
            unit[0] = 0.5
        self.drawn += count
        if isinstance(self._domain, Mixed):
            points = self._domain.evenly(unit)
        elif self._domain.choices is None:
            points = self._domain.decode(unit)
        else:
            # Each choice has an equal part of the cube; the nearest would give the outer ones half as much.
            counts = np.array(self._domain.choices)
            points = np.minimum((unit * counts).astype(np.int64), counts - 1)
        return canonical(self._domain, points[self._domain.contains(points)])
