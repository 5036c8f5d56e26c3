"""Search spaces: architectures as vectors of choice indices, behind one protocol.

    digit       one decision, with the values that it can take (paper, Table 2)
    vector      an int64 row of choice indices, one a digit, each from 0 to the number of its choices - 1
    n, d        number of vectors, of digits

A whole number of floating point is a choice index wherever one is asked for, 2.0 like 2, as optimisers hand them out;
True, '2' and 2.5 are none anywhere. What comes back is int64.

Every vector of choice indices is an architecture: a space has no holes. Where decisions constrain each other (a width
that heads must divide), the space refuses at its own construction the choices that would leave some vector without a
network. So Sobol points, an optimiser's lattice and its neighbours need no test of validity, and none is drawn in vain.
"""

from __future__ import annotations

import dataclasses
import importlib
import math
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike

from gpunet.core.arguments import is_number
from gpunet.core.versions import body_of
from gpunet.errors import InvalidArgumentError, SpecError
from gpunet.latency.terms import are_choices, array_of, checked_vectors
from gpunet.search.optimize.domain import Lattice

if TYPE_CHECKING:
    from torch import nn

    from gpunet.latency.layers.keys import LayerKey
    from gpunet.latency.terms import LookupPlan


@dataclass(frozen=True)
class Digit:
    """One decision of a search space.

    Args:
        name: where its value stands in the architecture, e.g. 'stages[3].filters'.
        values: its choices, in the order of their indices.
        categorical: whether the choices have no order, as activations have none.
    """

    name: str
    values: tuple[Any, ...]
    categorical: bool = False


@runtime_checkable
class SearchSpace(Protocol):
    """What tiers, studies and latency tables ask of a space. Spaces are frozen and compare by their choices."""

    @property
    def digits(self) -> tuple[Digit, ...]:
        """The decisions, in vector order."""
        ...

    @property
    def size(self) -> int:
        """Number of vectors."""
        ...

    def decode(self, vector: ArrayLike) -> Any:
        """The architecture of a vector.

        Raises:
            InvalidArgumentError: it is no vector of the space; the message is made of `faults`.
        """
        ...

    def encode(self, architecture: Any) -> np.ndarray:
        """The vector that decodes to an architecture.

        Raises:
            SpecError: the space cannot express it; the message names every fault with its path.
        """
        ...

    def contains(self, vectors: ArrayLike) -> np.ndarray:
        """Which of the `n x d` vectors hold a choice index in every digit, n bools."""
        ...

    def faults(self, vector: ArrayLike) -> list[str]:
        """Why it is no vector of the space; empty if it is one."""
        ...

    def canonical(self, vectors: ArrayLike) -> np.ndarray:
        """`n x d`: one and the same vector for all that build the same network."""
        ...

    def keys(self, vector: ArrayLike, *, num_classes: int = 1000) -> list[LayerKey]:
        """The layer keys of a vector's network, in network order; equal layers repeat."""
        ...

    def lookup_plan(self, *, num_classes: int = 1000) -> LookupPlan:
        """The space's latency as array look-ups; `plan.layers_of(vector)` are `keys(vector)` in another order."""
        ...

    def build(self, vector: ArrayLike, *, num_classes: int = 1000, **options: Any) -> nn.Module:
        """A vector's network, freshly initialised, to train: images in, logits out."""
        ...

    def lattice(self) -> Lattice:
        """The space as a domain of the optimiser."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; `space_from_dict` gives an equal space back."""
        ...


class DigitSpace:
    """What follows from the digits alone; a base for spaces."""

    @property
    def digits(self) -> tuple[Digit, ...]:
        """The decisions, in vector order."""
        raise NotImplementedError

    @property
    def size(self) -> int:
        """Number of vectors."""
        return math.prod(len(digit.values) for digit in self.digits)

    @cached_property
    def digit_sizes(self) -> tuple[tuple[str, int], ...]:
        """Name and number of choices of each digit, as a LookupPlan holds them."""
        return tuple((digit.name, len(digit.values)) for digit in self.digits)

    def lattice(self) -> Lattice:
        """See `SearchSpace.lattice`."""
        return Lattice([len(digit.values) for digit in self.digits], [digit.categorical for digit in self.digits])

    def contains(self, vectors: ArrayLike) -> np.ndarray:
        """See `SearchSpace.contains`; rows of another length are outside too.

        Raises:
            InvalidArgumentError: rows differ in length.
        """
        array = rows_of(vectors)
        if array.shape[1:] != (len(self.digits),):
            return np.zeros(len(array), bool)
        right = are_choices(array, [size for _, size in self.digit_sizes])
        return np.logical_and.reduce(right, axis=1, dtype=bool)

    def faults(self, vector: ArrayLike) -> list[str]:
        """See `SearchSpace.faults`."""
        array = array_of(vector, "a vector")
        if array.shape != (len(self.digits),):
            return [f"a vector has {len(self.digits)} digits, but its shape is {array.shape}"]
        right = are_choices(array, [size for _, size in self.digit_sizes]).tolist()
        return [
            f"digit {number} ({digit.name}): {value} is not a choice index from 0 to {len(digit.values) - 1}"
            for number, (digit, value) in enumerate(zip(self.digits, array.tolist(), strict=True))
            if not right[number]
        ]

    def check(self, vectors: ArrayLike) -> np.ndarray:
        """`n x d` vectors as int64.

        Raises:
            InvalidArgumentError: a row is no vector of the space; the message names row and digit.
        """
        return checked_vectors(vectors, self.digit_sizes).astype(np.int64)

    def values_of(self, vector: ArrayLike) -> dict[str, Any]:
        """The value of each digit, by name.

        Raises:
            InvalidArgumentError: it is no vector of the space.
        """
        faults = self.faults(vector)
        if faults:
            raise InvalidArgumentError(f"not a vector of the space: {'; '.join(faults)}.")
        indices = np.asarray(vector).astype(int).tolist()
        return {digit.name: digit.values[index] for digit, index in zip(self.digits, indices, strict=True)}

    def vector_of(
        self, values: Mapping[str, object], faults: Sequence[str] = (), explained: Collection[str] = ()
    ) -> np.ndarray:
        """The vector whose digits have these values.

        Args:
            values: by digit name.
            faults: what else is wrong with the architecture.
            explained: names of digits without a value because of one of these faults.

        Raises:
            SpecError: there are faults, or a value is missing or none of its digit's choices.
        """
        every = list(faults)
        vector = []
        for digit in self.digits:
            value = values.get(digit.name)
            if digit.name in values and value in digit.values:
                vector.append(digit.values.index(value))
            elif digit.name in values:
                every.append(not_one_of(digit.name, value, digit.values))
            elif digit.name not in explained:
                every.append(f"{digit.name}: missing")
        if every:
            raise SpecError("\n".join(every), "The space cannot express this architecture.")
        return np.array(vector, np.int64)


