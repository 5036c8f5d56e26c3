"""Estimates of the zoo's entries, for queries: which known network an entry is, and which device a name means."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gpunet.core.device import Device
from gpunet.errors import UnknownDeviceError
from gpunet.latency.gpu.anchors import read_anchors
from gpunet.latency.gpu.estimator import GpuEstimator
from gpunet.latency.gpu.known import known_networks
from gpunet.latency.gpu.sheets import GpuSheet, chip_of, known_sheets, read_sheets, sheet_named
from gpunet.model.entry import TIMM, Entry, LatencyRecord


def name_of_entry(entry: Entry) -> str:
    """The name that the known networks have for an entry's, whether they hold it or not."""
    if entry.spec_data is not None or entry.architecture is None:
        return f"{entry.name}@{entry.input_px}"
    return f"{entry.architecture.partition('.')[0]}@{entry.input_px}"


def device_names() -> list[str]:
    """Short names of the devices whose sheets the package has: boards, then power modes and slices."""
    return [each.key for each in known_sheets()]


class EntryEstimates:
    """Estimates for one query's device; nothing that it does loads torch, but for networks of one's own.

    Args:
        device: its name.
        gpu_sheet: a file of sheets of one's own.
        confidence: of the intervals.

    Raises:
        UnknownDeviceError: (a LookupError) there is no sheet of that device.
        EntryError: (a ValueError) the file holds none.
    """

    def __init__(self, device: str, *, gpu_sheet: str | Path | None = None, confidence: float = 0.8) -> None:
        own = read_sheets(Path(gpu_sheet)) if gpu_sheet is not None else ()
        self.sheet: GpuSheet = sheet_named(device, own)
        self.by = GpuEstimator(anchors=read_anchors(self.sheet.key), confidence=confidence, sheets=own)

    @property
    def device(self) -> Device:
        """The device as records name it: those of its chip are of it, unless it is cut from a board."""
        return Device(chip_of(self.sheet), None, f"{self.sheet.name} ({self.sheet.architecture})")

    def records(self, entries: Sequence[Entry], batch_size: int, precision: str) -> dict[str, LatencyRecord]:
        """An estimated record of each entry that one may be made of, by its name.

        Raises:
            NotEstimatedError: (a ValueError) nothing is estimated at this precision or batch size.
        """
        known = known_networks()
        names = {each.name: name_of_entry(each) for each in entries}
        own = {
            each.name: (each.spec, each.num_classes) for each in entries
            if names[each.name] not in known and each.role not in (TIMM, "baseline") and each.spec is not None
        }  # fmt: skip
        found = self.by.estimates_of_known(list(dict.fromkeys(names.values())), self.sheet, batch_size, precision)
        made = {}
        for name, network in names.items():
            if network in found:
                made[name] = self.by.record(network if "@" in network else name, self.sheet, batch_size, found[network])
        for name, (spec, num_classes) in own.items():
            from gpunet.latency.gpu.networks import kernels_of_spec

            table = kernels_of_spec(spec, num_classes=num_classes)
            each = self.by.estimates({name: table}, self.sheet, batch_size, precision).get(name)
            if each is not None:
                made[name] = self.by.record(name, self.sheet, batch_size, each)
        return made


def has_sheet(device: str) -> bool:
    """Whether estimates exist for a device of this name."""
    try:
        sheet_named(device)
    except UnknownDeviceError:
        return False
    return True
