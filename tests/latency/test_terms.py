from __future__ import annotations

import itertools

from gpunet.latency.layers.convolutional import ConvLayerKey
from gpunet.latency.terms import Derived, LookupPlan, Term


def _key(channels: int) -> ConvLayerKey:
    return ConvLayerKey("conv", 8, 16, channels)


PLAN = LookupPlan(
    digits=(("width", 3), ("depth", 4)),
    derived=(Derived("any", ("depth",), 2, lambda depth: int(depth > 0)),),
    terms=(
        Term(("width", "any"), lambda width, present: [(_key(width + 1), 1)] if present else []),
        Term(("width", "depth"), lambda width, depth: [(_key(10 * (width + 1)), max(0, depth - 1))]),
    ),
)


def test_the_arrays_add_up_to_every_network():
    latency = {_key(c): float(c) for c in (1, 2, 3, 10, 20, 30)}
    first, rest = PLAN.fill(latency.__getitem__)
    for width, depth in itertools.product(range(3), range(4)):
        layers = PLAN.layers_of([width, depth])
        assert first[width * 2 + (depth > 0)] + rest[width * 4 + depth] == sum(latency[k] * n for k, n in layers)


def test_keys_are_those_that_a_network_can_have_each_once():
    keys = PLAN.keys()
    assert len(keys) == len(set(keys)) == 6
    assert PLAN.keys(lambda key: key.out_channels < 10) == [_key(1), _key(2), _key(3)]


def test_a_key_is_asked_for_once():
    asked = []
    PLAN.fill(lambda key: asked.append(key) or 0.0)
    assert len(asked) == len(set(asked)) == 6
