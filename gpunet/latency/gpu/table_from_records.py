"""A latency table of the V100 without a V100: layers priced by the layer records, marked as estimated throughout.

The table's layers are those of any other, so that searches, tiers and plans take it; its processor says that nobody
measured it, and its method that no measured figure may be put among its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from gpunet.core.machine import Fingerprint
from gpunet.errors import InvalidArgumentError
from gpunet.latency.gpu.errors_left_out import LAYERS, calibration
from gpunet.latency.gpu.kernels import KIND_CODE, Kernel, KernelTable
from gpunet.latency.gpu.layer_records import BATCH_SIZES, layer_us
from gpunet.latency.gpu.scope import CONVOLUTIONAL, NotEstimatedError
from gpunet.latency.layers.convolutional import ConvLayerKey
from gpunet.latency.layers.keys import LayerKey
from gpunet.latency.records import LEAST_MS, LayerLatency, TableConditions
from gpunet.latency.table import LatencyTable
from gpunet.latency.worth import MARGIN
from gpunet.runtime.sidecar import now_utc

METHOD = "estimated-1"
PROCESSOR = "V100, estimated from public layer records"
_BATCH = 20_000  # layers written at once


def conditions(batch_size: int = 1) -> TableConditions:
    """What such a table says of itself: no machine measured it.

    Raises:
        NotEstimatedError: (a ValueError) the records have no batches of this size, nor around it.
    """
    least, most = BATCH_SIZES
    if not least <= batch_size <= most:
        raise NotEstimatedError(f"the layer records are of batches of {least} to {most}, but got {batch_size}.")
    here = Fingerprint(PROCESSOR, "", "", None, "tensorrt", "8.0", "fp16")
    return TableConditions(here, batch_size, METHOD)


def margin_factor(confidence: float = 0.8) -> float:
    """By what a network's sum is divided and multiplied for its interval; see `errors_left_out`."""
    return calibration().factor(LAYERS, CONVOLUTIONAL, confidence)


def fill(
    path: str | Path, keys: Iterable[LayerKey], *, batch_size: int = 1,
    on_progress: Callable[[int, int], None] | None = None,
) -> int:  # fmt: skip
    """Write the layers that a table lacks; returns how many were.

    Args:
        path: of the table, made if it is not there.
        keys: the layers, of convolutional networks.
        batch_size: images a run.
        on_progress: called with the layers written and wanted.

    Raises:
        InvalidArgumentError: (a ValueError) a layer is none of a convolutional network.
        TableError: (a RuntimeError) the table is of other conditions, or cannot be written.
    """
    with LatencyTable(path, conditions(batch_size)) as table:
        wanted = table.missing(dict.fromkeys(keys))
        prices_ms = layer_ms(wanted, batch_size)
        at = now_utc()
        rows = [(key.text, LayerLatency(ms, ms, 0.0, None, 0.0, 1, at))
                for key, ms in zip(wanted, prices_ms.tolist(), strict=True)]  # fmt: skip
        for begin in range(0, len(rows), _BATCH):
            table.add_rows(rows[begin : begin + _BATCH])
            if on_progress is not None:
                on_progress(min(begin + _BATCH, len(rows)), len(rows))
        table.note(MARGIN, repr(margin_factor()))
    return len(rows)


def layer_ms(keys: Sequence[LayerKey], batch_size: int = 1) -> np.ndarray:
    """What layers add to a network on a V100, in ms, `n`."""
    rows, owners = [], []
    for place, key in enumerate(keys):
        for kernel in kernels_of_key(key):
            rows.append(_row(kernel))
            owners.append(place)
    if not rows:
        return np.full(len(keys), LEAST_MS)
    unique, back = np.unique(np.array(rows, np.int64), axis=0, return_inverse=True)
    table = KernelTable.from_matrix(unique, np.ones(len(unique)))
    us = layer_us(table, batch_size, calibration().form)[back.reshape(-1)]
    return np.maximum(np.bincount(np.array(owners), us, len(keys)) / 1e3, LEAST_MS)


def _row(kernel: Kernel) -> tuple[int, ...]:
    return (
        KIND_CODE[kernel.kind], kernel.rows, kernel.columns, kernel.depth, kernel.groups, kernel.read, kernel.written,
        kernel.weights, kernel.added, kernel.kernel_size, kernel.stride,
    )  # fmt: skip


def kernels_of_key(key: LayerKey) -> list[Kernel]:
    """The kernels of a layer, as `fusion` finds them in its graph; of the run itself ('input') none.

    Raises:
        InvalidArgumentError: (a ValueError) it is none of a convolutional network.
    """
    if not isinstance(key, ConvLayerKey):
        raise InvalidArgumentError(
            f"the layer {key.text!r} is of another kind than the layer records: convolutions.",
            "Build the table by measuring: leave --from-records out.",
        )
    if key.kind == "input":
        return []
    if key.kind == "head":
        return _head(key)
    if key.kind == "conv":
        return _conv(key.in_channels, key.in_px, key.out_channels, key, key.activation)
    return _residual_block(key)


def _conv(
    inputs: int, in_px: int, outputs: int, key: ConvLayerKey | None, activation: str, *, depthwise: bool = False,
    added: int = 0,
) -> list[Kernel]:  # fmt: skip
    """A convolution and its swish; without `key` of 1x1."""
    size, stride, out_px = (key.kernel_size, key.stride, key.out_px) if key is not None else (1, 1, in_px)
    area, depth = out_px**2, size**2 * (1 if depthwise else inputs)
    made = [Kernel(
        "depthwise" if depthwise else "conv", area, 1 if depthwise else outputs, depth, outputs if depthwise else 1,
        inputs * in_px**2, outputs * area, depth * outputs, added, size, stride,
    )]  # fmt: skip
    if activation == "swish":
        made.append(Kernel("swish", read=outputs * area, written=outputs * area))
    return made


def _residual_block(key: ConvLayerKey) -> list[Kernel]:
    hidden, area = key.hidden_channels, key.out_px**2
    if key.kind == "fused_irb":
        found = _conv(key.in_channels, key.in_px, hidden, key, key.activation)
    else:
        found = _conv(key.in_channels, key.in_px, hidden, None, key.activation)
        found += _conv(hidden, key.in_px, hidden, key, key.activation, depthwise=True)
    if key.reduced_channels:
        found.append(Kernel("reduce", read=hidden * area, written=hidden))
        found += _conv(hidden, 1, key.reduced_channels, None, key.activation)
        found += _conv(key.reduced_channels, 1, hidden, None, "")
        found.append(Kernel("pointwise", read=hidden * area + hidden, written=hidden * area))
    added = key.out_channels * area if key.residual else 0
    return found + _conv(hidden, key.out_px, key.out_channels, None, "", added=added)


def _head(key: ConvLayerKey) -> list[Kernel]:
    hidden, features = key.hidden_channels, key.reduced_channels or key.hidden_channels
    found = _conv(key.in_channels, key.in_px, hidden, None, key.activation)
    found.append(Kernel("reduce", read=hidden * key.in_px**2, written=hidden))
    if key.reduced_channels:
        found += _conv(hidden, 1, key.reduced_channels, None, key.activation)
    weights = features * key.out_channels
    found.append(Kernel("linear", 1, key.out_channels, features, 1, features, key.out_channels, weights))
    return found
