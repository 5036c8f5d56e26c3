"""Where the acquisition is greatest inside a region: by gradient in a box, by steps in a lattice, by scoring a pool.

score    `m x columns` features -> m values
inside   `m x columns` features -> m bools, whether they lie in the selected region
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gpunet.core.files import require
from gpunet.search.optimize.acquisition import LogImprovement
from gpunet.search.optimize.kernel import PURPOSE

Inside = Callable[[np.ndarray], np.ndarray]

RAW = 400  # random candidates
STARTS = 4  # of them, those that are followed uphill
SWEEP = 17  # values tried in each dimension, the others left as they are
STEPS = 40  # of L-BFGS


@dataclass(frozen=True)
class Region:
    """A part of the unit cube: a box, cut by the boundaries of a partition's leaf.

    Attributes:
        low, high: its corners.
        inside: the leaf.
        centers: `k x columns` points to start from, the best first; all within the leaf, if not the box.
    """

    low: np.ndarray
    high: np.ndarray
    inside: Inside
    centers: np.ndarray


def in_box(score: LogImprovement, region: Region, generator: np.random.Generator) -> np.ndarray:
    """The best point of a region, a row of the unit cube.

    Random points of the region, and the best samples with some of their dimensions changed, are scored; the best are
    moved dimension by dimension (a sum of effects has its best where each effect has), then all of them uphill.
    """
    rows = candidates_in(region, generator)
    rows = rows[region.inside(rows)]
    if not len(rows):
        rows = region.centers[:1]
    values = score(rows)
    order = np.argsort(-values, kind="stable")[:STARTS]
    starts = [rows[order]]
    for row in (rows[order[0]], np.clip(region.centers[0], region.low, region.high)):
        starts.append(_swept(score, row, region))
    rows = np.vstack(starts)
    found = uphill(score, rows, np.tile(region.low, (len(rows), 1)), np.tile(region.high, (len(rows), 1)))
    rows = np.vstack([found, *starts])
    rows = rows[region.inside(rows)]
    return rows[int(score(rows).argmax())]


def candidates_in(region: Region, generator: np.random.Generator) -> np.ndarray:
    """Random rows of the box, and its centres with few or many dimensions moved far or a little."""
    part, columns = RAW // 4, len(region.low)
    width = region.high - region.low
    anywhere = region.low + width * generator.random((2 * part, columns))
    bases = region.centers[generator.integers(len(region.centers), size=2 * part)]
    a_little = bases[part:] + 0.1 * width * generator.standard_normal((part, columns))
    odds = np.exp(generator.uniform(np.log(1 / columns), 0, size=(2 * part, 1)))
    moved = generator.random((2 * part, columns)) < odds
    mutated = np.where(moved, np.vstack([anywhere[part:], a_little]), bases)
    return np.clip(np.vstack([anywhere[:part], mutated, region.centers]), region.low, region.high)


def _swept(score: LogImprovement, row: np.ndarray, region: Region) -> np.ndarray:
    """Two rows: each dimension at its own best, and the one best change of one dimension."""
    columns = len(row)
    values = region.low[:, None] + (region.high - region.low)[:, None] * np.linspace(0, 1, SWEEP)
    tried = np.repeat(row[None], columns * SWEEP, axis=0)
    tried[np.arange(columns * SWEEP), np.repeat(np.arange(columns), SWEEP)] = values.ravel()
    scores = score(tried)
    each = values[np.arange(columns), scores.reshape(columns, SWEEP).argmax(axis=1)]
    return np.stack([each, tried[int(scores.argmax())]])


def uphill(score: LogImprovement, rows: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """All rows moved at once by L-BFGS, each between its own bounds."""
    optimize = require("scipy.optimize", "search", purpose=PURPOSE)

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        values, slopes = score.with_gradient(flat.reshape(rows.shape))
        return -float(values.sum()), -slopes.ravel()

    bounds = list(zip(low.ravel(), high.ravel(), strict=True))
    found = optimize.minimize(
        loss, rows.ravel(), jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": STEPS}
    )
    return np.clip(found.x.reshape(rows.shape), low, high)
