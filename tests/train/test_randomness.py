from __future__ import annotations

import random

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from gpunet.train.randomness import kept_generators, seed_images, seed_of

PLACES = st.lists(st.integers(0, 2**40), min_size=1, max_size=4)


@given(seed=st.integers(0, 2**63), place=PLACES, other=PLACES)
def test_a_seed_is_of_its_place(seed: int, place: list[int], other: list[int]) -> None:
    assert 0 <= seed_of(seed, *place) < 2**64
    assert (seed_of(seed, *place) == seed_of(seed, *other)) == (place == other)


def test_neighbouring_places_share_no_bits() -> None:
    seeds = np.array([seed_of(0, 1, epoch, index) for epoch in range(10) for index in range(1000)], dtype=np.uint64)
    assert len(set(seeds.tolist())) == len(seeds)
    bits = np.unpackbits(seeds.view(np.uint8).reshape(-1, 8), axis=1).mean(axis=0)
    assert np.all(abs(bits - 0.5) < 0.03)


def test_the_callers_generators_come_back_as_they_were() -> None:
    def drawn() -> tuple[float, float, float]:
        return random.random(), float(np.random.rand()), float(torch.rand(()))

    seed_images(5)
    wanted = drawn(), drawn()
    seed_images(5)
    first = drawn()
    with kept_generators():
        seed_images(1)
        assert drawn() != wanted[1]
    assert (first, drawn()) == wanted
