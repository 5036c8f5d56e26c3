"""A machine whose speed is data: its clock, sessions that run on it, and its reference."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from gpunet.runtime.base import Session
from gpunet.runtime.reference import Reference


class Machine:
    """A clock, and sessions that take their time times the machine's slowness, which is data of the runs so far."""

    def __init__(self, slowness: Callable[[int], float]) -> None:
        self.now_s, self.slowness, self.looks = 0.0, slowness, 0

    def clock(self) -> float:
        return self.now_s

    def session(self, *ms: float, device: str = "cpu") -> Session:
        return _Session(self, *ms, device=device)

    def reference(self) -> Reference:
        small, large = _Session(self, 0.1, looked=True), _Session(self, 10.0)
        return Reference((small, (1, 3, 8, 8)), (large, (1, 3, 8, 8)), self.clock)


class _Session:
    runtime, runtime_version, precision = "played", "1.2", "fp32"
    threads: int | None = 1
    input_shape: tuple[int | None, ...] = (1, 3, 8, 8)
    conditions: Mapping[str, Any] = {}

    def __init__(self, machine: Machine, *ms: float, device: str = "cpu", looked: bool = False) -> None:
        self.machine, self.ms, self.device, self.looked = machine, itertools.cycle(ms), device, looked
        self.runs = 0

    def run(self, images: np.ndarray) -> np.ndarray:
        if self.looked and self.runs % 21 == 0:  # a look: an untimed run of the small network and twenty
            self.machine.looks += 1
        self.runs += 1
        self.machine.now_s += self.machine.slowness(self.machine.looks) * next(self.ms) / 1000
        return images
