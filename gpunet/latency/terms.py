"""LookupPlan: how a search space's latency is a sum of array look-ups, so that millions of networks take seconds.

    digits    the numbers of a vector: choice indices, `0 .. size - 1`
    derived   a variable that is looked up from others, such as the channels that reach a stage behind an empty one
    terms     layers that depend on a few variables alone: their latency is one array over these variables

A search space states its plan; the estimator fills the arrays from a latency table and adds them up.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from gpunet.errors import InvalidArgumentError
from gpunet.latency.layers.keys import LayerKey

Layers = Sequence[tuple[LayerKey, int]]


def array_of(vectors: ArrayLike, name: str = "vectors") -> np.ndarray:
    """As `np.asarray`.

    Raises:
        InvalidArgumentError: rows differ in length; the message begins with `name`.
    """
    try:
        return np.asarray(vectors)
    except ValueError:
        raise InvalidArgumentError(f"{name} must be rows of one length, but their lengths differ.") from None


def are_choices(array: np.ndarray, sizes: Sequence[int]) -> np.ndarray:
    """Which entries of an array, whose last axis is over the digits, are choice indices; a bool for each.

    A whole number is one whatever its type, 2.0 like 2; True, '2' and 2.5 are none.
    """
    if array.dtype.kind not in "iuf":
        return np.zeros(array.shape, bool)
    right = (array >= 0) & (array < np.array(sizes))
    return right & (array == np.floor(array)) if array.dtype.kind == "f" else right


def checked_vectors(vectors: ArrayLike, digits: Sequence[tuple[str, int]], name: str = "vectors") -> np.ndarray:
    """`n x d` choice indices as an array of integers; whole numbers of floating point are converted.

    Args:
        vectors: what may be such an array; an empty list is one of no rows.
        digits: name and number of choices of each digit.
        name: what messages call it.

    Raises:
        InvalidArgumentError: another shape, no numbers, or one that is no choice of its digit; the message names row
            and digit.
    """
    array = array_of(vectors, name)
    if array.shape == (0,):
        return np.empty((0, len(digits)), np.int64)
    if array.ndim != 2 or array.shape[1] != len(digits):
        raise InvalidArgumentError(f"{name} must be an array of n x {len(digits)}, but its shape is {array.shape}.")
    if array.dtype.kind not in "iuf":
        raise InvalidArgumentError(f"{name} must hold whole numbers, but have type {array.dtype}.")
    right = are_choices(array, [size for _, size in digits])
    if not right.all():
        row, column = np.argwhere(~right)[0]
        digit, size = digits[column]
        raise InvalidArgumentError(
            f"{name}[{row}]: digit {column} ({digit}) must be a choice index from 0 to {size - 1}, "
            f"but is {array[row, column]}."
        )
    return array.astype(np.int64) if array.dtype.kind == "f" else array


@dataclass(frozen=True)
class Derived:
    """A variable computed from earlier ones.

    Args:
        name: its own.
        inputs: names of digits or of earlier derived variables.
        size: how many values it has.
        values: given the inputs' indices, its index, in `0 .. size - 1`.
    """

    name: str
    inputs: tuple[str, ...]
    size: int
    values: Callable[..., int]


@dataclass(frozen=True)
class Term:
    """Layers whose keys depend on a few variables.

    Args:
        inputs: names of digits or derived variables.
        layers: given the inputs' indices, the keys with how often each stands in the network; may be empty.
    """

    inputs: tuple[str, ...]
    layers: Callable[..., Layers]


@dataclass(frozen=True)
class LookupPlan:
    """A search space as look-ups.

    Args:
        digits: name and number of choices of each digit, in vector order.
        derived: in an order in which each needs only earlier ones.
        terms: their sum is the network.
    """

    digits: tuple[tuple[str, int], ...]
    derived: tuple[Derived, ...]
    terms: tuple[Term, ...]

    @cached_property
    def sizes(self) -> dict[str, int]:
        """Number of values of every variable."""
        return {**dict(self.digits), **{each.name: each.size for each in self.derived}}

    def shape(self, inputs: Sequence[str]) -> tuple[int, ...]:
        """Shape of an array over these variables."""
        return tuple(self.sizes[name] for name in inputs)

    def indices(self, inputs: Sequence[str]) -> Iterator[tuple[int, ...]]:
        """Every combination of these variables' values, in C order."""
        return itertools.product(*(range(size) for size in self.shape(inputs)))

    def keys(self, where: Callable[[LayerKey], bool] | None = None) -> list[LayerKey]:
        """Every key that a network of the space can have, each once, in a fixed order."""
        found: dict[LayerKey, None] = {}
        for term in self.terms:
            for place in self.indices(term.inputs):
                for key, count in term.layers(*place):
                    if count and (where is None or where(key)):
                        found.setdefault(key)
        return list(found)

    def expected_counts(self) -> dict[LayerKey, float]:
        """How often each key stands in a network drawn uniformly from the space, on average.

        Derived variables are taken to be independent of the digits that share a term with them.
        """
        chances = {name: np.full(size, 1.0 / size) for name, size in self.digits}
        for each in self.derived:
            chance = np.zeros(each.size)
            for place in self.indices(each.inputs):
                chance[each.values(*place)] += _joint(chances, each.inputs, place)
            chances[each.name] = chance
        counts: dict[LayerKey, float] = {}
        for term in self.terms:
            for place in self.indices(term.inputs):
                for key, count in term.layers(*place):
                    counts[key] = counts.get(key, 0.0) + count * _joint(chances, term.inputs, place)
        return {key: count for key, count in counts.items() if count > 0}

    def layers_of(self, vector: Sequence[int]) -> list[tuple[LayerKey, int]]:
        """The keys of one network, with their counts, by the same plan that estimates it."""
        values = {name: int(index) for (name, _), index in zip(self.digits, vector, strict=True)}
        for each in self.derived:
            values[each.name] = each.values(*(values[name] for name in each.inputs))
        return [pair for term in self.terms for pair in term.layers(*(values[name] for name in term.inputs))]

    def fill(self, latency_of: Callable[[LayerKey], float]) -> list[np.ndarray]:
        """For each term the array of its latencies, float64, flat in C order."""
        cache: dict[LayerKey, float] = {}

        def of(key: LayerKey) -> float:
            value = cache.get(key)
            if value is None:
                value = cache[key] = latency_of(key)
            return value

        arrays = []
        for term in self.terms:
            array = np.empty(math.prod(self.shape(term.inputs)))
            for number, place in enumerate(self.indices(term.inputs)):
                array[number] = math.fsum(of(key) * count for key, count in term.layers(*place) if count)
            arrays.append(array)
        return arrays


def _joint(chances: Mapping[str, np.ndarray], inputs: Sequence[str], place: Sequence[int]) -> float:
    """Chance that independent variables have these values."""
    return math.prod(float(chances[name][index]) for name, index in zip(inputs, place, strict=True))
