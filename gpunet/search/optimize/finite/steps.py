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
WIDE = 64  # choices of a digit above which steps of one choice are too small
_ASKED = 32  # rows of which it is asked at once whether they are allowed
SWEEP = 17  # choices tried in each wide digit, the others left as they are


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
    wide = _wide_digits(domain)
    rows = candidates(domain, centers, generator)
    values = score(rows)
    if len(wide):
        rows = np.concatenate([rows, _swept(domain, score, rows[values.argmax()], wide)])
        values = score(rows)
    best, goal = best_allowed(rows, values, allowed, -np.inf)
    for row in np.argsort(-values, kind="stable")[:STARTS]:
        point, value = rows[row], float(values[row])
        for _ in range(STEPS):
            around = domain.neighbours(point, generator, AROUND)
            if len(wide):
                around = np.concatenate([around, _strides(domain, point, wide, generator)])
            if not len(around):
                break
            worth = score(around)
            better, reached = best_allowed(around, worth, allowed, goal)
            best, goal = (best, goal) if better is None else (better, reached)
            top = int(worth.argmax())
            if worth[top] <= value:
                break
            point, value = around[top], float(worth[top])
    return best


def best_allowed(
    rows: np.ndarray, values: np.ndarray, allowed: Allowed, goal: float
) -> tuple[np.ndarray | None, float]:
    """The first of the best rows that is allowed and better than `goal`, and its value; None where there is none."""
    better = np.flatnonzero(values > goal)
    better = better[np.argsort(-values[better], kind="stable")]
    for few in np.split(better, range(_ASKED, len(better), _ASKED)):  # asking costs more than sorting
        kept = few[allowed(rows[few])] if len(few) else few
        if len(kept):
            return rows[kept[0]], float(values[kept[0]])
    return None, goal


def _wide_digits(domain: Domain) -> np.ndarray:
    """Ordered digits of many choices."""
    if domain.choices is None or domain.categorical is None:
        return np.zeros(0, dtype=int)
    return np.flatnonzero((np.array(domain.choices) > WIDE) & ~np.array(domain.categorical))


def _strides(domain: Domain, point: np.ndarray, wide: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """At most AROUND points that differ from this one in a wide digit, by a stride of any magnitude."""
    digits = wide[generator.integers(len(wide), size=AROUND)]
    most = np.array(domain.choices or ())[digits]
    strides = np.rint(2 ** generator.uniform(0, np.log2(most / 2))) * generator.choice([-1, 1], size=AROUND)
    rows = np.repeat(point[None], AROUND, axis=0)
    rows[np.arange(AROUND), digits] = np.clip(point[digits] + strides.astype(np.int64), 0, most - 1)
    rows = canonical(domain, rows[domain.contains(rows)])
    return np.unique(rows[(rows != point).any(axis=1)], axis=0)


def _swept(domain: Domain, score: Score, point: np.ndarray, wide: np.ndarray) -> np.ndarray:
    """Each wide digit at its own best of a few choices, and the best change of one, where the domain has them."""
    choices = domain.choices or ()  # there are some: it has wide digits
    each, tried = point.copy(), []
    for digit in wide:
        rows = np.repeat(point[None], SWEEP, axis=0)
        rows[:, digit] = np.linspace(0, choices[digit] - 1, SWEEP).round()
        tried.append(rows)
    scores = score(np.concatenate(tried)).reshape(len(wide), SWEEP)
    for digit, rows, worth in zip(wide, tried, scores, strict=True):
        each[digit] = rows[worth.argmax(), digit]
    rows = np.stack([each, np.concatenate(tried)[scores.argmax()]])
    return canonical(domain, rows[domain.contains(rows)])
