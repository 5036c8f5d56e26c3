"""Small tables for tests: conditions, keys, and figures that follow from a key's work."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gpunet.core.machine import Fingerprint
from gpunet.latency.layers.convolutional import ConvLayerKey
from gpunet.latency.layers.keys import LayerKey
from gpunet.latency.records import LayerLatency, NetworkLatency, TableConditions
from gpunet.latency.table import LatencyTable
from gpunet.runtime.reference import Look
from gpunet.search.spaces.paper import PAPER_SPACE

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
        self.efforts: dict[LayerKey, float] = {}

    def layer(self, key: LayerKey, *, lone: bool = False, effort: float = 1.0) -> LayerLatency:
        self.asked.append(key)
        self.efforts[key] = effort
        return figures(key.work().multiply_adds / 1e9)

    def networks(self, networks: Sequence[Sequence[LayerKey]]) -> list[NetworkLatency]:
        return [NetworkLatency(float(len(keys)), float(len(keys)), 5, "2026-11-24T10:00:00Z") for keys in networks]

    def reference(self) -> Look:
        return Look(0.1, 10.0)


def law_ms(key: LayerKey) -> float:
    """A law with a kink: a kernel that is slow for widths that are no multiple of 16."""
    work = key.work()
    base = 0.002 + work.multiply_adds / 4e7 + work.depthwise_multiply_adds / 6e6 + work.activation_elements / 3e6
    return base * (1.2 if getattr(key, "out_channels", 0) % 16 else 1.0)


VECTORS = PAPER_SPACE.lattice().draw(150, np.random.default_rng(0))
PAPER_KEYS: list[LayerKey] = list(dict.fromkeys(key for vector in VECTORS for key in PAPER_SPACE.keys(vector)))


def damage(path: Path, page: int) -> None:
    """Overwrite one page of the file."""
    with open(path, "r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xa5" * 4096)


def table_of(path: Path, count: int) -> None:
    with LatencyTable(path, CONDITIONS) as table:
        table.add_rows((f"conv in_channels=1 in_px=8 out_channels={n}", figures(float(n))) for n in range(1, count + 1))
