"""Points as the models see them: the unit cube, with a digit of unordered choices spread over one column a choice.

A categorical digit's columns hold 1/sqrt(2) at its choice and 0 elsewhere, so that two different choices are 1 apart,
as far as the ends of an ordered digit; no choice is nearer to one than to another.

    X    features, `n x columns`
    groups   the dimension that each column belongs to, `columns` integers
"""

from __future__ import annotations

import math

import numpy as np

from gpunet.search.optimize.domain import Domain


class Features:
    """The feature map of a domain.

    Args:
        domain: where the points come from.
    """

    def __init__(self, domain: Domain) -> None:
        self._domain = domain
        columns = domain.encode(domain.draw(1, np.random.default_rng(0))).shape[1]
        self._choices = [1] * columns
        if domain.choices is not None and domain.categorical is not None:
            for digit, (choices, categorical) in enumerate(zip(domain.choices, domain.categorical, strict=True)):
                self._choices[digit] = choices if categorical and choices > 2 else 1
        self.groups = np.repeat(np.arange(columns), self._choices)
        self.columns = len(self.groups)

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """`n x columns` features of points."""
        unit = np.asarray(self._domain.encode(points), dtype=np.float64)
        if self.columns == unit.shape[1]:
            return unit
        parts = []
        for digit, choices in enumerate(self._choices):
            if choices == 1:
                parts.append(unit[:, digit : digit + 1])
            else:
                parts.append((np.asarray(points)[:, digit : digit + 1] == np.arange(choices)) / math.sqrt(2))
        return np.hstack(parts)
