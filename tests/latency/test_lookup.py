"""Fast sums equal the plan's own, one network at a time."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpunet.errors import InvalidArgumentError
from gpunet.latency import lookup as lookup_module
from gpunet.latency.layers.convolutional import ConvLayerKey
from gpunet.latency.lookup import Lookup
from gpunet.latency.terms import Derived, LookupPlan, Term


def _layers(*values: int):
    return [(ConvLayerKey("conv", 8, 16, 1 + sum((index + 1) * value for index, value in enumerate(values))), 2)]


@st.composite
def plans(draw: st.DrawFn) -> LookupPlan:
    """Plans whose derived variables may need each other."""
    digits = tuple((f"d{n}", size) for n, size in enumerate(draw(st.lists(st.integers(1, 7), min_size=1, max_size=6))))
    names, derived = [name for name, _ in digits], []
    some = st.lists(st.sampled_from(range(99)), min_size=1, max_size=4)
    for number in range(draw(st.integers(0, 3))):
        inputs = tuple(dict.fromkeys(names[pick % len(names)] for pick in draw(some)))
        size = draw(st.integers(1, 5))
        derived.append(Derived(f"v{number}", inputs, size, lambda *values, size=size: (3 * sum(values) + 1) % size))
        names.append(f"v{number}")
    picks = draw(st.lists(some, min_size=1, max_size=6))
    terms = [Term(tuple(dict.fromkeys(names[pick % len(names)] for pick in each)), _layers) for each in picks]
    return LookupPlan(digits, tuple(derived), tuple(terms))


def _latency(key: ConvLayerKey) -> float:
    return math.sqrt(key.out_channels) / 7


@settings(deadline=None, max_examples=60)
@given(plans(), st.integers(0, 2**32), st.sampled_from([1, 40, 1 << 16]), st.sampled_from([1, 20, 255, 256, 600]))
def test_sums_are_those_of_each_networks_layers(plan: LookupPlan, seed: int, fused: int, count: int):
    arrays = plan.fill(_latency)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lookup_module, "FUSED_SIZE", fused)
        lookup = Lookup(plan, arrays)
    unit = np.random.default_rng(seed).random((count, len(plan.digits)), np.float32)
    vectors = lookup.vectors_from_unit(unit)
    expected = [sum(_latency(key) * count for key, count in plan.layers_of(vector)) for vector in vectors]
    np.testing.assert_allclose(lookup.sum_from_vectors(vectors), expected, rtol=1e-12)
    assert np.array_equal(lookup.sum_from_unit(unit), lookup.sum_from_vectors(vectors))


PLAN = LookupPlan((("width", 3), ("depth", 4)), (), (Term(("width", "depth"), _layers),))
LOOKUP = Lookup(PLAN, [np.arange(12.0)])


def test_a_sum_does_not_depend_on_its_neighbours(monkeypatch):
    vectors = LOOKUP.vectors_from_unit(np.random.default_rng(0).random((1000, 2), np.float32))
    whole = LOOKUP.sum_from_vectors(vectors)
    assert whole.tolist() == (vectors @ [4, 1]).tolist()
    monkeypatch.setattr(lookup_module, "ROWS", 7)
    assert np.array_equal(LOOKUP.sum_from_vectors(vectors), whole)
    assert np.array_equal(LOOKUP.sum_from_vectors(vectors[::-1])[::-1], whole)
    assert LOOKUP.sum_from_vectors(vectors[:0]).shape == (0,)
    assert LOOKUP.sum_from_unit(np.empty((0, 2), np.float32)).shape == (0,)


def test_torchs_points_are_taken_as_they_are():
    unit = torch.quasirandom.SobolEngine(2, scramble=True, seed=0).draw(64)
    assert np.array_equal(LOOKUP.sum_from_unit(unit.numpy()), LOOKUP.sum_from_unit(np.array(unit.tolist())))


@given(st.integers(1, 1 << 20))
def test_the_unit_interval_is_parted_into_equal_choices_and_one_is_the_last(size: int):
    lookup = Lookup(LookupPlan((("digit", size),), (), ()), [])
    ends = np.array([[0.0], [1 - 2**-24], [1.0]], np.float32)
    assert lookup.vectors_from_unit(ends).ravel().tolist() == [0, size - 1, size - 1]
    middles = (np.arange(min(size, 100)) + 0.5) / size
    assert lookup.vectors_from_unit(middles[:, None]).ravel().tolist() == list(range(min(size, 100)))


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: LOOKUP.sum_from_vectors(np.array([[0, 0], [0, 4]])), r"\[1\]: digit 1 \(depth\) .* 0 to 3, but is 4"),
        (lambda: LOOKUP.sum_from_vectors(np.array([[-1, 0]])), r"vectors\[0\]: digit 0 \(width\) .* but is -1"),
        (lambda: LOOKUP.sum_from_vectors(np.array([[0, 0.5]])), r"vectors\[0\]: digit 1 \(depth\) .* but is 0.5"),
        (lambda: LOOKUP.sum_from_vectors(np.array([[0, np.nan]])), r"vectors\[0\]: digit 1 \(depth\) .* but is nan"),
        (lambda: LOOKUP.sum_from_vectors(np.zeros((2, 2), bool)), "must hold whole numbers, but have type bool"),
        (lambda: LOOKUP.sum_from_vectors([["0", "1"]]), "must hold whole numbers, but have type <U1"),
        (lambda: LOOKUP.sum_from_vectors([[0, 1], [0]]), "vectors must be rows of one length"),
        (lambda: LOOKUP.sum_from_vectors(np.zeros((2, 3), int)), r"n x 2, but its shape is \(2, 3\)"),
        (lambda: LOOKUP.sum_from_vectors(np.zeros(2, int)), r"n x 2, but its shape is \(2,\)"),
        (lambda: LOOKUP.sum_from_unit(np.array([[0.5, -0.1]])), r"in \[0, 1\], but range from -0.1[0-9]* to 0.5"),
        (lambda: LOOKUP.sum_from_unit(np.array([[0.5, np.nan]])), r"in \[0, 1\], but range from nan to nan"),
        (lambda: LOOKUP.vectors_from_unit(np.array([[0.5, 1.1]])), r"in \[0, 1\], but range from 0.5 to 1.1"),
        (lambda: LOOKUP.sum_from_unit(np.zeros((2, 1))), r"unit must be an array of n x 2"),
        (lambda: Lookup(PLAN, []), "a plan of 1 terms needs as many arrays, but got 0"),
        (lambda: Lookup(PLAN, [np.zeros(11)]), "term 0 over width, depth has 12 entries, but its array 11"),
        (lambda: Lookup(PLAN, [np.full(12, np.nan)]), "term 0 over width, depth: its array holds NaN"),
        (
            lambda: Lookup(LookupPlan((("a", 5000), ("b", 5000)), (), (Term(("a", "b"), _layers),)), [np.zeros(1)]),
            "term 0 over a, b: 25,000,000 entries are more than the 16,777,216 that can be indexed exactly",
        ),
        (
            lambda: Lookup(
                LookupPlan((("a", 5000), ("b", 5000)), (Derived("c", ("a", "b"), 2, lambda a, b: 0),), ()), []
            ),
            "c: 25,000,000 entries",
        ),
        (
            lambda: Lookup(LookupPlan((("a", 5),), (Derived("c", ("a",), 2, lambda a: a),), ()), []),
            "c: values must be 0 to 1, but range from 0 to 4",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_summed_is_refused(call, text: str):
    with pytest.raises(InvalidArgumentError, match=text):
        call()


def test_whole_numbers_are_indices_whatever_their_type():
    vectors = np.array([[0, 1], [2, 3]])
    expected = LOOKUP.sum_from_vectors(vectors).tolist()
    for same in (vectors.astype(float), vectors.astype(np.float32), vectors.astype(np.uint8), vectors.tolist()):
        assert LOOKUP.sum_from_vectors(same).tolist() == expected
    assert LOOKUP.sum_from_vectors([]).shape == (0,)
