"""The search for the best point of a finite domain that is not listed."""

from __future__ import annotations

import numpy as np
import pytest

from gpunet.search import Domain, Lattice
from gpunet.search.optimize.finite.steps import best_allowed, by_steps


def everything(points: np.ndarray) -> np.ndarray:
    return np.ones(len(points), dtype=bool)


@pytest.mark.parametrize(
    ("domain", "best"),
    [
        (Lattice([6] * 8), [4] * 8),
        (Lattice([1001] * 8), [700] * 8),
        (Lattice([6, 1001, 3, 500], [False, False, True, True]), [4, 333, 2, 100]),
    ],
    ids=["few choices", "many choices", "mixed"],
)
def test_the_best_of_a_sum_of_effects_is_nearly_found(domain: Domain, best: list[int]):
    def score(points: np.ndarray) -> np.ndarray:
        return -np.square(domain.encode(points) - domain.encode(np.array([best]))).sum(axis=1)

    generator = np.random.default_rng(0)
    found = by_steps(domain, score, everything, domain.draw(3, generator), generator)
    assert domain.contains(found[None]).all()
    assert score(found[None])[0] > -0.05


def test_only_those_that_are_better_are_asked_about():
    rows, values = np.arange(100)[:, None], np.arange(100.0)
    asked: list[int] = []

    def allowed(few: np.ndarray) -> np.ndarray:
        asked.extend(few[:, 0].tolist())
        return few[:, 0] < 60

    best, goal = best_allowed(rows, values, allowed, 50.0)
    assert (best.tolist(), goal) == ([59], 59.0)
    assert max(asked) == 99
    assert min(asked) > 50
    assert best_allowed(rows, values, allowed, 70.0) == (None, 70.0)
    assert best_allowed(rows, values, allowed, 99.0) == (None, 99.0)


def test_what_is_not_allowed_is_not_found():
    domain, generator = Lattice([1001] * 3), np.random.default_rng(0)

    def even(points: np.ndarray) -> np.ndarray:
        return points[:, 0] % 2 == 0

    found = by_steps(domain, lambda points: points.sum(axis=1), even, domain.draw(3, generator), generator)
    assert found[0] % 2 == 0
    assert found.sum() > 2900
    assert by_steps(domain, lambda points: points.sum(axis=1), lambda points: ~everything(points),
                    domain.draw(3, generator), generator) is None  # fmt: skip
