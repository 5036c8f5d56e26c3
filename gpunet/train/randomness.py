"""Random numbers that depend on where a run is, and on nothing before: a resumed run draws what it would have drawn.

Every image is prepared, and every step taken, with generators seeded by (seed, what for, epoch, position). So no
generator's state is part of a checkpoint, and neither workers nor processes change what an image becomes.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator

import numpy as np
import torch

ORDER, IMAGE, STEP, MIXING = range(4)
"""What a seed is for."""


def seed_of(seed: int, purpose: int, *position: int) -> int:
    """64 bits for a place in a run."""
    low, high = np.random.SeedSequence([seed, purpose, *position]).generate_state(2)
    return int(low) | int(high) << 32


def seed_images(seed: int) -> None:
    """Seed what timm's transforms draw from: Python's, NumPy's and torch's generators of this process."""
    random.seed(seed)
    np.random.seed(seed & 0xFFFFFFFF)
    torch.default_generator.manual_seed(seed)


@contextlib.contextmanager
def kept_generators() -> Iterator[None]:
    """Give the caller's generators back as they were."""
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng():
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)
