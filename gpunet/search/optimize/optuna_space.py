"""An Optuna search space as a domain: a lattice if every parameter is a choice among few, else a box.

internal    Optuna's own numbers of a parameter: a category's index, else the value itself
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpunet.search.optimize.domain import Box, Domain, Lattice

FEW = 64  # choices of a number that are kept apart; more are rounded from a continuous one


@dataclass(frozen=True)
class Parameter:
    """One parameter: its distribution, and the columns of a point that hold it.

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
    def columns(self) -> int:
        """Columns in a box: one, or one a category where there are more than two."""
        return self.choices if self.categorical and self.choices > 2 else 1

    def unit(self, internal: float) -> list[float]:
        """Its columns in a box, each 0 to 1."""
        if self.categorical:
            return [float(internal == choice) for choice in range(self.choices)] if self.columns > 1 else [internal]
        value = math.log(internal) if self.log else internal
        return [min(max((value - self.low) / (self.high - self.low), 0.0), 1.0)]

    def internal(self, unit: np.ndarray) -> float:
        """Back, rounded to one of its values."""
        if self.categorical:
            return float(unit.argmax()) if self.columns > 1 else float(round(unit[0]))
        value = self.low + float(unit[0]) * (self.high - self.low)
        value = math.exp(value) if self.log else value
        least, greatest = self.distribution.low, self.distribution.high
        if isinstance(least, int) and self.log:
            value = round(value)
        elif self.step:
            value = least + round((value - least) / self.step) * self.step
        return min(max(value, least), greatest)


class OptunaSpace:
    """The domain of a search space, and the way there and back.

    Args:
        space: distributions by parameter name, each of more than one value.
        repeats: whether the same values may be wanted twice; a lattice proposes none twice.
    """

    def __init__(self, space: Mapping[str, Any], *, repeats: bool = False) -> None:
        self.names = sorted(space)
        self.parameters = [Parameter.of(space[name]) for name in self.names]
        self.is_lattice = not repeats and all(each.categorical or 1 < each.choices <= FEW for each in self.parameters)
        self.domain: Domain
        if self.is_lattice:
            self.domain = Lattice(
                [each.choices for each in self.parameters], [each.categorical for each in self.parameters]
            )
        else:
            columns = sum(each.columns for each in self.parameters)
            self.domain = Box(np.zeros(columns), np.ones(columns))

    def point(self, values: Mapping[str, Any]) -> np.ndarray:
        """The point of a trial's parameters."""
        internal = [
            each.distribution.to_internal_repr(values[name])
            for name, each in zip(self.names, self.parameters, strict=True)
        ]
        if self.is_lattice:
            steps = [
                value if each.categorical else round((value - each.distribution.low) / each.step)
                for value, each in zip(internal, self.parameters, strict=True)
            ]
            return np.array(steps, dtype=np.int64)
        return np.concatenate([each.unit(value) for value, each in zip(internal, self.parameters, strict=True)])

    def values(self, point: np.ndarray) -> dict[str, Any]:
        """The parameters of a point."""
        found, start = {}, 0
        for name, each in zip(self.names, self.parameters, strict=True):
            if self.is_lattice:
                digit = int(point[start])
                internal = float(digit) if each.categorical else each.distribution.low + digit * each.step
                start += 1
            else:
                internal = each.internal(point[start : start + each.columns])
                start += each.columns
            found[name] = each.distribution.to_external_repr(internal)
        return found
