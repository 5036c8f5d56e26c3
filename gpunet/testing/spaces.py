"""What every search space promises (`gpunet.search.SearchSpace`)."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable

import numpy as np
import pytest
import torch

from gpunet.errors import InvalidArgumentError, SpecError
from gpunet.latency.layers.keys import LayerKey
from gpunet.search.spaces.space import SearchSpace, architecture_dict, space_from_dict

__all__ = ["SpaceContract", "check_vectors"]


class SpaceContract:
    """The promises of a search space; give it as the fixture `space`, its kind registered (`register_space`).

    Attributes:
        input_shape: C, H, W of the images that a vector's network takes; None for 3 x `resolution_px` of its spec.
    """

    input_shape: tuple[int, int, int] | None = None

    @pytest.fixture
    def space(self) -> SearchSpace:
        """The space to test."""
        raise NotImplementedError("Give the space to test as the fixture `space`.")

    def test_it_is_its_digits(self, space: SearchSpace) -> None:
        assert isinstance(space, SearchSpace)
        assert space.size == math.prod(len(digit.values) for digit in space.digits)
        lattice = space.lattice()
        assert lattice.choices == tuple(len(digit.values) for digit in space.digits)
        assert lattice.categorical == tuple(digit.categorical for digit in space.digits)

    @pytest.mark.parametrize("seed", range(5))
    def test_vectors_architectures_and_layers_agree(self, space: SearchSpace, seed: int) -> None:
        check_vectors(space, 4, seed)

    def test_json_gives_the_space_back(self, space: SearchSpace) -> None:
        again = space_from_dict(json.loads(json.dumps(space.to_dict())))
        assert again == space
        assert hash(again) == hash(space)
        with pytest.raises(SpecError, match="no_such_key"):
            space_from_dict({**space.to_dict(), "no_such_key": 1})

    def test_an_architecture_is_plain_json(self, space: SearchSpace) -> None:
        vector = space.lattice().draw(1, np.random.default_rng(0))[0]
        body = architecture_dict(space.decode(vector))
        assert json.loads(json.dumps(body, allow_nan=False)) is not None

    def test_what_is_no_vector_is_refused_with_its_digit(self, space: SearchSpace) -> None:
        vector = space.lattice().draw(1, np.random.default_rng(0))[0]
        vector[0] = len(space.digits[0].values)
        assert space.contains([vector]).tolist() == [False]
        (fault,) = space.faults(vector)
        assert space.digits[0].name in fault
        with pytest.raises(InvalidArgumentError) as caught:
            space.decode(vector)
        assert fault in str(caught.value)

    def test_what_is_no_architecture_is_refused(self, space: SearchSpace) -> None:
        with pytest.raises(SpecError):
            space.encode({"no": "architecture"})

    @pytest.mark.parametrize("seed", range(2))
    def test_a_network_computes_logits_and_learns(self, space: SearchSpace, seed: int) -> None:
        torch.manual_seed(seed)
        vector = space.lattice().draw(1, np.random.default_rng(seed))[0]
        shape = self.input_shape or (3, *(2 * [space.decode(vector).resolution_px]))
        network = space.build(vector, num_classes=5).train()
        logits = network(torch.randn(2, *shape))
        assert logits.shape == (2, 5)
        assert logits.isfinite().all()
        torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1])).backward()
        assert any(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in network.parameters())


def check_vectors(space: SearchSpace, count: int, seed: int, num_classes: int = 10) -> None:
    """Assert what `count` drawn vectors promise: encode undoes decode, and keys, plan and canonical form agree."""
    vectors = space.lattice().draw(count, np.random.default_rng(seed))
    assert space.contains(vectors).all()
    canonical = space.canonical(vectors)
    assert np.array_equal(space.canonical(canonical), canonical)
    plan = space.lookup_plan(num_classes=num_classes)
    for vector, same in zip(vectors, canonical, strict=True):
        assert space.faults(vector) == []
        architecture = space.decode(vector)
        assert np.array_equal(space.encode(architecture), vector)
        keys = space.keys(vector, num_classes=num_classes)
        assert keys == space.keys(same, num_classes=num_classes)
        assert counted(plan.layers_of(vector)) == Counter(keys)


def counted(pairs: Iterable[tuple[LayerKey, int]]) -> Counter[LayerKey]:
    """How often each layer stands in a plan's answer."""
    counts: Counter[LayerKey] = Counter()
    for key, count in pairs:
        counts[key] += count
    return counts