def rows_of(vectors: ArrayLike) -> np.ndarray:
    """One row a vector: a single vector is one row, an empty list none.

    Raises:
        InvalidArgumentError: rows differ in length.
    """
    array = array_of(vectors)
    return array[:, None] if array.shape == (0,) else np.atleast_2d(array)


def check_architecture(architecture: object, kind: type, hint: str = "") -> None:
    """Refuse an architecture that is not of the kind that a space decodes to.

    Raises:
        SpecError: it is of another type.
    """
    if not isinstance(architecture, kind):
        raise SpecError(
            f"architecture: {architecture!r:.60} is of type {type(architecture).__name__}, not {kind.__name__}", hint
        )


def not_one_of(path: str, value: object, choices: Sequence[object]) -> str:
    """A fault: `stages[3].filters: 256 is not one of 96, 112, 128`."""
    return f"{path}: {value!r} is not one of {', '.join(repr(choice) for choice in choices)}"


def checked_choices(path: str, values: object, *, ordered: bool = True) -> tuple[Any, ...]:
    """A digit's choices as a tuple.

    Raises:
        SpecError: none, a repeated one, or numbers that do not rise; the message begins with `path`.
    """
    if not isinstance(values, (tuple, list)) or not values:
        raise SpecError(f"{path}: {values!r} is not a list of one or more choices")
    choices = tuple(values)
    text = ", ".join(map(repr, choices))
    if not all(isinstance(each, Hashable) for each in choices):
        raise SpecError(f"{path}: choices must be plain values, but are {text}")
    if len(set(choices)) < len(choices):
        raise SpecError(f"{path}: choices must differ, but are {text}")
    if ordered and not all(map(is_number, choices)):
        raise SpecError(f"{path}: choices must be numbers, but are {text}")
    if ordered and list(choices) != sorted(choices):
        raise SpecError(f"{path}: choices must rise, but are {text}", "Neighbours in the list are taken as similar.")
    return choices


def space_body(data: object, kind: str, version: int) -> dict[str, Any]:
    """A space's dict without what says which kind and version it is.

    Raises:
        SpecError: it is no dict, or of another kind or version.
    """
    body = body_of(data, "space", "space_version", version, implied=True)
    found = body.pop("space", kind)
    if found != kind:
        raise SpecError(f"space: {found!r} is not {kind!r}")
    return body


# Kind, as a space's dict names it -> module and class. A new space is a file, and a line here.
_KINDS = {
    "conv": ("gpunet.search.spaces.conv_space", "ConvSpace"),
    "vit": ("gpunet.search.spaces.vit_space", "VitSpace"),
}


def register_space(kind: str, space: type[SearchSpace]) -> None:
    """Let `space_from_dict` make a space that is not gpunet's; every process that reads one must have called this."""
    _KINDS[kind] = (space.__module__, space.__qualname__)


def unregister_space(kind: str) -> None:
    """Forget a space that was registered."""
    del _KINDS[kind]


def architecture_dict(architecture: Any) -> dict[str, Any]:
    """An architecture of any space as plain JSON types: its `to_dict()`, or the fields of a dataclass."""
    body: dict[str, Any] = (
        architecture.to_dict() if hasattr(architecture, "to_dict") else dataclasses.asdict(architecture)
    )
    return body


def space_from_dict(data: Mapping[str, Any]) -> SearchSpace:
    """The space that a `to_dict` of this package wrote, of whichever kind.

    Raises:
        SpecError: it is no space's dict; the message names the path.
    """
    kind = data.get("space") if isinstance(data, Mapping) else None
    if not isinstance(kind, str) or kind not in _KINDS:
        raise SpecError(not_one_of("space", kind, list(_KINDS)))
    module, name = _KINDS[kind]
    return getattr(importlib.import_module(module), name).from_dict(data)
