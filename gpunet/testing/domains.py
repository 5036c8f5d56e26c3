"""What every domain of an optimiser promises (`gpunet.search.Domain`): box, lattice, pool, tier."""

from __future__ import annotations

import numpy as np
import pytest

from gpunet.search.optimize.domain import Domain

__all__ = ["DomainContract", "check_neighbours", "check_points"]


class DomainContract:
    """The promises of a domain; give it as the fixture `domain`."""

    @pytest.fixture
    def domain(self) -> Domain:
        """The domain to test."""
        raise NotImplementedError("Give the domain to test as the fixture `domain`.")

    @pytest.mark.parametrize("seed", range(5))
    @pytest.mark.parametrize("count", [0, 1, 20])
    def test_points_lie_inside_and_in_the_unit_cube(self, domain: Domain, count: int, seed: int) -> None:
        check_points(domain, count, seed)

    @pytest.mark.parametrize("seed", range(5))
    @pytest.mark.parametrize("count", [None, 0, 5])
    def test_neighbours_lie_inside_and_differ(self, domain: Domain, count: int | None, seed: int) -> None:
        check_neighbours(domain, count, seed)


def check_points(domain: Domain, count: int, seed: int) -> None:
    """Assert what drawn points promise: inside, the same by the same seed, and back from the unit cube."""
    assert isinstance(domain, Domain)
    points = domain.draw(count, np.random.default_rng(seed))
    assert points.shape == (count, domain.dimensions)
    assert domain.contains(points).tolist() == [True] * count
    assert np.array_equal(points, domain.draw(count, np.random.default_rng(seed)))
    unit = domain.encode(points)
    assert len(unit) == count
    assert ((unit >= 0) & (unit <= 1)).all()
    back = domain.decode(unit)
    assert domain.contains(back).all()
    if domain.finite:
        assert np.array_equal(back, points)
    else:
        assert np.allclose(back, points, atol=1e-9 * np.abs(points).max(initial=1))
    assert (domain.choices is None) == (domain.categorical is None)
    assert domain.choices is None or points.dtype == np.int64


def check_neighbours(domain: Domain, count: int | None, seed: int) -> None:
    """Assert what neighbours promise: inside, at most `count`, and of a finite domain all others than the point."""
    generator = np.random.default_rng(seed)
    point = domain.draw(1, generator)[0]
    found = domain.neighbours(point, generator, count)
    assert found.shape[1] == domain.dimensions
    assert count is None or len(found) <= count
    assert domain.contains(found).all()
    if domain.finite:
        assert not (found == point).all(axis=1).any()
        assert len(np.unique(found, axis=0)) == len(found)
