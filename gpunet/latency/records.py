"""What a latency table holds: measured layers and networks, and the conditions that all of them share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from gpunet.core.machine import Fingerprint

METHOD = "context-1"
LEAST_MS = 1e-4  # of a layer whose cost drowns in that of its borders


@dataclass(frozen=True)
class TableConditions:
    """What all latencies of a table have in common.

    Args:
        fingerprint: processor or GPU, system, threads, runtime and version, precision.
        batch_size: images a run.
        method: how a layer is measured; METHOD, so that figures of another method are never mixed in.
        clock: 'wall'; or 'cpu', the processor time of one thread, which others on the machine disturb less.
    """

    fingerprint: Fingerprint
    batch_size: int = 1
    method: str = METHOD
    clock: str = "wall"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, flat."""
        return {
            **self.fingerprint.to_dict(),
            "batch_size": self.batch_size,
            "method": self.method,
            "clock": self.clock,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> TableConditions:
        """What `to_dict` wrote. Raises KeyError or TypeError for anything else."""
        rest = dict(data)
        own = {name: rest.pop(name) for name in ("batch_size", "method", "clock")}
        return cls(Fingerprint(**rest), **own)


@dataclass(frozen=True)
class LayerLatency:
    """One measured layer.

    Args:
        latency_ms: what it adds to a network.
        context_ms, border_ms: the two figures that it is the difference of.
        lone_ms: of the layer by itself, as the paper's table has it; None where it was not measured.
        spread_percent: from the least to the median of the context's repeats, in percent of the least.
        repeats: of each graph.
        measured_at: UTC, ISO 8601.
    """

    latency_ms: float
    context_ms: float
    border_ms: float
    lone_ms: float | None
    spread_percent: float
    repeats: int
    measured_at: str


@dataclass(frozen=True)
class NetworkLatency:
    """One network measured whole.

    Args:
        latency_ms: least of the repeats, as for layers.
        median_ms: of the repeats.
        repeats: how many.
        measured_at: UTC, ISO 8601.
    """

    latency_ms: float
    median_ms: float
    repeats: int
    measured_at: str


def lesser(old: LayerLatency, new: LayerLatency) -> LayerLatency:
    """Two measurements of one layer as one: the least of each graph's repeats."""
    steadier = new if new.context_ms <= old.context_ms else old
    context_ms, border_ms = min(old.context_ms, new.context_ms), min(old.border_ms, new.border_ms)
    lone = [each.lone_ms for each in (old, new) if each.lone_ms is not None]
    return replace(
        steadier,
        latency_ms=max(LEAST_MS, context_ms - border_ms),
        context_ms=context_ms,
        border_ms=border_ms,
        lone_ms=min(lone, default=None),
        repeats=old.repeats + new.repeats,
        measured_at=new.measured_at,
    )
