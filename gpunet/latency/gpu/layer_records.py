"""V100 and GV100 from public times of single convolutions: what TensorRT took for each, learned and summed.

The records (Alibaba, lightweight-neural-architecture-search, Apache-2.0: convolutions on a V100 at batches of 1, 32, 64
and 128) were taken one convolution an engine. Trees learn the logarithm of a record over its estimate by the sheet
model; a record holds some microseconds that a convolution within a network does not pay: of those, a constant is left.
A depthwise convolution takes the faster of FP16 and FP32, for its FP16 records hold two changes of layout; a residual
costs its bytes, for the records with one hold a change of layout too. Swish, squeeze-excitation, pooling and the
classifier, of which there are no records, cost their bytes and the same constant.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gpunet.core.files import atomic_path
from gpunet.latency.gpu.boosted import BoostedTrees, read_trees
from gpunet.latency.gpu.kernels import KIND_CODE, KernelTable
from gpunet.latency.gpu.known import KnownNetworks, known_networks
from gpunet.latency.gpu.sheet_model import BYTES, START, kernel_us
from gpunet.latency.gpu.sheets import GpuSheet

FILE = Path(__file__).parent / "data" / "layers_v100.npz"
KNOWN_FILE = FILE.with_name("layers_known.npz")
V100 = GpuSheet("V100", "Volta", 80, 5120, 1530, 900, 6, 15.7, 31.4, 125, 0, 300)
RECORDED = ("conv", "depthwise")
RECORD_FLOOR_US = 10.3  # the fastest records of all: an engine of one convolution takes no less
# Share of the memory's speed: what the records' 1x1 convolutions of stride 1 over 50 MB and more reach, in the middle.
START_FORM = {"kernel_us": 4.7, "e_dram": 0.7, "x_norm": 4.4, "x_reduce": 3.5}
_STEP = 1000.0  # of a logarithm that is kept
BATCH_SIZES = (1, 128)  # of the records, the least and the most


def is_recorded(table: KernelTable) -> np.ndarray:
    """Which kernels the records have the like of, `n`: convolutions over a map."""
    return table.of_kind(*RECORDED) & (table.rows > 1)


def features(table: KernelTable, batch_size: int, precision: str) -> tuple[np.ndarray, np.ndarray]:
    """What the trees see of convolutions, `n x 22`, and the logarithm of their estimates by the sheet model, `n`."""
    base = np.log(kernel_us(table, V100, batch_size, precision, {**START, "l2_share": 1e-9}))
    rows, columns = table.rows * batch_size, table.columns * table.groups
    depthwise = table.of_kind("depthwise")
    in_channels = np.where(depthwise, columns, table.depth / table.kernel_size**2)
    out_px = np.sqrt(table.rows)
    moved, weights = table.moved * batch_size, np.maximum(table.weights, 1)
    flops = table.multiply_adds * batch_size
    waves = [np.ceil(rows / m) * np.ceil(columns / n) / V100.sms for m, n in ((256, 128), (128, 128), (64, 64))]
    found = [
        base, *map(np.log, (flops, moved, weights, rows, columns, table.depth, in_channels, out_px)),
        np.full(len(table), np.log(batch_size)), table.kernel_size, table.stride, depthwise, *waves,
        columns % 32 == 0, columns % 64 == 0, in_channels % 32 == 0, in_channels % 16 == 0,
        np.log(flops / (moved + weights)), np.log(in_channels / columns),
    ]  # fmt: skip
    return np.column_stack([each.astype(float) for each in found]), base


def recorded_us(table: KernelTable, batch_size: int, trees: Mapping[str, BoostedTrees] | None = None) -> np.ndarray:
    """Microseconds of convolutions as a record has them, `n`; of rows that `is_recorded` chooses."""
    trees = read_trees(FILE) if trees is None else trees
    seen, base = features(table, batch_size, "fp16")
    us = np.exp(trees["fp16"].predict(seen) + base)
    depthwise = table.of_kind("depthwise")
    if depthwise.any():
        seen, base = features(table, batch_size, "fp32")
        us = np.where(depthwise, np.minimum(us, np.exp(trees["fp32"].predict(seen) + base)), us)
    return us


@functools.cache
def recorded_of_known(batch_size: int) -> np.ndarray:
    """What `recorded_us` gives for the kernels of the known networks that `is_recorded` chooses.

    Kept for the usual batch sizes: to learn it anew takes seconds.
    """
    with np.load(KNOWN_FILE, allow_pickle=False) as file:
        kept = {int(name): file[name] for name in file.files}
    table = known_networks().all_kernels
    if batch_size in kept and len(kept[batch_size]) == int(is_recorded(table).sum()):
        return np.exp(kept[batch_size].astype(float) / _STEP)
    return recorded_us(taken(table, is_recorded(table)), batch_size)


def write_recorded_of_known(path: Path, known: KnownNetworks, batch_sizes: Sequence[int]) -> None:
    """Write the file that `recorded_of_known` reads, to a tenth of a percent."""
    table = known.all_kernels
    chosen = taken(table, is_recorded(table))
    arrays: dict[str, Any] = {
        str(size): np.round(np.log(recorded_us(chosen, size)) * _STEP).astype(np.uint16) for size in batch_sizes
    }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    with atomic_path(path) as part:
        part.write_bytes(buffer.getvalue())


def layer_us(
    table: KernelTable, batch_size: int, form: Mapping[str, float], recorded: np.ndarray | None = None
) -> np.ndarray:
    """Microseconds of each kernel within a network, `n`, each counted once, at FP16.

    Args:
        table: the kernels; grouped convolutions have no records, and are not to be asked for.
        batch_size: images a run.
        form: see START_FORM.
        recorded: what `recorded_us` gives for the rows that `is_recorded` chooses, where it is known.
    """
    chosen = is_recorded(table)
    bandwidth = V100.mem_bw_gbs * 1e3 * form["e_dram"]
    slow = np.ones(len(table))
    slow[table.of_kind("norm", "copy")] = form["x_norm"]
    slow[table.of_kind("reduce")] = form["x_reduce"]
    moved = (table.read + table.written) * batch_size + table.weights
    us = moved * BYTES["fp16"] / bandwidth * slow + form["kernel_us"]
    product = table.of_kind("linear", "attention", "grouped")
    if product.any():  # of many rows it computes more than it moves
        us[product] = np.maximum(us, kernel_us(table, V100, batch_size, "fp16", START))[product]
    if chosen.any():
        if recorded is None:
            recorded = recorded_us(taken(table, chosen), batch_size)
        residual = table.added[chosen] * batch_size * BYTES["fp16"] / bandwidth
        us[chosen] = np.maximum(recorded - RECORD_FLOOR_US, 0.0) + form["kernel_us"] + residual
    return us


def taken(table: KernelTable, which: np.ndarray) -> KernelTable:
    """Some rows of a table."""
    return KernelTable.from_matrix(table.matrix()[which], table.count[which])


def table_of_records(columns: Mapping[str, np.ndarray]) -> KernelTable:
    """Kernels of a file of single convolutions, without their residuals.

    Args:
        columns: kind ('conv' or 'depthwise'), in_channels, height_px, out_channels, kernel_size and stride, `n` each.
    """
    depthwise = columns["kind"] == "depthwise"
    inputs, outputs, kernel = columns["in_channels"], columns["out_channels"], columns["kernel_size"]
    rows = np.ceil(columns["height_px"] / columns["stride"]) ** 2
    depth = np.where(depthwise, 1, inputs) * kernel**2
    matrix = np.column_stack(
        [
            np.where(depthwise, KIND_CODE["depthwise"], KIND_CODE["conv"]), rows, np.where(depthwise, 1, outputs),
            depth, np.where(depthwise, outputs, 1), inputs * columns["height_px"] ** 2, outputs * rows,
            depth * outputs, np.zeros(len(rows)), kernel, columns["stride"],
        ]
    )  # fmt: skip
    return KernelTable.from_matrix(matrix, np.ones(len(rows)))
