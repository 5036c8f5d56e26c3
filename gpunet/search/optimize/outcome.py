"""What the surrogate is told of the values: a monotone transform of them, chosen by likelihood.

A Gaussian process expects values that are a sum of smooth effects with even noise. Losses of 1e6 beside losses of 10,
or accuracies that level off, are easier to model on another scale. With the gap g of a value to the best one so far:

    z = -((1 + g / c)^p - 1) / p        p = 1: as it is;  p = 0: the logarithm;  p = 2: for what levels off far away

standardised to mean 0 and deviation 1. Each (p, c) is one model of the values y, and they are compared by the density
of y itself: that of z, times |dz/dy|.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class OutcomeTransform:
    """A transform: power p, and c as a multiple of the median gap."""

    power: float = 1.0
    offset: float = 1.0

    def __call__(self, values: np.ndarray) -> tuple[np.ndarray, float]:
        """Standardised z of n finite values (higher is better), and ln |dz/dy| summed over them up to a constant.

        The logarithm is -inf, and z not to be used, where this transform cannot hold the values in double precision.
        """
        gaps = _gaps(values)
        positive = gaps[gaps > 0]
        if not len(positive):
            return np.zeros(len(values)), 0.0
        middle = float(np.median(gaps)) or float(positive.mean())
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            if self.power == 1:
                z, logarithm = -gaps, 0.0
            else:
                ratio = 1 + gaps / (self.offset * middle)
                z = -np.log(ratio) if self.power == 0 else -(ratio**self.power - 1) / self.power
                logarithm = (self.power - 1) * float(np.log(ratio).sum())
                logarithm -= len(values) * math.log(max(self.offset * middle, 1e-300))
            deviation = float(z.std())
            z = (z - z.mean()) / deviation
        if not (np.isfinite(z).all() and math.isfinite(logarithm) and deviation > 0):
            return z, -math.inf
        return z, logarithm - len(values) * math.log(deviation)

    def inverse(self, z: np.ndarray, values: np.ndarray) -> np.ndarray:
        """The values that these z stand for, where `values` are those that the transform standardises by.

        Where they differ in nothing, it is that value.
        """
        gaps, widest = _gaps(values), float(np.ptp(values))
        positive = gaps[gaps > 0]
        if not len(positive):
            return np.full(len(z), values.max())
        middle = float(np.median(gaps)) or float(positive.mean())
        if self.power == 1:
            raw = -gaps
        else:
            ratio = 1 + gaps / (self.offset * middle)
            raw = -np.log(ratio) if self.power == 0 else -(ratio**self.power - 1) / self.power
        found = z * raw.std() + raw.mean()
        if self.power == 1:
            gap = -found
        elif self.power == 0:
            gap = (np.exp(-found) - 1) * self.offset * middle
        else:
            gap = (np.maximum(1 - self.power * found, 0.0) ** (1 / self.power) - 1) * self.offset * middle
        return values.max() - gap * widest


CANDIDATES = (
    OutcomeTransform(),
    OutcomeTransform(0.0, 0.3),
    OutcomeTransform(0.0, 1.0),
    OutcomeTransform(0.5, 0.5),
    OutcomeTransform(2.0, 0.5),
    OutcomeTransform(2.0, 2.0),
)


def _gaps(values: np.ndarray) -> np.ndarray:
    """Gaps to the best value, the greatest of them 1, whatever the values' magnitude."""
    largest = float(np.abs(values).max(initial=0.0))
    scaled = values / largest if largest > 0 else values
    gaps = scaled.max() - scaled
    widest = gaps.max()
    return gaps / widest if widest > 0 else gaps
