"""Where the acquisition is greatest in a part of a lattice that is not listed: by changes of a few digits at once.

In a tier, what a wider stage costs another has to give: most changes of one digit alone lead outside. Every candidate
lies in the domain, the leaf and the trust region; a walk may pass over points that were evaluated already.

judge    points -> those in the selected leaf and the trust region, and their values, higher is better
is_new   points -> m bools: may be proposed
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gpunet.search.optimize.domain import Domain, canonical

Judge = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
Which = Callable[[np.ndarray], np.ndarray]

DRAWN = 128  # points of the whole domain, and offspring of the best samples
MUTANTS = 48  # of each centre
STARTS = 5  # candidates from which the search goes on
AROUND = 96  # changes of each that are tried in a round
ROUNDS = 12  # at most
FRUITLESS = 2  # rounds without any gain, after which it ends
ASKED = 32  # rows of which it is asked at once whether they are new: that costs more than sorting
_DIGITS_MOVED = np.array([0.4, 0.3, 0.15, 0.1, 0.05])  # chances of 1 to 5 digits in a change


@dataclass(frozen=True)
class DigitRegion:
    """A trust region of a lattice: so many digits may differ from the centre, by how much each matters.

    The distance of a point is the sum of its digits' differences, as parts of their ranges (1 where choices have no
    order and differ), each weighed by its digit (Wan et al., "Think Global and Act Local", ICML 2021, whose regions are
    balls in the Hamming distance).

    Attributes:
        center: a row of the unit cube, D columns.
        weights: of the digits, 1 on average.
        unordered: in which digits only the same or not the same counts.
        radius: the greatest distance.
    """

    center: np.ndarray
    weights: np.ndarray
    unordered: np.ndarray
    radius: float

    def __call__(self, unit: np.ndarray) -> np.ndarray:
        """Which rows of the unit cube lie inside, m bools."""
        away = np.abs(unit - self.center)
        away = np.where(self.unordered, away > 0, away)
        return away @ self.weights <= self.radius


def changed(domain: Domain, points: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
    """Points of the domain that differ from one of these in one to five digits; tried `count` times for each.

    An ordered digit takes half of the time a step of any size, small ones oftener, and half of the time any choice.
    """
    sizes = np.array(domain.choices)
    rows = np.repeat(points, count, axis=0)
    wanted = 1 + generator.choice(len(_DIGITS_MOVED), size=len(rows), p=_DIGITS_MOVED)
    order = generator.random(rows.shape).argsort(axis=1)  # each row's digits, shuffled
    moved = order < wanted[:, None]
    anywhere = generator.integers(sizes, size=rows.shape)
    strides = np.rint(2 ** (generator.random(rows.shape) * np.log2(np.maximum(sizes / 2, 1)))).astype(np.int64)
    stepped = np.clip(rows + strides * generator.choice([-1, 1], size=rows.shape), 0, sizes - 1)
    steps = (generator.random(rows.shape) < 0.5) & ~np.array(domain.categorical)
    rows = np.where(moved, np.where(steps, stepped, anywhere), rows)
    rows = rows[domain.contains(rows)]
    return np.unique(canonical(domain, rows), axis=0)


def in_lattice(
    domain: Domain, judge: Judge, is_new: Which, centers: np.ndarray, generator: np.random.Generator
) -> np.ndarray | None:
    """The best new point that a search from the centres came by; None if it came by none.

    Args:
        domain: a lattice, or what has choices as one.
        judge, is_new: see the module.
        centers: the best samples, at least one.
        generator: of everything random.
    """
    rows = [centers, changed(domain, centers, MUTANTS, generator), domain.draw(DRAWN, generator)]
    if len(centers) > 1:
        parents = centers[generator.integers(len(centers), size=(2, DRAWN))]
        children = np.where(generator.random((DRAWN, domain.dimensions)) < 0.5, parents[0], parents[1])
        rows.append(canonical(domain, children[domain.contains(children)]))
    found, values = judge(np.unique(np.concatenate(rows), axis=0))
    fruitless = 0
    for _ in range(ROUNDS if len(found) else 0):
        best = np.argsort(-values, kind="stable")[:STARTS]
        more, worth = judge(changed(domain, found[best], AROUND, generator))
        fruitless = 0 if worth.max(initial=-np.inf) > values[best[0]] else fruitless + 1
        found, first = np.unique(np.concatenate([found, more]), axis=0, return_index=True)
        values = np.concatenate([values, worth])[first]
        if fruitless == FRUITLESS:
            break
    order = np.argsort(-values, kind="stable")
    for few in np.split(order, range(ASKED, len(order), ASKED)):
        new = few[is_new(found[few])] if len(few) else few
        if len(new):
            return found[new[0]]
    return None
