"""An Optuna search space as a domain: a lattice if every parameter is a choice among few, a box if none is.

internal    Optuna's own numbers of a parameter: a category's index, else the value itself
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpunet.search.optimize.domain import Box, Domain, Lattice
from gpunet.search.optimize.mixed import Mixed

FEW = 64  # choices of a number that are kept apart; more are rounded from a continuous one


@dataclass(frozen=True)
class Parameter:
    """One parameter: its distribution, and how it is scaled.

    Attributes:
        choices: how many values it has; 0 for a continuous one.
        categorical: whether they have no order.
        low, high: bounds of a number, in logarithms where `log`; half a step wider where it has steps.
        step: between its values; 0 for a continuous one, and for logarithms.
    """

    distribution: Any
    choices: int
    categorical: bool
    low: float
    high: float
    step: float
    log: bool

    @classmethod
    def of(cls, distribution: Any) -> Parameter:
        """Of an Optuna distribution."""
        if hasattr(distribution, "choices"):
            return cls(distribution, len(distribution.choices), True, 0, len(distribution.choices) - 1, 1, False)
        low, high, log = distribution.low, distribution.high, distribution.log
        whole = isinstance(low, int)
        if log:
            half = 0.5 if whole else 0.0
            return cls(distribution, 0, False, math.log(low - half), math.log(high + half), 0.0, True)
        step = distribution.step
        if step is None:
            return cls(distribution, 0, False, low, high, 0.0, False)
        return cls(distribution, round((high - low) / step) + 1, False, low - step / 2, high + step / 2, step, False)

    @property
    def steps(self) -> int:
        """Values that are kept apart; 0 where they are continuous, or so many that they are rounded from there."""
        return self.choices if self.categorical or 1 < self.choices <= FEW else 0

    def unit(self, internal: float) -> float:
        """Its place from 0 to 1."""
        if self.steps:
            return self.index(internal) / (self.choices - 1)
        value = math.log(internal) if self.log else internal
        return min(max((value - self.low) / (self.high - self.low), 0.0), 1.0)

    def index(self, internal: float) -> int:
        """The number of a value that is kept apart."""
        return int(internal) if self.categorical else round((internal - self.distribution.low) / self.step)

    def internal(self, unit: float) -> float:
        """Back, rounded to one of its values."""
        if self.steps:
            return self.of_index(round(unit * (self.choices - 1)))
        value = self.low + unit * (self.high - self.low)
        value = math.exp(value) if self.log else value
        least, greatest = self.distribution.low, self.distribution.high
        if isinstance(least, int) and self.log:
            value = round(value)
        elif self.step:
            value = least + round((value - least) / self.step) * self.step
        return min(max(value, least), greatest)

    def of_index(self, index: int) -> float:
        """The value of a number."""
        return float(index) if self.categorical else self.distribution.low + index * self.step


class OptunaSpace:
    """The domain of a search space, and the way there and back.

    Args:
        space: distributions by parameter name, each of more than one value.
        repeats: whether the same values may be wanted twice; a lattice proposes none twice.
    """

    def __init__(self, space: Mapping[str, Any], *, repeats: bool = False) -> None:
        self.names = sorted(space)
        self.parameters = [Parameter.of(space[name]) for name in self.names]
        steps = [each.steps for each in self.parameters]
        unordered = [each.categorical for each in self.parameters]
        self.is_lattice = not repeats and all(steps)
        self.domain: Domain
        if self.is_lattice:
            self.domain = Lattice(steps, unordered)
        elif any(steps) or repeats:
            self.domain = Mixed(steps, unordered, repeats=repeats)
        else:
            self.domain = Box(np.zeros(len(steps)), np.ones(len(steps)))

    def point(self, values: Mapping[str, Any]) -> np.ndarray:
        """The point of a trial's parameters."""
        named = [
            (each, each.distribution.to_internal_repr(values[name]))
            for name, each in zip(self.names, self.parameters, strict=True)
        ]
        if self.is_lattice:
            return np.array([each.index(value) for each, value in named], dtype=np.int64)
        return np.array([each.unit(value) for each, value in named])

    def values(self, point: np.ndarray) -> dict[str, Any]:
        """The parameters of a point."""
        found = {}
        for name, each, at in zip(self.names, self.parameters, point.tolist(), strict=True):
            internal = each.of_index(at) if self.is_lattice else each.internal(at)
            found[name] = each.distribution.to_external_repr(internal)
        return found
