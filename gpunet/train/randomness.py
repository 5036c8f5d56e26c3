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

_MASK = 2**64 - 1
ORDER, IMAGE, STEP, MIXING = range(4)
"""What a seed is for."""


def seed_of(seed: int, purpose: int, *position: int) -> int:
    """64 bits for a place in a run: the parts, mixed one after the other by SplitMix64 (Steele et al., 2014)."""
    state = seed & _MASK
    for part in (purpose, *position):
        state = (state + (part + 1) * 0x9E3779B97F4A7C15) & _MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        state ^= state >> 31
    return state


def seed_images(seed: int) -> None:
    """Seed what timm's transforms draw from: Python's, NumPy's and torch's generators of this process."""
    random.seed(seed)
    np.random.seed(seed & 0xFFFFFFFF)
    torch.default_generator.manual_seed(seed)


def seed_step(seed: int, device: torch.device) -> None:
    """Seed what a step draws from: torch's generators, as `torch.manual_seed` does.

    On a processor its own alone: `torch.manual_seed` notes a call stack for each kind of GPU that has not been started
    yet, which took more than all else that is done around a small network's step.
    """
    if device.type == "cpu":
        torch.default_generator.manual_seed(seed)
    else:
        torch.manual_seed(seed)


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
