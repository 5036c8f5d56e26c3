"""Estimates in queries: where they come from, and what is said where measured figures are missing.

What estimates stands a room beside the zoo, so it is found by its name, as registries are.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Any, Protocol, cast

from gpunet.core.device import Device
from gpunet.model.entry import Entry, LatencyRecord, Match

ESTIMATED = "estimated"
_MODULE = "gpunet.latency.gpu.answers"


class Estimates(Protocol):
    """What a query needs of an estimator."""

    @property
    def device(self) -> Device:
        """The device that estimates are of."""
        ...

    def records(self, entries: Iterable[Entry], batch_size: int, precision: str) -> dict[str, LatencyRecord]:
        """An estimated record of each entry that one may be made of, by its name."""
        ...


def estimates_for(device: str, **how: Any) -> Estimates:
    """The estimator of a device.

    Args:
        device: its name.
        how: gpu_sheet and confidence.

    Raises:
        UnknownDeviceError: (a LookupError) there is no specification sheet of that device.
    """
    return cast("Estimates", importlib.import_module(_MODULE).EntryEstimates(device, **how))


def estimates_exist(device: str) -> bool:
    """Whether a device of this name could be estimated."""
    return bool(importlib.import_module(_MODULE).has_sheet(device))


def estimated_devices() -> list[str]:
    """Short names of the devices that estimates are made for."""
    return list(importlib.import_module(_MODULE).device_names())


def is_estimated(match: Match) -> bool:
    """Whether a match stands on an estimate."""
    return match.record.kind == ESTIMATED and "high_ms" in match.record.conditions


def bound_ms(match: Match) -> float:
    """What is held against a budget: of an estimate its upper bound."""
    return float(match.record.conditions["high_ms"]) if is_estimated(match) else match.latency_ms


def how_to_ask(device: str) -> str:
    """How estimates are asked for; '' where there are none of this device."""
    if not estimates_exist(device):
        return ""
    return f"Estimates exist for {device}, with intervals: estimates=True."


def how_to_measure(name: str, device: str) -> str:
    """What turns an estimate into a measurement."""
    return f"On a machine that has one: gpunet bench {name} --device {device} --trtexec prints what measures it."
