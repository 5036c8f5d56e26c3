"""One estimator of GPU latency: of what it has it takes the best for the network and the device, and says which.

anchored        whatever follows, corrected by measurements on the device itself
layer records   V100 and GV100: the sum of recorded single convolutions
transferred     the network is measured on other GPUs: the sheet model, corrected by its error there
sheet           the specification sheet alone
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from gpunet.latency.gpu.anchors import Anchor
from gpunet.latency.gpu.calibration import Problem
from gpunet.latency.gpu.errors_left_out import (
    ANCHORED,
    LAYERS,
    SHEET,
    TRANSFERRED,
    UNTRIED,
    Calibration,
    calibration,
)
from gpunet.latency.gpu.kernels import KernelTable, joined
from gpunet.latency.gpu.known import known_networks
from gpunet.latency.gpu.layer_records import BATCH_SIZES, layer_us, recorded_of_known
from gpunet.latency.gpu.public_records import PublicRecord, public_records
from gpunet.latency.gpu.scope import (
    TRIED_ARCHITECTURES,
    NotEstimatedError,
    check_scope,
    kind_of_network,
    known_kind,
    known_refusal,
    refusal,
)
from gpunet.latency.gpu.sheet_model import kernel_us, network_ms
from gpunet.latency.gpu.sheets import GpuSheet, chip_of, sheet_named
from gpunet.model.entry import LatencyRecord

CONFIDENCE = 0.8
_LAYERED = ("V100", "Quadro GV100")


@dataclass(frozen=True)
class Estimate:
    """An estimate with its interval.

    Args:
        latency_ms: for the whole batch.
        low_ms, high_ms: bounds at the confidence that was asked for.
        method: which of the estimator's.
        rests_on: in words, what the interval comes from.
    """

    latency_ms: float
    low_ms: float
    high_ms: float
    method: str
    rests_on: str


@dataclass(frozen=True)
class GpuEstimator:
    """See the module.

    Args:
        anchors: measurements on the device that is asked for.
        confidence: of the intervals, 0 to 1.
        sheets: of one's own GPUs, by whose names devices may be asked for.
        calibrated: constants and errors; by default the package's.
        records: of other GPUs, for `transferred`; by default the package's.
        tables: kernels of networks by name, beside the known ones.
    """

    anchors: Sequence[Anchor] = ()
    confidence: float = CONFIDENCE
    sheets: tuple[GpuSheet, ...] = ()
    calibrated: Calibration = field(default_factory=calibration)
    records: Sequence[PublicRecord] | None = None
    tables: Mapping[str, KernelTable] = field(default_factory=dict)

    def estimate(
        self, network: str | KernelTable, device: str, batch_size: int = 1, precision: str = "fp16"
    ) -> LatencyRecord:
        """The latency of a network on a device, as an estimated record.

        Args:
            network: a name among the known networks or of `tables`, ARCHITECTURE@PX; or its kernels.
            device: a name of `sheets.sheet_named`.
            batch_size: images a run.
            precision: 'fp16'.

        Returns:
            A record of kind 'estimated'; its conditions hold low_ms, high_ms, confidence, method and what it rests on.

        Raises:
            NotEstimatedError: (a ValueError) estimates were not tried on the like; the message says why.
            UnknownDeviceError: (a LookupError) there is no sheet of that device.
        """
        check_scope(precision, batch_size)
        sheet = sheet_named(device, self.sheets)
        name = network if isinstance(network, str) else "given"
        table = self.table(network) if isinstance(network, str) else network
        reason = refusal(table, sheet, batch_size)
        if reason:
            raise NotEstimatedError(f"latency of {name} on {sheet.name} is not estimated: {reason}.")
        found = self.estimates({name: table}, sheet, batch_size)[name]
        return self.record(name, sheet, batch_size, found)

    def table(self, network: str) -> KernelTable:
        """The kernels of a network by name.

        Raises:
            NotEstimatedError: (a ValueError) they are not known.
        """
        if network in self.tables:
            return self.tables[network]
        known = known_networks()
        if network not in known:
            raise NotEstimatedError(
                f"the kernels of {network!r:.120} are not known.",
                "Give its exported ONNX file, or its kernels by gpunet.latency.gpu.kernels_of_onnx.",
            )
        return known.table(network)

    def estimates(
        self, tables: Mapping[str, KernelTable], sheet: GpuSheet, batch_size: int = 1, precision: str = "fp16"
    ) -> dict[str, Estimate]:
        """Of many networks at once, those that may be estimated.

        Args:
            tables: their kernels, by name.
            sheet: of the GPU.
            batch_size, precision: see `estimate`.
        """
        check_scope(precision, batch_size)
        able = {name: each for name, each in tables.items() if not refusal(each, sheet, batch_size)}
        if not able:
            return {}
        layered = self._is_layered(sheet, batch_size)
        plain = self._layers_ms(able, batch_size) if layered else self._sheet_ms(able, sheet, batch_size)
        kinds = [kind_of_network(each) for each in able.values()]
        return self._with_intervals(list(able), plain, kinds, sheet, layered)

    def estimates_of_known(
        self, names: Sequence[str], sheet: GpuSheet, batch_size: int = 1, precision: str = "fp16"
    ) -> dict[str, Estimate]:
        """As `estimates`, of known networks: every kernel is estimated once, whichever of them have it."""
        check_scope(precision, batch_size)
        known = known_networks()
        table, layered = known.all_kernels, self._is_layered(sheet, batch_size)
        if layered:
            us, run_ms = layer_us(table, batch_size, self.calibrated.form, recorded_of_known(batch_size)), 0.0
        else:
            us = kernel_us(table, sheet, batch_size, precision, self.calibrated.constants)
            run_ms = self.calibrated.constants["run_us"] / 1e3
        every_ms = known.sums(us) / 1e3 + run_ms
        able = [name for name in names if name in known and not known_refusal(known, name, sheet, batch_size)]
        plain = every_ms[[known.number[name] for name in able]]
        kinds = [known_kind(known, name) for name in able]
        return self._with_intervals(able, plain, kinds, sheet, layered)

    def _is_layered(self, sheet: GpuSheet, batch_size: int) -> bool:
        return sheet.name in _LAYERED and batch_size <= BATCH_SIZES[1]

    def _with_intervals(
        self, names: Sequence[str], plain: np.ndarray, kinds: Sequence[str], sheet: GpuSheet, layered: bool
    ) -> dict[str, Estimate]:
        base = LAYERS if layered else SHEET if sheet.architecture in TRIED_ARCHITECTURES else UNTRIED
        corrected = self._correction(sheet, layered)
        found = {}
        for name, kind, latency_ms in zip(names, kinds, plain, strict=True):
            method, value = base, float(latency_ms)
            elsewhere = 0.0 if layered else self._error_elsewhere(name, sheet)
            if elsewhere:
                value, method = value * elsewhere, TRANSFERRED if base == SHEET else base
            if corrected is not None:
                value, method = value * corrected, ANCHORED
            factor = self._factor(method, kind)
            found[name] = Estimate(value, value / factor, value * factor, method, self.calibrated.tried[method])
        return found

    def _factor(self, method: str, kind: str) -> float:
        return self.calibrated.factor(method, kind, self.confidence)

    def record(self, name: str, sheet: GpuSheet, batch_size: int, found: Estimate) -> LatencyRecord:
        """An estimate as a latency record of a network."""
        conditions = {
            "low_ms": _rounded(found.low_ms), "high_ms": _rounded(found.high_ms), "confidence": self.confidence,
            "method": found.method, "rests_on": found.rests_on, "anchors": len(self.anchors),
        }  # fmt: skip
        return LatencyRecord(
            name, chip_of(sheet), sheet.name, batch_size, "fp16", "tensorrt", "", "estimate",
            _rounded(found.latency_ms), "estimated", f"gpunet's estimate ({found.method})", conditions=conditions,
        )  # fmt: skip

    def _layers_ms(self, tables: Mapping[str, KernelTable], batch_size: int) -> np.ndarray:
        table, starts = joined(list(tables.values()))
        matrix, back = np.unique(table.matrix(), axis=0, return_inverse=True)
        once = KernelTable.from_matrix(matrix, np.ones(len(matrix)))
        us = layer_us(once, batch_size, self.calibrated.form)[back.reshape(-1)] * table.count
        return np.add.reduceat(us, starts) / 1e3

    def _sheet_ms(self, tables: Mapping[str, KernelTable], sheet: GpuSheet, batch_size: int) -> np.ndarray:
        table, starts = joined(list(tables.values()))
        return network_ms(table, starts, sheet, batch_size, "fp16", self.calibrated.constants)

    def _correction(self, sheet: GpuSheet, layered: bool) -> float | None:
        """What the anchors say that all estimates of the device are to be multiplied by; None without any."""
        if not self.anchors:
            return None
        errors = []
        for each in self.anchors:
            table = {each.network: self.table(each.network)}
            plain = (
                self._layers_ms(table, each.batch_size) if layered else self._sheet_ms(table, sheet, each.batch_size)
            )
            elsewhere = 0.0 if layered else self._error_elsewhere(each.network, sheet)
            errors.append(np.log(each.latency_ms / (float(plain[0]) * (elsewhere or 1.0))))
        trust = self.calibrated.trust
        return float(np.exp(np.sum(errors) * trust / (trust * len(errors) + 1.0 - trust)))

    def _error_elsewhere(self, name: str, sheet: GpuSheet) -> float:
        """How far the sheet model is off for a network on other GPUs, measured over estimated; 0 where nobody knows."""
        logs = [log for gpu, log in self._errors.get(name, ()) if chip_of(sheet_named(gpu)) != chip_of(sheet)]
        return float(np.exp(np.mean(logs))) if logs else 0.0

    @functools.cached_property
    def _errors(self) -> dict[str, list[tuple[str, float]]]:
        """Of each network that is measured, the logarithm of measured over estimated on each GPU, less its bias."""
        records = public_records() if self.records is None else self.records
        return errors_of_networks(records, self)


def errors_of_networks(records: Sequence[PublicRecord], by: GpuEstimator) -> dict[str, list[tuple[str, float]]]:
    """Of each network of clean records at batch 1, its GPUs with the logarithmic error there, less the GPU's middle.

    What remains is the network's own: the part that travels to another GPU.
    """
    clean = [each for each in records if each.clean and each.batch_size == 1]
    tables = {each.network: by.table(each.network) for each in clean}
    problem = Problem(clean, tables, {each.gpu: sheet_named(each.gpu) for each in clean})
    logs = np.log(problem.measured_ms() / problem.estimated_ms(by.calibrated.constants)) if clean else np.zeros(0)
    of_gpu: dict[tuple[str, str], list[float]] = {}
    for each, log in zip(clean, logs, strict=True):
        of_gpu.setdefault((each.gpu, each.source_id), []).append(float(log))
    found: dict[str, list[tuple[str, float]]] = {}
    for each, log in zip(clean, logs, strict=True):
        middle = float(np.median(of_gpu[each.gpu, each.source_id]))
        found.setdefault(each.network, []).append((each.gpu, float(log) - middle))
    return found


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")
