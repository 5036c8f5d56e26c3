"""What every domain of an optimiser must hold, lattice, pool or tier."""

from __future__ import annotations

import numpy as np

from gpunet.search import Domain


def keeps_the_protocol(domain: Domain, count: int, seed: int) -> None:
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


def has_neighbours_inside(domain: Domain, count: int | None, seed: int) -> None:
    generator = np.random.default_rng(seed)
    point = domain.draw(1, generator)[0]
    found = domain.neighbours(point, generator, count)
    assert found.shape[1] == domain.dimensions
    assert count is None or len(found) <= count
    assert domain.contains(found).all()
    if domain.finite:
        assert not (found == point).all(axis=1).any()
        assert len(np.unique(found, axis=0)) == len(found)
