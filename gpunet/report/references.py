"""What the package's zoo has published for the device of a report: the released networks and the paper's baselines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpunet.core.device import LOCAL
from gpunet.errors import UnknownDeviceError
from gpunet.model.dataset_names import IMAGENET, canonical_dataset
from gpunet.report.data import Report

if TYPE_CHECKING:
    from gpunet.model.entry import LatencyRecord


@dataclass(frozen=True)
class Reference:
    """A published figure.

    Args:
        name: as the zoo or the paper has it.
        role: 'released' or 'baseline'.
        latency_ms: measured by others; the slowest of the records that apply.
        top1_percent: published top-1 accuracy.
        conditions: of the latency, in words, with the source.
    """

    name: str
    role: str
    latency_ms: float
    top1_percent: float
    conditions: str


def published(report: Report) -> tuple[Reference, ...]:
    """Figures of the report's chip (or board, where the chip has no name), batch size and precision, the fastest first.

    Empty where the zoo has none, and where the report's accuracies are not of ImageNet's images, as all published ones
    are; this machine is never measured.
    """
    from gpunet.zoo.choice.conditions import Query
    from gpunet.zoo.query import candidates, device_named

    for name in (report.chip, report.board) if is_of_imagenet(report) else ():
        try:
            device = device_named(name)
        except UnknownDeviceError:
            continue
        if device.chip == LOCAL:
            continue
        query = Query(device=name, batch_size=report.batch_size, include_baselines=True)
        found = [
            Reference(
                match.entry.title or match.name,
                match.entry.role,
                match.latency_ms,
                match.top1_percent,
                _conditions(match.record),
            )
            for match in candidates(query, figures_only=True)
            if match.top1_percent is not None and match.record.precision == report.precision
        ]
        return tuple(sorted(found, key=lambda each: (each.latency_ms, each.name)))
    return ()


def is_of_imagenet(report: Report) -> bool:
    """Whether the report's accuracies may stand beside published ones; of one that does not say, they may."""
    return not report.dataset or canonical_dataset(report.dataset) == IMAGENET


def _conditions(record: LatencyRecord) -> str:
    version = f" {record.runtime_version}" if record.runtime_version else ""
    return (
        f"{record.board or record.chip}, {record.runtime}{version}, {record.precision}, batch {record.batch_size}, "
        f"{record.kind} ({record.statistic}); {record.source}"
    )
