"""Lookup: the sums that a LookupPlan promises, for millions of vectors: one matrix product, then one gather a term.

    n, d        vectors, digits
    variable    a digit or a Derived of the plan
    place       flat index into a term's array: the dot product of its inputs' values and their strides

The digits' part of all places comes from one product of float32 matrices, exact below 2^24; the part of derived
variables is gathered from small tables. NumPy multiplies, not torch: torch may be told to multiply in bfloat16, where
places would be wrong. Terms that share their variables are added up beforehand, as long as the arrays stay in a
processor's caches.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike

from gpunet.errors import InvalidArgumentError
from gpunet.latency.terms import LookupPlan, checked_vectors

EXACT = 1 << 24  # float32 holds every integer up to this one
FUSED_SIZE = 1 << 16  # entries of an array of terms added up beforehand: half a MiB
ROWS = 1 << 14  # vectors that are worked on at a time, so that what lies between the steps stays in the caches
BLOCK = 256  # vectors of one product
_BELOW_ONE = np.float32(1 - 2**-24)

Inputs = tuple[str, ...]


class Lookup:
    """Sums over a plan's terms; equal vectors have equal sums to the last bit, whatever stands beside them.

    Args:
        plan: the search space's.
        arrays: for each term of the plan its values, float64, in C order over the term's inputs, as `LookupPlan.fill`
            makes.

    Raises:
        InvalidArgumentError: an array has another size than its term, holds NaN, or has more entries than float32 can
            index; or a derived variable has a value that it should not have.
    """

    def __init__(self, plan: LookupPlan, arrays: Sequence[np.ndarray]) -> None:
        self.plan = plan
        self._sizes = np.array([size for _, size in plan.digits], np.float32)
        columns = {name: number for number, (name, _) in enumerate(plan.digits)}
        groups = _fused(plan, _checked(plan, arrays))
        rows = [*(each.inputs for each in plan.derived), *(inputs for inputs, _ in groups)]
        self._products = np.zeros((len(rows), len(columns)), np.float32)
        # For each derived variable its table, and where and how far its value moves later places.
        self._tables = [_table(plan, number) for number in range(len(plan.derived))]
        self._moves: list[list[tuple[int, np.float32]]] = [[] for _ in plan.derived]
        derived = {each.name: number for number, each in enumerate(plan.derived)}
        for row, inputs in enumerate(rows):
            for name, stride in zip(inputs, _strides(plan.shape(inputs)), strict=True):
                if name in columns:
                    self._products[row, columns[name]] += stride
                else:
                    self._moves[derived[name]].append((row, np.float32(stride)))
        self._arrays = [array for _, array in groups]

    def sum_from_vectors(self, vectors: ArrayLike) -> np.ndarray:
        """Sums of `n x d` vectors of choice indices (whole numbers of any type), n float64.

        Raises:
            InvalidArgumentError: a value is not a choice of its digit; the message names row and digit.
        """
        indices = checked_vectors(vectors, self.plan.digits)
        sums = np.empty(len(indices))
        for rows in _slices(len(indices)):
            sums[rows] = self._sum(indices[rows].astype(np.float32))
        return sums

    def sum_from_unit(self, unit: np.ndarray) -> np.ndarray:
        """Sums of the vectors that `vectors_from_unit` makes of these points, without making them, n float64.

        Args:
            unit: `n x d` float32 (a torch tensor's `numpy()`), in [0, 1]; 1, to which float32 rounds numbers below it,
                is the last choice.

        Raises:
            InvalidArgumentError: it has another shape, or a value outside.
        """
        unit = self._checked_unit(unit)
        sums = np.empty(len(unit))
        for rows in _slices(len(unit)):
            sums[rows] = self._sum(self._digits(unit[rows]))
        return sums

    def vectors_from_unit(self, unit: np.ndarray) -> np.ndarray:
        """`n x d` points of the unit cube -> int64 choice indices, each choice the same part of the range."""
        return self._digits(self._checked_unit(unit)).astype(np.int64)

    # --------------------------------------------------------------- the sum

    def _digits(self, unit: np.ndarray) -> np.ndarray:
        """Choice indices as float32. Below one, u * size rounds to something below size, for every size."""
        digits = np.minimum(unit, _BELOW_ONE)
        digits *= self._sizes
        return np.floor(digits, out=digits)

    def _sum(self, digits: np.ndarray) -> np.ndarray:
        places = self._places(digits)
        for number, (table, moves) in enumerate(zip(self._tables, self._moves, strict=True)):
            values = np.take(table, places[number].astype(np.intp), mode="clip")
            for row, stride in moves:
                places[row] += stride * values
        total = np.zeros(len(digits))
        indices = places[len(self._tables) :].astype(np.intp)
        for index, array in zip(indices, self._arrays, strict=True):
            total += np.take(
                array, index, mode="clip"
            )  # nothing is clipped: the mode that checks no bounds is the fast one
        return total

    def _places(self, digits: np.ndarray) -> np.ndarray:
        """`rows x n`, float32: the product, in blocks so small that BLAS multiplies each on the calling thread.

        Its own threads wait for each other busily, which costs up to tenfold where they share the cores with anything.
        """
        count = len(digits)
        whole = count - count % BLOCK
        places = np.empty((len(self._products), count), np.float32)
        blocks = digits[:whole].reshape(-1, BLOCK, digits.shape[1]).transpose(0, 2, 1)
        out = places[:, :whole].reshape(len(self._products), -1, BLOCK).transpose(1, 0, 2)
        np.matmul(self._products, blocks, out=out)
        np.matmul(self._products, digits[whole:].T, out=places[:, whole:])
        return places

    # ---------------------------------------------------------------- checks

    def _checked_unit(self, unit: np.ndarray) -> np.ndarray:
        unit = np.asarray(unit, np.float32)
        if unit.ndim != 2 or unit.shape[1] != len(self._sizes):
            raise InvalidArgumentError(
                f"unit must be an array of n x {len(self._sizes)}, but its shape is {unit.shape}."
            )
        if unit.size and not (unit.min() >= 0 and unit.max() <= 1):
            raise InvalidArgumentError(
                f"points of the unit cube must lie in [0, 1], but range from {unit.min()} to {unit.max()}."
            )
        return unit


def _slices(count: int) -> Iterator[slice]:
    return (slice(start, start + ROWS) for start in range(0, count, ROWS))


def _strides(shape: Sequence[int]) -> list[int]:
    """Strides of a C-ordered array, in entries."""
    return [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]


def _table(plan: LookupPlan, number: int) -> np.ndarray:
    """The values of a derived variable, float32, flat over its inputs."""
    each = plan.derived[number]
    _check_indexable(each.name, plan.shape(each.inputs))
    table = np.array([each.values(*place) for place in plan.indices(each.inputs)], np.float32)
    if table.min() < 0 or table.max() >= each.size:
        raise InvalidArgumentError(
            f"{each.name}: values must be 0 to {each.size - 1}, but range from {table.min():g} to {table.max():g}."
        )
    return table


def _check_indexable(what: str, shape: Sequence[int]) -> None:
    if math.prod(shape) > EXACT:
        raise InvalidArgumentError(
            f"{what}: {math.prod(shape):,} entries are more than the {EXACT:,} that can be indexed exactly.",
            "Split it into terms of fewer variables.",
        )


def _checked(plan: LookupPlan, arrays: Sequence[np.ndarray]) -> list[tuple[Inputs, np.ndarray]]:
    if len(arrays) != len(plan.terms):
        raise InvalidArgumentError(f"a plan of {len(plan.terms)} terms needs as many arrays, but got {len(arrays)}.")
    pairs = []
    for number, (term, values) in enumerate(zip(plan.terms, arrays, strict=True)):
        array = np.asarray(values, np.float64).reshape(-1)
        shape = plan.shape(term.inputs)
        what = f"term {number} over {', '.join(term.inputs)}"
        _check_indexable(what, shape)
        if array.size != math.prod(shape):
            raise InvalidArgumentError(f"{what} has {math.prod(shape)} entries, but its array {array.size}.")
        if np.isnan(array).any():
            raise InvalidArgumentError(f"{what}: its array holds NaN.")
        pairs.append((term.inputs, array))
    return pairs


def _fused(plan: LookupPlan, pairs: Sequence[tuple[Inputs, np.ndarray]]) -> list[tuple[Inputs, np.ndarray]]:
    """Terms added up to arrays over the union of their variables, while that costs few entries."""
    groups: list[tuple[Inputs, np.ndarray]] = []
    for inputs, array in pairs:
        for number, (others, _) in enumerate(groups):
            union = (*others, *(name for name in inputs if name not in others))
            if math.prod(plan.shape(union)) <= max(FUSED_SIZE, math.prod(plan.shape(others))):
                groups[number] = (union, _over(plan, groups[number], union) + _over(plan, (inputs, array), union))
                break
        else:
            groups.append((inputs, array))
    return groups


def _over(plan: LookupPlan, pair: tuple[Inputs, np.ndarray], union: Inputs) -> np.ndarray:
    """A term's array, flat over more variables than its own."""
    inputs, array = pair
    order = [inputs.index(name) for name in union if name in inputs]
    moved = array.reshape(plan.shape(inputs)).transpose(order)
    shape = [plan.sizes[name] if name in inputs else 1 for name in union]
    return np.broadcast_to(moved.reshape(shape), plan.shape(union)).reshape(-1)
