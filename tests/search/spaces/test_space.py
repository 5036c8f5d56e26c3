from __future__ import annotations

import numpy as np
import pytest

from gpunet.errors import InvalidArgumentError, SpecError
from gpunet.search import SearchSpace
from gpunet.search.spaces.space import Digit, DigitSpace, checked_choices, space_from_dict


class Plain(DigitSpace):
    digits = (Digit("size", (4, 8, 12)), Digit("colour", ("red", "blue"), categorical=True))


SPACE = Plain()


def test_a_space_is_its_digits():
    assert SPACE.size == 6
    lattice = SPACE.lattice()
    assert (lattice.choices, lattice.categorical) == ((3, 2), (False, True))
    assert SPACE.values_of([2, 0]) == {"size": 12, "colour": "red"}
    assert SPACE.vector_of({"size": 12, "colour": "blue"}).tolist() == [2, 1]
    assert not isinstance(SPACE, SearchSpace)


@pytest.mark.parametrize(
    ("vector", "faults"),
    [
        ([2, 1], []),
        ([2.0, 1.0], []),
        ([3, 1], ["digit 0 (size): 3 is not a choice index from 0 to 2"]),
        (
            [0.5, -1],
            ["digit 0 (size): 0.5 is not a choice", "digit 1 (colour): -1.0 is not a choice index from 0 to 1"],
        ),
        ([np.nan, 0], ["digit 0 (size): nan is not"]),
        ([1], ["a vector has 2 digits, but its shape is (1,)"]),
        ([True, False], ["digit 0 (size): True is not", "digit 1 (colour): False is not"]),
        (["2", "1"], ["digit 0 (size): 2 is not", "digit 1 (colour): 1 is not"]),
        ([[1, 1]], ["a vector has 2 digits, but its shape is (1, 2)"]),
    ],
)
def test_what_is_wrong_with_a_vector_is_said(vector: list[float], faults: list[str]):
    found = SPACE.faults(vector)
    assert len(found) == len(faults)
    assert all(text.startswith(start) for text, start in zip(found, faults, strict=True))
    if np.ndim(vector) == 1:
        assert SPACE.contains([vector, vector]).tolist() == [not faults] * 2
    if faults:
        with pytest.raises(InvalidArgumentError, match="not a vector of the space: "):
            SPACE.values_of(vector)


def test_a_bad_row_is_named():
    assert SPACE.check([[0, 1], [2, 0]]).dtype == np.int64
    with pytest.raises(
        InvalidArgumentError, match=r"vectors\[1\]: digit 0 \(size\) must be a choice index from 0 to 2, but is 3"
    ):
        SPACE.check([[0, 1], [3, 0]])


def test_of_no_vectors_none_is_inside():
    assert SPACE.contains([]).tolist() == []
    assert SPACE.check([]).shape == (0, 2)
    assert SPACE.contains(np.zeros((3, 2, 2))).tolist() == [False] * 3


def test_a_vector_is_the_same_whether_its_numbers_are_integers_or_not():
    for vector in ([2, 1], [2.0, 1.0], np.array([2, 1], np.float32), np.array([2, 1], np.uint8)):
        assert SPACE.contains(vector).tolist() == [True]
        assert SPACE.faults(vector) == []
        assert SPACE.check([vector]).tolist() == [[2, 1]]
        assert SPACE.check([vector]).dtype == np.int64
        assert SPACE.values_of(vector) == {"size": 12, "colour": "blue"}


def test_rows_of_unequal_length_are_refused():
    with pytest.raises(InvalidArgumentError, match="vectors must be rows of one length, but their lengths differ"):
        SPACE.contains([[0, 1], [0]])
    with pytest.raises(InvalidArgumentError, match="a vector must be rows of one length"):
        SPACE.faults([[0, 1], [0]])


def test_a_digit_without_a_value_is_named_unless_a_fault_explains_it():
    with pytest.raises(SpecError, match=r"^colour: missing\nThe space cannot express"):
        SPACE.vector_of({"size": 4})
    with pytest.raises(SpecError, match=r"^why\nThe space cannot express"):
        SPACE.vector_of({"size": 4}, ["why"], ["colour"])


def test_a_value_that_is_no_choice_is_named_with_all_other_faults():
    with pytest.raises(
        SpecError, match=r"^first\nsize: 5 is not one of 4, 8, 12\ncolour: 'grey' is not one of 'red', 'blue'\n"
    ):
        SPACE.vector_of({"size": 5, "colour": "grey"}, ["first"])


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ((), r"^here: \(\) is not a list of one or more choices"),
        (4, "^here: 4 is not a list"),
        ([8, 4], "^here: choices must rise, but are 8, 4"),
        ([4, 4], "^here: choices must differ, but are 4, 4"),
        (["a", 4], "^here: choices must be numbers, but are 'a', 4"),
        ([False, 4], "^here: choices must be numbers, but are False, 4"),
    ],
)
def test_choices_that_break_a_rule_are_refused(values: object, text: str):
    with pytest.raises(SpecError, match=text):
        checked_choices("here", values)


def test_choices_without_an_order_need_none():
    assert checked_choices("here", ["swish", "relu"], ordered=False) == ("swish", "relu")


@pytest.mark.parametrize("data", [{"space": "mlp"}, {}, []])
def test_a_space_of_no_known_kind_is_refused(data: object):
    with pytest.raises(SpecError, match=r"^space: .* is not one of 'conv', 'vit'"):
        space_from_dict(data)
