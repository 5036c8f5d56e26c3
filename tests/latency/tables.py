"""Small tables for tests: conditions, keys, and figures that follow from a key's work."""

from __future__ import annotations

from gpunet.latency.layers import ConvLayerKey, LayerKey
from gpunet.latency.records import LayerLatency, TableConditions
from gpunet.machine import Fingerprint

MACHINE = Fingerprint("Test processor", "x86_64", "Linux", 1, "onnxruntime", "1.2.3", "fp32")
CONDITIONS = TableConditions(MACHINE)


def conv_key(number: int) -> ConvLayerKey:
    return ConvLayerKey("conv", 8, 4 + number, 16, 3, 1, 1, activation="relu")


KEYS: list[LayerKey] = [conv_key(number) for number in range(20)]


def figures(latency_ms: float, *, spread_percent: float = 2.0) -> LayerLatency:
    return LayerLatency(latency_ms, latency_ms + 0.5, 0.5, latency_ms + 0.1, spread_percent, 5, "2026-11-24T10:00:00Z")


class CountingMeter:
    """Figures by rule, and what was asked for: for tests of who measures what, not of how long it takes."""

    def __init__(self) -> None:
        self.asked: list[LayerKey] = []

    def layer(self, key: LayerKey, *, lone: bool = False) -> LayerLatency:
        self.asked.append(key)
        return figures(key.work().multiply_adds / 1e9)
