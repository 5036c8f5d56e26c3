"""The search for the best point of a part of a lattice."""

from __future__ import annotations

import numpy as np
import pytest

from gpunet.search import LaMcts, Lattice
from gpunet.search.optimize.finite.lattice import DigitRegion, changed, in_lattice


class Balanced(Lattice):
    """A lattice whose digits' sum lies between two bounds: as in a tier, what one digit takes another has to give."""

    def __init__(self, digits: int = 12, low: int = 30, high: int = 32) -> None:
        super().__init__([6] * digits)
        self.size, self._bounds = None, (low, high)

    def contains(self, points: np.ndarray) -> np.ndarray:
        sums = np.asarray(points).sum(axis=1)
        return super().contains(points) & (sums >= self._bounds[0]) & (sums < self._bounds[1])

    def draw(self, count: int, generator: np.random.Generator) -> np.ndarray:
        drawn = super().draw(200 * count + 200, generator)
        return drawn[self.contains(drawn)][:count]

    def neighbours(self, point, generator, count=None) -> np.ndarray:
        found = super().neighbours(point, generator)
        found = found[self.contains(found)]
        return found if count is None else found[:count]


def anything(points: np.ndarray) -> np.ndarray:
    return np.ones(len(points), dtype=bool)


@pytest.mark.parametrize("seed", range(3))
def test_what_one_digit_takes_another_gives(seed: int):
    domain, generator = Balanced(), np.random.default_rng(seed)
    worth = np.arange(12.0)

    def judge(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        assert domain.contains(points).all()
        return points, points @ worth

    found = in_lattice(domain, judge, anything, domain.draw(2, generator), generator)
    best = 5 * worth[6:].sum() + worth[5]  # the six best digits at their greatest, and what is left of 31
    assert domain.contains(found[None]).all()
    assert found @ worth > 0.97 * best


def test_only_new_points_of_the_region_are_found():
    domain, generator = Lattice([5] * 8, [False] * 4 + [True] * 4), np.random.default_rng(0)
    center = np.full(8, 2)
    region = DigitRegion(domain.encode(center), np.ones(8), np.arange(8) >= 4, radius=1.5)

    def judge(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        points = points[region(domain.encode(points))]
        return points, points.sum(axis=1).astype(float)

    def odd(points: np.ndarray) -> np.ndarray:
        return points.sum(axis=1) % 2 == 1

    found = in_lattice(domain, judge, odd, center[None], generator)
    assert found.sum() == 21  # of 22: ordered digits by six quarters of their range in all
    assert region(domain.encode(found[None])).all()
    assert in_lattice(domain, judge, lambda points: ~anything(points), center[None], generator) is None


def test_a_digit_that_matters_counts_more():
    region = DigitRegion(np.zeros(3), np.array([2.0, 0.5, 0.5]), np.array([False, False, True]), radius=1.0)
    rows = np.array([[0.5, 0, 0], [0.6, 0, 0], [0, 1, 0.1], [0.3, 1, 0.1]])
    assert region(rows).tolist() == [True, False, True, False]


def test_changes_stay_inside_and_are_of_few_digits():
    domain, generator = Balanced(), np.random.default_rng(1)
    points = domain.draw(1, generator)
    found = changed(domain, points, 500, generator)
    assert domain.contains(found).all()
    differing = (found != points).sum(axis=1)
    assert differing.max() <= 5
    assert (differing == 2).sum() > 20


def test_a_trust_region_keeps_near_the_best():
    """Of the proposals of a lattice that is not listed, those in a trust region differ in few digits from the best."""
    domain = Balanced(digits=14, low=34, high=36)
    best = domain.draw(1, np.random.default_rng(5))[0]

    def told(**options) -> LaMcts:
        optimizer = LaMcts(domain, seed=0, **options)
        for point in domain.draw(30, np.random.default_rng(6)):
            optimizer.tell(point, -float(np.abs(point - best).sum()))
        return optimizer

    with_region, without = told(leaf_size=10), told(partition=False)
    apart = []
    for optimizer in (with_region, without):
        asked = np.concatenate([optimizer.ask() for _ in range(4)])
        assert domain.contains(asked).all()
        apart.append(np.abs(domain.encode(asked) - domain.encode(optimizer.best[0][None])).sum(axis=1).min())
    assert not np.array_equal(with_region.pending, without.pending)
    assert apart[0] < 0.25 * 0.6 * 14
