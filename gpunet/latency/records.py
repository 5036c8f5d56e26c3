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
        at_s: the same in seconds since the epoch, to find it on the reference's course; None where nobody looked.
        builder: on whose course.
        beside_ms: the reference's small network, timed in turn with the graphs; None where it was not.
    """

    latency_ms: float
    context_ms: float
    border_ms: float
    lone_ms: float | None
    spread_percent: float
    repeats: int
    measured_at: str
    at_s: float | None = None
    builder: str = ""
    beside_ms: float | None = None


@dataclass(frozen=True)
class NetworkLatency:
    """One network measured whole.

    Args:
        latency_ms: least of the repeats, as for layers.
        median_ms: of the repeats.
        repeats: how many.
        measured_at: UTC, ISO 8601.
        at_s, builder, beside_ms: see `LayerLatency`.
    """

    latency_ms: float
    median_ms: float
    repeats: int
    measured_at: str
    at_s: float | None = None
    builder: str = ""
    beside_ms: float | None = None


def lesser(old: LayerLatency, new: LayerLatency) -> LayerLatency:
    """Of two measurements of one layer the one of the lesser context, whole: its graphs were measured in turn, and a
    machine that moves between the two would stand in their difference. Where both know the reference beside them, the
    lesser at its speed.
    """
    old_ms, new_ms = old.context_ms, new.context_ms
    if old.beside_ms is not None and new.beside_ms is not None:
        old_ms, new_ms = old_ms / old.beside_ms, new_ms / new.beside_ms
    best, other = (new, old) if new_ms <= old_ms else (old, new)
    lone_ms = other.lone_ms if best.lone_ms is None else best.lone_ms
    return replace(best, lone_ms=lone_ms, repeats=old.repeats + new.repeats)
