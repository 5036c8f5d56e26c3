"""Every domain keeps the promises of the protocol."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpunet.errors import InvalidArgumentError
from gpunet.search import Box, Domain, Lattice, Pool
from gpunet.testing.domains import DomainContract, check_neighbours, check_points

numbers = st.floats(-1e6, 1e6).map(lambda x: round(x, 3))


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    low = draw(st.lists(numbers, min_size=1, max_size=5))
    widths = draw(st.lists(st.floats(0.01, 1e6), min_size=len(low), max_size=len(low)))
    return Box(low, np.array(low) + widths)


@st.composite
def lattices(draw: st.DrawFn) -> Lattice:
    choices = draw(st.lists(st.integers(1, 6), min_size=1, max_size=6))
    return Lattice(choices, draw(st.none() | st.lists(st.booleans(), min_size=len(choices), max_size=len(choices))))


@st.composite
def pools(draw: st.DrawFn) -> Pool:
    dimensions = draw(st.integers(1, 4))
    row = st.lists(numbers, min_size=dimensions, max_size=dimensions)
    return Pool(draw(st.lists(row, min_size=1, max_size=50)))


domains = boxes() | lattices() | pools()


class TestEveryDomain(DomainContract):
    @pytest.fixture(
        params=[Box([0, -5], [1, 5]), Lattice([3, 2], [False, True]), Pool([[0, 1], [2, 3]])],
        ids=["box", "lattice", "pool"],
    )
    def domain(self, request: pytest.FixtureRequest) -> Domain:
        return request.param


@settings(deadline=None)
@given(domains, st.integers(0, 20), st.integers(0, 2**32))
def test_a_domain_keeps_the_protocol(domain: Domain, count: int, seed: int):
    check_points(domain, count, seed)


@settings(deadline=None)
@given(domains, st.none() | st.integers(0, 10), st.integers(0, 2**32))
def test_neighbours_are_inside_and_not_the_point(domain: Domain, count: int | None, seed: int):
    check_neighbours(domain, count, seed)


def test_lattice_neighbours_take_one_step_in_order_and_any_in_categories():
    lattice = Lattice([4, 4, 1], categorical=[False, True, False])
    found = lattice.neighbours(np.array([1, 1, 0]), np.random.default_rng(0))
    assert found.tolist() == [[0, 1, 0], [2, 1, 0], [1, 0, 0], [1, 2, 0], [1, 3, 0]]


def test_sizes():
    assert Lattice([2, 3, 4]).size == 24
    assert Lattice([10] * 41).size == 10**41
    assert Pool([[1, 2], [1, 2], [0, -0.0]]).size == 2
    assert Box([0], [1]).size is None


@pytest.mark.parametrize(
    ("domain", "points", "inside"),
    [
        (Box([0, 0], [1, 1]), [[0.5, 1.0], [0.5, 1.1], [np.nan, 0]], [True, False, False]),
        (Lattice([2, 3]), [[1, 2], [2, 0], [0.5, 0], [-1, 0]], [True, False, False, False]),
        (Pool([[1.0, 2.0]]), [[1, 2], [1, 2.5]], [True, False]),
    ],
)
def test_what_is_not_inside(domain: Domain, points: list[list[float]], inside: list[bool]):
    assert domain.contains(np.array(points)).tolist() == inside


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Box([0], [1, 2]), r"one length, but have shapes \(1,\) and \(2,\)"),
        (lambda: Box([], []), "one length"),
        (
            lambda: Box([0, 3], [1, 1]),
            "low < high must hold, with a finite range, but dimension 1 has low=3.0, high=1.0",
        ),
        (lambda: Box([0], [np.inf]), "dimension 0 has low=0.0, high=inf"),
        (lambda: Box([-1e308], [1e308]), "low < high must hold"),
        (lambda: Box(["a"], [1]), r"low must be numbers, in rows of one length, but got \['a'\]"),
        (lambda: Box([0, [1]], [1, 2]), r"low must be numbers, in rows of one length, but got \[0, \[1\]\]"),
        (lambda: Lattice([]), r"choices of each digit, at least one, but got \[\]"),
        (lambda: Lattice(5), "choices of each digit, at least one, but got 5"),
        (lambda: Lattice([2, 0]), r"choices\[1\] must be an integer from 1 to 2,147,483,648, but got 0"),
        (lambda: Lattice([2.7]), r"choices\[0\] must be an integer from 1 to 2,147,483,648, but got 2.7"),
        (lambda: Lattice([2, 2], [True]), "has 1 values for 2 digits"),
        (lambda: Pool([]), "one or more vectors"),
        (lambda: Pool([[np.nan]]), "with NaN or infinite values"),
        (lambda: Pool([[1], [2, 3]]), r"vectors must be numbers, in rows of one length, but got \[\[1\], \[2, 3\]\]"),
        (lambda: Pool([[0, -1e308], [1, 1e308]]), "range of a pool's column must be finite, but that of column 1"),
    ],
)
def test_what_is_no_domain_is_refused(make, text: str):
    with pytest.raises(InvalidArgumentError, match=text):
        make()


def test_a_domain_is_not_the_callers_array():
    low = np.zeros(2)
    box = Box(low, [1, 1])
    low[:] = 0.9
    assert box.low.tolist() == [0, 0]
