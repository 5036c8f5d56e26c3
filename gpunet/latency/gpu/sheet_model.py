"""Latency of kernels on a GPU that is known by its specification sheet alone.

Notation, of one kernel at a batch size b:

    M, N, K, G   rows, columns, depth and groups of its product (M and the bytes are for all b images)
    R            multiply-add rate in FLOP/us, of the tensor cores where there are any, else of the other cores
    P            multiprocessors; f their clock in MHz
    t_compute    over the tilings (tile_m x tile_n, split of K) the least of: time of one tile on one multiprocessor,
                 times the waves that the tiles need over P; a tile's efficiency grows with its perimeter's share
    t_memory     bytes over the bandwidth, those that fit the second-level cache at the cache's
    t_fixed      start, and the latency of a chain of instructions, in cycles
    t            (t_compute^p + t_memory^p)^(1/p) + t_fixed

The latency of a network is the sum over its kernels. The constants are of all GPUs, and are fitted on public records of
TensorRT (`calibration`); none is of one GPU.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from gpunet.latency.gpu.kernels import KernelTable
from gpunet.latency.gpu.sheets import GpuSheet

BYTES = {"fp32": 4, "fp16": 2}
TILES = ((256, 128), (128, 128), (128, 64), (64, 64), (64, 32), (32, 32), (8, 64))
SPLITS = (1, 4, 16)
# What calibration begins at; the fitted ones are data.
START = {
    "e_tensor": 0.89, "e_cores": 0.755, "a_tile": 21.3, "e_depthwise": 0.154, "e_dram": 0.65, "fixed_us": 0.76,
    "fixed_cycles": 9560.0, "winograd": 2.28, "power": 1.225, "x_norm": 4.42, "x_copy": 2.0, "x_reduce": 3.48,
    "d_depthwise": 0.395,
    "occupancy": 2.0, "l2_share": 0.05, "e_l2": 20.0, "grouped": 1.0, "run_us": 1.5, "x_pointwise": 1.0, "x_swish": 0.5,
}  # fmt: skip
_SYNC_CYCLES = 600.0  # of adding up a split product


def rates(sheet: GpuSheet, precision: str) -> tuple[float, float]:
    """FLOP/us of the tensor cores (0: none) and of the other cores; TF32 is not counted on: FP32 is FP32."""
    if precision == "fp32":
        return 0.0, sheet.fp32_tflops * 1e6
    # Where FP16 is crippled, TensorRT computes in FP32.
    cores = sheet.fp32_tflops if sheet.fp16_tflops < sheet.fp32_tflops / 2 else sheet.fp16_tflops
    return sheet.fp16_tensor_tflops_dense * 1e6, cores * 1e6


def kernel_us(
    table: KernelTable, sheet: GpuSheet, batch_size: int, precision: str, c: Mapping[str, float]
) -> np.ndarray:
    """Microseconds of each kernel, `n`, each counted once."""
    tensor, cores = rates(sheet, precision)
    size, clock = BYTES[precision], sheet.boost_mhz
    power = 1.0 + c["power"]
    memory = _memory_us(table, sheet, batch_size, size, c)
    compute = np.zeros(len(table))
    multiplies = table.of_kind("conv", "grouped", "linear", "attention")
    if multiplies.any():
        compute[multiplies] = _product_us(table, multiplies, sheet, batch_size, tensor, cores, c)
    depthwise = table.of_kind("depthwise")
    slow = np.where(table.kernel_size > 7, 6.0, 1.0)
    flops = 2.0 * table.multiply_adds * batch_size
    compute[depthwise] = (flops * slow / (sheet.fp32_tflops * 1e6 * c["e_depthwise"]))[depthwise]
    fixed = (c["fixed_us"] + c["fixed_cycles"] / clock) * np.where(depthwise, 1.0 + c["d_depthwise"], 1.0)
    us = (compute**power + memory**power) ** (1.0 / power) + fixed
    return us * np.where(table.of_kind("swish"), c["x_swish"], 1.0)


def network_ms(
    table: KernelTable, starts: np.ndarray, sheet: GpuSheet, batch_size: int, precision: str, c: Mapping[str, float], *,
    swish_apart: bool = False,
) -> np.ndarray:  # fmt: skip
    """Milliseconds of networks, one for each of `starts`, whose kernels are joined in `table`.

    Args:
        swish_apart: for a release of TensorRT that runs every swish as a kernel (8.0 and before).
    """
    us = kernel_us(table, sheet, batch_size, precision, {**c, "x_swish": 1.0} if swish_apart else c)
    return (np.add.reduceat(us * table.count, starts) + c["run_us"]) / 1e3


def _memory_us(table: KernelTable, sheet: GpuSheet, batch_size: int, size: int, c: Mapping[str, float]) -> np.ndarray:
    moved, weights = table.moved * batch_size * size, table.weights * size
    kept = c["l2_share"] * sheet.l2_mb * 1e6
    from_cache = kept / (kept + moved + 1.0)  # of a map that the kernel before has just written
    dram = sheet.mem_bw_gbs * 1e3 * c["e_dram"]
    cache = sheet.sms * sheet.boost_mhz * c["e_l2"]  # bytes a microsecond
    slow = np.ones(len(table))
    slow[table.of_kind("norm")], slow[table.of_kind("copy")] = c["x_norm"], c["x_copy"]
    slow[table.of_kind("reduce")] = c["x_reduce"]
    slow[table.of_kind("pointwise", "pool", "swish")] = c["x_pointwise"]
    return slow * (moved * (from_cache / np.maximum(cache, dram) + (1.0 - from_cache) / dram) + weights / dram)


def _product_us(
    table: KernelTable, which: np.ndarray, sheet: GpuSheet, batch_size: int, tensor: float, cores: float,
    c: Mapping[str, float],
) -> np.ndarray:  # fmt: skip
    attention = table.of_kind("attention")[which]
    rows = table.rows[which] * np.where(attention, 1, batch_size)
    groups = table.groups[which] * np.where(attention, batch_size, 1)
    unit = 8 if tensor else 4
    columns, depth = (np.ceil(each[which] / unit) * unit for each in (table.columns, table.depth))
    rate = (tensor * c["e_tensor"] if tensor else cores * c["e_cores"]) / sheet.sms
    fast = (
        (table.kernel_size[which] == 3) & (table.stride[which] == 1) & (depth >= 144) & (table.of_kind("conv")[which])
    )
    gain = np.where(fast, c["winograd"], 1.0) if not tensor else 1.0
    best = np.full(len(rows), np.inf)
    for tile_m, tile_n in TILES:
        share = tile_m * tile_n / (tile_m + tile_n)
        share /= share + c["a_tile"]
        tiles = np.ceil(rows / tile_m) * np.ceil(columns / tile_n) * groups
        for split in SPLITS:
            each = tiles * split / sheet.sms
            waves = np.maximum(1.0, np.where(each <= c["occupancy"], np.ceil(each), each))
            us = 2.0 * tile_m * tile_n * 32 * np.ceil(depth / split / 32) / (rate * share) * waves / gain
            if split > 1:
                us = us + _SYNC_CYCLES / sheet.boost_mhz
                us = us + 8 * rows * columns * groups * split / (20 * sheet.sms * sheet.boost_mhz)
                us = np.where(depth >= 64 * split, us, np.inf)
            best = np.minimum(best, us)
    return best * np.where(table.of_kind("grouped")[which], c["grouped"], 1.0)
