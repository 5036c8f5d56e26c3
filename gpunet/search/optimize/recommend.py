"""What to take in the end: the best by all that is known, not the luckiest value, and how sure that is.

Two trainings of one network differ; of many values the greatest is one of luck as well. The surrogate knows how much of
a value is noise, from all the others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gpunet.search.optimize.acquisition import draws
from gpunet.search.optimize.outcome import OutcomeTransform
from gpunet.search.optimize.surrogate import Surrogate

DRAWS = 2000
_WITHIN = (0.025, 0.975)


@dataclass(frozen=True)
class Recommendation:
    """A point that was evaluated, and what is expected of it.

    Attributes:
        row: its number among the points told.
        point: it.
        told: its value, as it was told.
        expected: its value without noise.
        low, high: within which that lies with a chance of 95 %.
        chance: that no other point told is better.
    """

    row: int
    point: np.ndarray
    told: float
    expected: float
    low: float
    high: float
    chance: float


def recommendation(
    points: np.ndarray,
    values: np.ndarray,
    features: np.ndarray,
    allowed: np.ndarray,
    surrogate: Surrogate,
    outcome: OutcomeTransform,
    seed: int,
) -> Recommendation:
    """The best of the points told by a surrogate of them.

    Args:
        points: `n x dimensions`.
        values: n finite numbers, higher is better; what stands for a failure included.
        features: `n x columns`.
        allowed: which may be recommended, n bools, one at least.
        surrogate: of the values on the scale of `outcome`.
        outcome: as fitted.
        seed: of the draws by which chances are told.
    """
    rows = np.flatnonzero(allowed)
    drawn = draws(surrogate, features[rows], DRAWS, np.random.default_rng(seed))
    mean = surrogate.predict(features[rows])[0]
    best = int(mean.argmax())
    chance = float((drawn.argmax(axis=1) == best).mean())
    low, high = np.quantile(drawn[:, best], _WITHIN)
    expected, low, high = outcome.inverse(np.array([mean[best], low, high]), values).tolist()
    row = int(rows[best])
    return Recommendation(row, points[row].copy(), float(values[row]), expected, low, high, chance)
