"""Numbers, steps and categories side by side: the domain, and where the acquisition is greatest in it.

A column without steps is continuous. The values of one with steps are evenly spaced from 0 to 1, in the points already:
what a model is asked about is then what would be evaluated, never a category by half.

score    `m x columns` points -> m values
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from gpunet.search.optimize.acquisition import LogImprovement
from gpunet.search.optimize.domain import STEP, some
from gpunet.search.optimize.maximize import STARTS, SWEEP, Region, candidates_in, uphill

ROUNDS = 3  # of changes of one column each and steps uphill in those that are continuous


class Mixed:
    """Points of the unit cube, some of whose columns have steps.

    Args:
        counts: values of each column; 0 for a continuous one.
        unordered: which columns have values without an order.
        repeats: whether a point may be wanted twice.
    """

    finite = False
    size = None
    choices = None
    categorical = None

    def __init__(self, counts: Sequence[int], unordered: Sequence[bool], *, repeats: bool = False) -> None:
        self.counts = np.array(counts)
        self.unordered = np.array(unordered, dtype=bool)
        self.repeats = repeats
        self.dimensions = len(self.counts)
        self.has_steps = self.counts > 0
        self._last = np.maximum(self.counts - 1, 1)

    def draw(self, count: int, generator: np.random.Generator) -> np.ndarray:
        """Uniform points."""
        return self.evenly(generator.random((count, self.dimensions)))

    def evenly(self, unit: np.ndarray) -> np.ndarray:
        """Rows of the cube to points: each value of a column with steps has an equal part of it."""
        index = np.minimum(np.floor(unit * self.counts), self._last)
        return np.where(self.has_steps, index / self._last, unit)

    def contains(self, points: np.ndarray) -> np.ndarray:
        """Which points lie in the cube, and at values of the columns with steps."""
        points = np.asarray(points, dtype=np.float64)
        inside = np.all((points >= 0) & (points <= 1), axis=1)
        inside[inside] = np.all(np.abs(self.decode(points[inside]) - points[inside]) < 1e-9, axis=1)
        return inside

    def neighbours(self, point: np.ndarray, generator: np.random.Generator, count: int | None = None) -> np.ndarray:
        """Points that differ in one column: a small Gaussian step in a continuous one, any other value with steps."""
        found = self.changes(point, np.zeros(self.dimensions), np.ones(self.dimensions), 3)[0]
        moved = found != point
        small = np.clip(point + STEP * generator.standard_normal(found.shape), 0, 1)
        return some(np.where(moved & ~self.has_steps, small, found), count, generator)

    def encode(self, points: np.ndarray) -> np.ndarray:
        """The points themselves."""
        return np.asarray(points, dtype=np.float64)

    def decode(self, unit: np.ndarray) -> np.ndarray:
        """The nearest points."""
        unit = np.clip(np.asarray(unit, dtype=np.float64), 0, 1)
        return np.where(self.has_steps, np.rint(unit * self._last) / self._last, unit)

    def changes(self, row: np.ndarray, low: np.ndarray, high: np.ndarray, grid: int) -> tuple[np.ndarray, np.ndarray]:
        """All points that differ from `row` in one column, and that column: with steps any value between the bounds
        (any at all, without an order), else `grid` values.
        """
        rows, columns = [], []
        for column, count in enumerate(self.counts.tolist()):
            values = np.arange(count) / max(count - 1, 1) if count else np.linspace(low[column], high[column], grid)
            if count and not self.unordered[column]:
                values = values[(values >= low[column]) & (values <= high[column])]
            values = values[values != row[column]]
            changed = np.repeat(row[None], len(values), axis=0)
            changed[:, column] = values
            rows.append(changed)
            columns.append(np.full(len(values), column))
        return np.concatenate(rows), np.concatenate(columns)


def in_mixed(
    domain: Mixed,
    score: LogImprovement,
    region: Region,
    allowed: Callable[[np.ndarray], bool],
    generator: np.random.Generator,
) -> np.ndarray | None:
    """The best point of a region that is `allowed`, of all that a search came by; None if none is.

    From the best candidates on, in turns: the best change of one column and the best of all at once (a sum of effects
    has its best where each effect has), and uphill by gradient in what is continuous.
    """
    rows = np.unique(domain.decode(candidates_in(region, generator)), axis=0)
    rows = rows[region.inside(rows)]
    if not len(rows):
        rows = region.centers[:1]
    values = score(rows)
    found, worth = [rows], [values]
    best = np.argsort(-values, kind="stable")[:STARTS]
    rows, values = rows[best], values[best]
    for _ in range(ROUNDS):
        moved = np.stack([_moved(domain, score, row, value, region) for row, value in zip(rows, values, strict=True)])
        flat = moved.reshape(-1, domain.dimensions)
        if not domain.has_steps.all():
            low = np.where(domain.has_steps, flat, np.minimum(region.low, flat))
            high = np.where(domain.has_steps, flat, np.maximum(region.high, flat))
            moved = np.hstack([moved, uphill(score, flat, low, high).reshape(moved.shape)])
            flat = moved.reshape(-1, domain.dimensions)
        inside, scores = region.inside(flat), score(flat)
        found.append(flat[inside])
        worth.append(scores[inside])
        scores = np.where(inside, scores, -np.inf).reshape(len(rows), -1)
        best = scores.argmax(axis=1)
        better = scores.max(axis=1) > values
        if not better.any():
            break
        rows, values = moved[better, best[better]], scores[better, best[better]]
    everything = np.concatenate(found)
    for row in everything[np.argsort(-np.concatenate(worth), kind="stable")]:
        if allowed(row):
            return row
    return None


def _moved(domain: Mixed, score: LogImprovement, row: np.ndarray, value: float, region: Region) -> np.ndarray:
    """The row itself, the best change of one column, and each column's best at once."""
    tried, columns = domain.changes(row, region.low, region.high, SWEEP)
    if not len(tried):
        return np.stack([row, row, row])
    scores = score(tried)
    each = row.copy()
    for column in np.unique(columns):
        best = np.flatnonzero(columns == column)[scores[columns == column].argmax()]
        if scores[best] > value:
            each[column] = tried[best, column]
    return np.stack([row, tried[int(scores.argmax())], each])
