from __future__ import annotations

import numpy as np
import pytest
import torch

from gpunet.search.tiers.sobol import SobolChunks


@pytest.mark.parametrize(("dimensions", "seed"), [(1, 0), (41, 0), (41, 7), (200, 3)])
def test_the_points_are_torchs(dimensions: int, seed: int):
    expected = torch.quasirandom.SobolEngine(dimensions, scramble=True, seed=seed).draw(1024, dtype=torch.float32)
    chunks = SobolChunks(dimensions, seed, 64)
    for number in (7, 0, 15, 3):  # in any order
        assert np.array_equal(chunks.chunk(number), expected[64 * number : 64 * (number + 1)].numpy())
    assert np.array_equal(chunks.chunk(2, 5), expected[128:133].numpy())


def test_far_chunks_are_torchs_too():
    engine = torch.quasirandom.SobolEngine(3, scramble=True, seed=1)
    engine.fast_forward(1_000_000 * 16)
    assert np.array_equal(SobolChunks(3, 1, 16).chunk(1_000_000), engine.draw(16, dtype=torch.float32).numpy())
