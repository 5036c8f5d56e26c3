from __future__ import annotations

import pytest

from gpunet.errors import InvalidArgumentError
from gpunet.runtime.batch import BatchProfile


def test_an_integer_is_a_fixed_batch():
    profile = BatchProfile.parse(8)
    assert profile == BatchProfile(8, 8, 8)
    assert profile.sizes == (8, 8, 8)
    assert not profile.dynamic
    assert profile.ends == (8,)
    assert str(profile) == "8"


@pytest.mark.parametrize("given", [(1, 8, 64), [1, 8, 64], BatchProfile(1, 8, 64)])
def test_three_integers_are_a_range(given):
    profile = BatchProfile.parse(given)
    assert (profile.min, profile.opt, profile.max) == (1, 8, 64)
    assert profile.dynamic
    assert profile.ends == (1, 64)
    assert str(profile) == "1 to 64, best at 8"


@pytest.mark.parametrize(
    ("given", "shown"),
    [(0, "0"), (-1, "-1"), (True, "True"), (1.5, "1.5"), ("2", "'2'"), ((1, 0, 2), "0"), ((1, 8, 64.0), "64.0")],
)
def test_batches_are_integers_of_one_or_more(given, shown):
    with pytest.raises(InvalidArgumentError, match=f"must be an integer of 1 or more, but got {shown}"):
        BatchProfile.parse(given)


@pytest.mark.parametrize(("given", "meant"), [((8, 4, 16), "4:8:16"), ((4, 16, 8), "4:8:16"), ((64, 8, 1), "1:8:64")])
def test_a_range_is_ordered_and_the_order_that_was_meant_is_offered(given, meant):
    with pytest.raises(InvalidArgumentError, match=r"min <= opt <= max must hold for batch_size, but got") as caught:
        BatchProfile.parse(given)
    assert caught.value.hint == f"Perhaps {meant} was meant. One integer is a fixed batch."


def test_a_range_has_three_numbers():
    with pytest.raises(
        InvalidArgumentError, match=r"an integer or three of them \(min, opt, max\), but got \(1, 2\)"
    ) as caught:
        BatchProfile.parse((1, 2))
    assert caught.value.hint == "For example 1, or (1, 8, 64)."
