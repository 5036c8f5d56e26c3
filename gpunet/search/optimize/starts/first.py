"""How many points come before the first model, and which."""

from __future__ import annotations

from collections.abc import Sequence as Several

from gpunet.search.optimize.domain import Domain
from gpunet.search.optimize.features import Features
from gpunet.search.optimize.mixed import Mixed
from gpunet.search.optimize.starts.sobol import Sequence, SobolPoints
from gpunet.search.optimize.starts.spread import SpreadPoints
from gpunet.search.optimize.starts.warm import Source

FIRST = 8  # on a finite domain, or one with steps and categories
PART_OF_BUDGET = 5  # the start is that part of a stated budget, at most


def first_points(domain: Domain, budget: int | None) -> int:
    """How many, of a search of so many evaluations, if that is known."""
    size = domain.dimensions
    # On a box the first model needs a few points a dimension to tell the dimensions apart; in many dimensions that
    # would spend a small budget before anything is learned, and the model does better from one a dimension.
    few = domain.finite or isinstance(domain, Mixed)
    default = FIRST if few else max(10, min(2 * size, 20), min(size, 30))
    return default if budget is None else max(2, min(default, budget // PART_OF_BUDGET))


def start_of(domain: Domain, seed: int, features: Features, sources: Several[Source], drawn: int = 0) -> Sequence:
    """The points, those after so many that were taken already."""
    if domain.finite:
        return SpreadPoints(domain, seed, features, drawn, sources)
    return SobolPoints(domain, seed, drawn)
