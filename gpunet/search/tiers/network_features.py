"""What is known of a network before it is trained and decides its accuracy: sums over its layers, as look-ups.

multiply-adds   of all its layers, in log
parameters      of all its layers, in log
activations     values read and written between its operations, in log
depth           operations that it runs, in log
swish           values that pass through a swish, as a part of the activations
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from gpunet.latency.layers.keys import LayerKey
from gpunet.latency.terms import LookupPlan, checked_vectors

NAMES = ("log multiply-adds", "log parameters", "log activations", "log depth", "swish")


class NetworkFeatures:
    """Features of the networks of a space, from its plan of look-ups: no network is built.

    Args:
        plan: the space's.
    """

    def __init__(self, plan: LookupPlan) -> None:
        self._plan = plan

    def __call__(self, vectors: ArrayLike) -> np.ndarray:
        """`n x 5` features of `n x d` vectors, in the order of NAMES. The first call fills the look-ups: seconds.

        Raises:
            InvalidArgumentError: a row is no vector of the space.
        """
        indices = checked_vectors(vectors, self._plan.digits)
        variables = {name: indices[:, column] for column, (name, _) in enumerate(self._plan.digits)}
        for each, table in zip(self._plan.derived, self._derived, strict=True):
            variables[each.name] = table[self._places(each.inputs, variables)]
        sums = np.zeros((len(indices), len(NAMES)))
        for term, table in zip(self._plan.terms, self._terms, strict=True):
            sums += table[self._places(term.inputs, variables)]
        logs = np.log(np.maximum(sums[:, :-1], 1.0))
        activations = np.maximum(sums[:, NAMES.index("log activations")], 1.0)
        return np.column_stack([logs, sums[:, -1] / activations])

    def _places(self, inputs: Sequence[str], variables: Mapping[str, np.ndarray]) -> np.ndarray:
        return np.ravel_multi_index([variables[name] for name in inputs], self._plan.shape(inputs))

    @cached_property
    def _derived(self) -> list[np.ndarray]:
        """The values of each derived variable, flat over its inputs."""
        return [
            np.array([each.values(*place) for place in self._plan.indices(each.inputs)]) for each in self._plan.derived
        ]

    @cached_property
    def _terms(self) -> list[np.ndarray]:
        """For each term `places x 5` sums, side by side, so that a look-up fetches all of them at once."""
        counts: dict[LayerKey, np.ndarray] = {}

        def of(key: LayerKey) -> np.ndarray:
            found = counts.get(key)
            if found is None:
                work = key.work()
                dense_and_not = work.multiply_adds + work.depthwise_multiply_adds
                figures = [dense_and_not, work.weight_elements, work.activation_elements, work.operations]
                found = counts[key] = np.array([*figures, work.swish_elements], dtype=np.float64)
            return found

        arrays = []
        for term in self._plan.terms:
            array = np.zeros((math.prod(self._plan.shape(term.inputs)), len(NAMES)))
            for number, place in enumerate(self._plan.indices(term.inputs)):
                for key, count in term.layers(*place):
                    array[number] += count * of(key)
            arrays.append(array)
        return arrays
