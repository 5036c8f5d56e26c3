"""Where the acquisition is greatest on a finite domain: all points scored where they can be listed, else local search.

score    points -> m values, higher is better
allowed  points -> m bools: new, and in the selected region
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gpunet.search.optimize.domain import Domain, canonical

Score = Callable[[np.ndarray], np.ndarray]
Allowed = Callable[[np.ndarray], np.ndarray]

DRAWN = 160  # random candidates, and offspring
CENTERS = 6  # best samples whose neighbours are candidates
STARTS = 4  # candidates from which the search steps on
STEPS = 8  # at most, each to the best neighbour
AROUND = 64  # neighbours looked at a step


def candidates(domain: Domain, centers: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Random points; neighbours of the best samples; and, on a lattice, their offspring: digits of one or another."""
    parts = [domain.draw(DRAWN, generator)]
    parts += [domain.neighbours(center, generator, AROUND // 2) for center in centers[:CENTERS]]
    if domain.choices is not None and len(centers) > 1:
        parents = centers[generator.integers(len(centers), size=(2, DRAWN))]
        children = np.where(generator.random((DRAWN, domain.dimensions)) < 0.5, parents[0], parents[1])
        parts.append(canonical(domain, children[domain.contains(children)]))
    return np.unique(np.concatenate(parts), axis=0)


def by_steps(
    domain: Domain, score: Score, allowed: Allowed, centers: np.ndarray, generator: np.random.Generator
) -> np.ndarray | None:
    """The best point found from the best candidates by steps to better neighbours; None if no candidate is allowed.

    A step may lead over points that are not allowed: the best network is often next to one already trained.
    """
    rows = candidates(domain, centers, generator)
    values = score(rows)
    order = np.argsort(-values, kind="stable")
    found = [(float(values[row]), rows[row]) for row in order[allowed(rows[order])][:1]]
    for row in order[:STARTS]:
        point, value = rows[row], float(values[row])
        for _ in range(STEPS):
            around = domain.neighbours(point, generator, AROUND)
            if not len(around):
                break
            worth = score(around)
            ranked = np.argsort(-worth, kind="stable")
            found += [(float(worth[best]), around[best]) for best in ranked[allowed(around[ranked])][:1]]
            if worth[ranked[0]] <= value:
                break
            point, value = around[ranked[0]], float(worth[ranked[0]])
    return max(found, key=lambda pair: pair[0])[1] if found else None
