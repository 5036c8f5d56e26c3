"""A measurement as a latency record of the zoo, and back: nothing of it is lost on the way.

What a record says of the machine stands in its columns and its conditions; together they are the machine's fingerprint,
by which a record in somebody's zoo is known to be of this machine.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from gpunet.core.device import LOCAL
from gpunet.core.machine import Fingerprint
from gpunet.errors import InvalidArgumentError
from gpunet.model.entry import LatencyRecord
from gpunet.runtime.measurement import Measurement

_FIGURES = tuple(each.name for each in fields(Measurement) if each.name != "conditions")


def record_from_measurement(
    model: str, measurement: Measurement, *, chip: str = LOCAL, board: str | None = None, source: str | None = None
) -> LatencyRecord:
    """The latency record of a measurement: its median, with the other figures among the conditions.

    Args:
        model: name of the entry.
        measurement: as `gpunet.benchmark` gives it.
        chip: its short name; see `gpunet.core.device`.
        board: None for the processor or GPU that the measurement names.
        source: who measured and how; None for 'measured on this machine by gpunet VERSION at DATE'.
    """
    said = dict(measurement.conditions)
    figures = {name: getattr(measurement, name) for name in _FIGURES}
    return LatencyRecord(
        model=model,
        chip=chip,
        board=str(said.get("processor", "")) if board is None else board,
        batch_size=measurement.batch_size,
        precision=str(said.get("precision", "")),
        runtime=str(said.get("runtime", "")),
        runtime_version=str(said.get("runtime_version", "")),
        statistic="median",
        latency_ms=measurement.latency_ms,
        throughput_ips=measurement.throughput_ips,
        kind="measured",
        source=source or f"measured on this machine by gpunet {said.get('gpunet_version')} at {said.get('date')}",
        threads=said.get("threads"),
        conditions={**said, **figures},
    )


def measurement_from_record(record: LatencyRecord) -> Measurement | None:
    """The measurement that a record was made from; None for a record that holds less than one."""
    said: dict[str, Any] = dict(record.conditions)
    if record.kind != "measured" or record.statistic != "median" or any(name not in said for name in _FIGURES):
        return None
    figures = {name: said.pop(name) for name in _FIGURES} | {"latency_ms": record.latency_ms}
    try:
        return Measurement(**figures, conditions=said)
    except InvalidArgumentError:
        return None


def fingerprint_of(record: LatencyRecord) -> Fingerprint | None:
    """The machine that a record was measured on; None where it does not say it whole, or names another board."""
    said = record.conditions
    if any(not isinstance(said.get(name), str) for name in ("processor", "machine", "system")):
        return None
    if said["processor"] != record.board:
        return None
    return Fingerprint(
        processor=said["processor"],
        machine=said["machine"],
        system=said["system"],
        threads=record.threads,
        runtime=record.runtime,
        runtime_version=record.runtime_version,
        precision=record.precision,
    )
