"""What is recommended in the end, and how sure that is."""

from __future__ import annotations

import numpy as np
import pytest

from gpunet.search import LaMcts, Lattice, RandomSearch
from gpunet.search.optimize.outcome import CANDIDATES


def told(seed: int, noise: float, maximize: bool = True) -> tuple[LaMcts, np.ndarray]:
    """An optimiser, told of 40 points of a bowl, and the values without noise."""
    optimizer = LaMcts(Lattice([9] * 3), seed=seed, maximize=maximize)
    generator = np.random.default_rng(seed)
    points = np.unique(optimizer.domain.draw(60, generator), axis=0)[:40]
    true = 70 - np.square(points - 4).sum(axis=1) * 0.05
    for point, value in zip(points, true + noise * generator.standard_normal(len(points)), strict=True):
        optimizer.tell(point, value if maximize else -value)
    return optimizer, true


def test_it_is_better_than_the_luckiest_value():
    lucky, chosen, inside = [], [], 0
    for seed in range(8):
        optimizer, true = told(seed, noise=0.6)
        found = optimizer.recommended
        lucky.append(true.max() - true[int(np.argmax(optimizer.values))])
        chosen.append(true.max() - true[found.row])
        inside += found.low <= true[found.row] <= found.high
        assert found.told == optimizer.values[found.row]
        assert found.point.tolist() == optimizer.points[found.row].tolist()
        assert 0 < found.chance < 1
    assert np.mean(chosen) < np.mean(lucky)
    assert inside >= 6


def test_without_noise_it_is_the_best_and_sure_of_its_value():
    optimizer, true = told(3, noise=0.0)
    found = optimizer.recommended
    assert true[found.row] == true.max()
    assert found.expected == pytest.approx(true.max(), abs=0.1)
    assert found.high - found.low < 0.5


def test_minimizing_gives_the_same_with_the_other_sign():
    up, down = told(1, 0.3)[0].recommended, told(1, 0.3, maximize=False)[0].recommended
    assert up.row == down.row
    assert (up.low, up.high, up.expected) == pytest.approx((-down.high, -down.low, -down.expected))
    assert down.low <= down.expected <= down.high


def test_constraints_are_kept():
    optimizer = LaMcts(Lattice([9, 9]), seed=0, constraints=1)
    for point in np.unique(optimizer.domain.draw(30, np.random.default_rng(0)), axis=0):
        optimizer.tell(point, float(point.sum()), [float(point[0] - 5)])
    assert optimizer.recommended.point[0] <= 5


@pytest.mark.parametrize("make", [LaMcts, RandomSearch])
def test_of_few_values_it_is_the_best(make):
    optimizer = make(Lattice([3, 3]))
    assert optimizer.recommended is None
    optimizer.tell([0, 1], None)
    assert optimizer.recommended is None
    optimizer.tell([1, 1], 3.0)
    optimizer.tell([2, 1], 2.0)
    found = optimizer.recommended
    assert (found.row, found.told, found.low, found.high, found.chance) == (1, 3.0, 3.0, 3.0, 1.0)


def test_asking_for_it_changes_no_proposal():
    one, other = told(2, 0.2)[0], told(2, 0.2)[0]
    first, again = one.recommended, one.recommended
    assert (first.row, first.chance, first.low) == (again.row, again.chance, again.low)
    assert np.array_equal(one.ask(2), other.ask(2))


@pytest.mark.parametrize("outcome", CANDIDATES, ids=str)
@pytest.mark.parametrize("values", [[1.0, 2.0, 5.0, 9.0], [-3e5, 0.0, 2e5, 1e5], [70.1, 70.2, 70.05, 70.3]])
def test_a_transform_is_taken_back(outcome, values: list[float]):
    known = np.array(values)
    z, _ = outcome(known)
    assert np.allclose(outcome.inverse(z, known), known)
    assert outcome.inverse(np.zeros(2), np.full(3, 7.0)).tolist() == [7.0, 7.0]
