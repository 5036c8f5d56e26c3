from __future__ import annotations

import math

import numpy as np
import pytest

from gpunet.core.arguments import checked_bounds, checked_integer, checked_time, is_number
from gpunet.errors import InvalidArgumentError


def test_numpys_numbers_become_pythons():
    assert checked_bounds(np.array([1, 2.5], np.float32)) == checked_bounds([np.int64(1), np.float32(2.5)]) == (1, 2.5)
    assert {type(each) for each in checked_bounds((1, np.float32(2), math.inf))} == {float}
    assert type(checked_integer("count", np.uint8(3), 0)) is int
    assert type(checked_time("range_ms", 3)) is float


@pytest.mark.parametrize("bounds", [None, 1.0, [], [[1, 2]], np.ones((1, 2)), "12", {0: 1}, [True, 2], [math.nan]])
def test_what_is_no_list_of_times_is_refused(bounds: object):
    with pytest.raises(InvalidArgumentError, match="bounds must be a list of numbers of ms from 0 up, but are"):
        checked_bounds(bounds)


@pytest.mark.parametrize("value", [0, 4, True, 2.0, "2", None, math.nan])
def test_what_is_no_integer_between_the_limits_is_refused(value: object):
    with pytest.raises(InvalidArgumentError, match=f"count must be an integer from 1 to 3, but got {value!r}"):
        checked_integer("count", value, 1, 3)


def test_an_integer_that_no_float_holds_is_no_number():
    assert not is_number(10**400)
    assert not is_number(float("inf"))
    assert is_number(10**300)
