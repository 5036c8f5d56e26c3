"""What may be estimated: kinds of networks, precisions, batch sizes and GPUs that estimates were tried on.

Outside of it an estimate is refused with the reason: nothing is extrapolated.
"""

from __future__ import annotations

import functools

import numpy as np

from gpunet.errors import InvalidArgumentError
from gpunet.latency.gpu.kernels import KernelTable
from gpunet.latency.gpu.known import KnownNetworks
from gpunet.latency.gpu.sheets import GpuSheet

CONVOLUTIONAL, ATTENTIVE = "convolutional", "attentive"
BATCH_SIZES = (1, 256)  # of the records that estimates were tried on
MULTIPLY_ADDS = (2e7, 2.6e12)  # of a network, for the whole batch
TRIED_ARCHITECTURES = ("Maxwell", "Pascal", "Volta", "Turing", "Ampere")
_NOT_TRIED = {
    "int8": "what INT8 saves depends on which layers TensorRT leaves in floating point",
    "bf16": "there are no public records of TensorRT in BF16",
    "fp32": "what TensorRT computes in TF32 is not said by most records",
}
_ESTIMATE_HINT = "Measure it: gpunet bench MODEL --trtexec prints the commands for a machine that has the GPU."


class NotEstimatedError(InvalidArgumentError):
    """An estimate is refused: what is asked for lies outside of what estimates were tried on."""


@functools.cache
def _of_known(known: KnownNetworks) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each known network its multiply-adds for one image, whether it is attentive, whether it has grouped ones."""
    table = known.all_kernels
    attentive = known.sums(table.of_kind("attention", "norm").astype(float)) > 0
    return known.sums(table.multiply_adds), attentive, known.sums(table.of_kind("grouped").astype(float)) > 0


def known_kind(known: KnownNetworks, name: str) -> str:
    """As `kind_of_network`."""
    return ATTENTIVE if _of_known(known)[1][known.number[name]] else CONVOLUTIONAL


def known_refusal(known: KnownNetworks, name: str, sheet: GpuSheet, batch_size: int) -> str:
    """As `refusal`."""
    work, _, grouped = _of_known(known)
    place = known.number[name]
    return _refusal(float(work[place]) * batch_size, bool(grouped[place]), sheet)


def kind_of_network(table: KernelTable) -> str:
    """'attentive' for networks that normalise or multiply activations at run time, which few records are of."""
    return ATTENTIVE if table.of_kind("attention", "norm").any() else CONVOLUTIONAL


def check_scope(precision: str, batch_size: int) -> None:
    """Raise NotEstimatedError for a precision or a batch size that estimates were not tried on."""
    if precision != "fp16":
        reason = _NOT_TRIED.get(precision, "it was not tried")
        raise NotEstimatedError(f"latency at {precision} is not estimated: {reason}.", "Ask for fp16, or measure.")
    least, most = BATCH_SIZES
    if not least <= batch_size <= most:
        raise NotEstimatedError(
            f"latency at batch {batch_size} is not estimated: estimates were tried at {least} to {most}.",
            _ESTIMATE_HINT,
        )


def refusal(table: KernelTable, sheet: GpuSheet, batch_size: int) -> str:
    """Why a network's latency on a GPU is not estimated; '' where it is."""
    work = float((table.multiply_adds * table.count).sum()) * batch_size
    return _refusal(work, bool(table.of_kind("grouped").any()), sheet)


def _refusal(work: float, grouped: bool, sheet: GpuSheet) -> str:
    least, most = MULTIPLY_ADDS
    if not least <= work <= most:
        return (
            f"its {work / 1e9:.3g} G multiply-adds a run lie outside of the {least / 1e9:g} to {most / 1e9:g} G tried"
        )
    if sheet.architecture == "Volta" and sheet.sms > 16 and grouped:
        return "TensorRT's grouped convolutions on a V100 take up to three times what any model here gives"
    return ""
