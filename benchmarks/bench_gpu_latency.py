"""What estimates of GPU latency are worth on GPUs, families and sources that they know nothing of.

Printed, by the records that the package carries: errors with each chip, architecture and source left out, beside what
multiply-adds, bytes, kernel counts and sums by kind of kernel give; coverage and width of the intervals, each earned on
the other chips alone; one measurement as an anchor; the V100 by its layer records, each family left out with the form
chosen without it. `--held-out FILE` tries the package as it stands on records of the same columns as the gathered ones.
`--plot FILE` draws estimates beside measurements.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from gpunet.core import console
from gpunet.core.files import require
from gpunet.latency.gpu.calibration import Problem
from gpunet.latency.gpu.errors_left_out import calibration, factors_of
from gpunet.latency.gpu.estimator import GpuEstimator
from gpunet.latency.gpu.holdouts import (
    HeldOut,
    Layers,
    anchored,
    architecture,
    chip,
    families_held_out,
    held_out,
    larger_batches,
    source,
    transferred,
    trust_of,
)
from gpunet.latency.gpu.kernels import KERNEL_KINDS
from gpunet.latency.gpu.known import known_networks
from gpunet.latency.gpu.public_records import PublicRecord, public_records, records_of_file
from gpunet.latency.gpu.sheets import known_sheets

SHARE = 0.8


def problem_of(records: Sequence[PublicRecord]) -> Problem:
    """Records with what is known of their networks and GPUs."""
    known = known_networks()
    tables = {each.network: known.table(each.network) for each in records}
    return Problem(records, tables, {each.name: each for each in known_sheets()})


def kendall_tau(first: np.ndarray, second: np.ndarray) -> float:
    """Kendall's tau of two lists."""
    above = np.triu_indices(len(first), 1)
    signs = [np.sign(np.subtract.outer(each, each))[above] for each in (first, second)]
    return float((signs[0] * signs[1]).mean()) if len(first) > 1 else float("nan")


def mape(errors: np.ndarray) -> float:
    """Mean absolute percentage error, of logarithms of measured over estimated."""
    return float(np.abs(np.exp(-errors) - 1).mean()) * 100


def table(title: str, held: HeldOut, errors: np.ndarray, chosen: np.ndarray) -> None:
    """Print errors a unit, and pooled."""
    rows = []
    units = np.array(held.units)
    measured = np.array([each.latency_ms for each in held.records])
    estimated = measured / np.exp(errors)
    for unit in (*sorted(set(units[chosen])), ""):
        own = chosen & (units == unit) if unit else chosen
        rows.append(
            (unit or "all", int(own.sum()), f"{mape(errors[own]):.1f}", f"{np.exp(-np.median(errors[own])):.2f}",
             f"{kendall_tau(estimated[own], measured[own]):.2f}")
        )  # fmt: skip
    print(f"\n{title}\n")
    print(console.table(["left out", "records>", "MAPE %>", "estimate/measured, middle>", "tau>"], rows))


def coverage(held: HeldOut, errors: np.ndarray, chosen: np.ndarray) -> None:
    """Print how often intervals hold that were earned on the other units alone."""
    units, rows, held_shares = np.array(held.units), [], []
    for unit in sorted(set(units[chosen])):
        others = [place for place in np.flatnonzero(chosen) if units[place] != unit]
        grid = factors_of([float(errors[place]) for place in others], [str(units[place]) for place in others])
        factor = grid[round(SHARE * 100) - 1]
        own = np.abs(errors[chosen & (units == unit)])
        held_shares.append(float((own <= np.log(factor)).mean()))
        rows.append((unit, len(own), f"{factor:.2f}", f"{held_shares[-1]:.0%}"))
    rows.append(("all, units alike", int(chosen.sum()), "", f"{np.mean(held_shares):.0%}"))
    print(console.table(["left out", "records>", "factor>", "covered>"], rows))


def rivals(problem: Problem, unit: Callable[[PublicRecord], str]) -> None:
    """Print what simpler models give, each fitted on the other units by least squares of logarithms or of parts."""
    tables = [problem.tables[each.network] for each in problem.records]
    sheets = [problem.sheets[each.gpu] for each in problem.records]
    size = np.array([each.batch_size for each in problem.records], float)
    flops = np.array([2 * (t.multiply_adds * t.count).sum() for t in tables]) * size
    moved = np.array([2 * ((t.moved * t.count).sum()) for t in tables]) * size
    moved += np.array([2 * (t.weights * t.count).sum() for t in tables])
    kernels = np.array([t.count.sum() for t in tables])
    peak = np.array([max(s.fp16_tensor_tflops_dense, s.fp16_tflops, s.fp32_tflops) for s in sheets]) * 1e9
    bandwidth = np.array([s.mem_bw_gbs for s in sheets]) * 1e6
    clock = np.array([s.boost_mhz for s in sheets]) * 1e3
    kinds = np.array([[(2 * (t.multiply_adds * t.count))[t.of_kind(kind)].sum() for kind in KERNEL_KINDS[:5]]
                      for t in tables]) * size[:, None] / peak[:, None]  # fmt: skip
    bytes_of_kinds = np.array([[(2 * (t.moved * t.count))[t.of_kind(kind)].sum() for kind in KERNEL_KINDS]
                               for t in tables]) * size[:, None] / bandwidth[:, None]  # fmt: skip
    forms = {
        "multiply-adds over the sheet's rate": np.column_stack([flops / peak]),
        "multiply-adds and bytes": np.column_stack([flops / peak, moved / bandwidth]),
        "kernel count over the clock": np.column_stack([kernels / clock]),
        "sums by kind of kernel (as nn-Meter adds kernels)": np.column_stack([kinds, bytes_of_kinds, kernels / clock]),
    }
    units, measured, rows = np.array([unit(each) for each in problem.records]), problem.measured_ms(), []
    for name, parts in forms.items():
        errors = np.zeros(len(measured))
        for left in set(units):
            train = units != left
            weights = _relative_fit(parts[train], measured[train])
            errors[~train] = np.log(measured[~train] / np.maximum(parts[~train] @ weights, 1e-6))
        one = size == 1
        tau = kendall_tau((measured / np.exp(errors))[one], measured[one])
        rows.append((name, f"{mape(errors[one]):.1f}", f"{tau:.2f}"))
    print("\nRivals, batch 1, each chip left out\n")
    print(console.table(["model", "MAPE %>", "tau>"], rows))


def _relative_fit(parts: np.ndarray, measured: np.ndarray) -> np.ndarray:
    """Weights of at least nothing that make sums near the measured, each error as a share of its figure."""
    solve = require("scipy.optimize", "search", purpose="to fit the rivals").nnls
    weights: np.ndarray = solve(parts / measured[:, None], np.ones(len(measured)))[0]
    return weights


def layers_of_the_v100(problem: Problem) -> None:
    """Print the V100 by its layer records: families left out with the form chosen without them, larger batches."""
    at_one = Layers.of(problem).only(lambda each: each.batch_size == 1 and each.gpu == "V100")
    made = families_held_out(at_one)
    measured = np.array([each.latency_ms for each in at_one.records])
    errors = np.log(measured / made)
    rows = [(each.network, each.family, f"{ms:g}", f"{estimate:.2f}", f"{100 * (estimate / ms - 1):+.1f}")
            for each, ms, estimate in zip(at_one.records, measured, made, strict=True)]  # fmt: skip
    print("\nV100, batch 1, by layer records: family left out, the form chosen without it\n")
    print(console.table(["network", "family", "measured ms>", "estimated ms>", "off %>"], rows))
    ours = np.array([each.family == "gpunet" for each in at_one.records])
    print(f"\nMAPE {mape(errors):.1f} %, tau {kendall_tau(made, measured):.2f}; GPUNets {mape(errors[ours]):.1f} %")
    larger, estimated = larger_batches(Layers.of(problem))
    batches = np.array([each.batch_size for each in larger.records])
    errors = np.log(np.array([each.latency_ms for each in larger.records]) / estimated)
    said = ", ".join(f"{size}: {mape(errors[batches == size]):.1f}" for size in sorted(set(batches)))
    print(f"GPUNets at larger batches, nothing fitted on them: MAPE {mape(errors):.1f} % ({said})")


def package_on(path: Path) -> None:
    """Print how the package as it stands does on a file of records, by source and GPU."""
    by, rows, refused = GpuEstimator(), [], 0
    groups: dict[tuple[str, str], list[tuple[float, bool]]] = {}
    for each in records_of_file(path, every=True):
        try:
            found = by.estimate(each.network, each.gpu, each.batch_size, each.precision)
        except (ValueError, LookupError):
            refused += 1
            continue
        holds = found.conditions["low_ms"] <= each.latency_ms <= found.conditions["high_ms"]
        groups.setdefault((each.source_id, each.gpu), []).append(
            (float(np.log(each.latency_ms / found.latency_ms)), holds)
        )
    for (name, gpu), found_ in sorted(groups.items()):
        errors = np.array([error for error, _ in found_])
        rows.append((name, gpu, len(found_), f"{mape(errors):.1f}", f"{np.exp(-np.median(errors)):.2f}",
                     f"{np.mean([holds for _, holds in found_]):.0%}"))  # fmt: skip
    print(f"\n{path.name}: the package as it stands; {refused} records refused or of unknown networks\n")
    print(
        console.table(["source", "GPU", "records>", "MAPE %>", "estimate/measured, middle>", "in the interval>"], rows)
    )


def plot(path: Path, held: HeldOut) -> None:
    """Draw estimates of chips left out beside what was measured."""
    pyplot = require("matplotlib.pyplot", "plots", purpose="to draw")
    figure, axes = pyplot.subplots(figsize=(7, 6))
    measured = np.array([each.latency_ms for each in held.records])
    for unit in sorted(set(held.units)):
        own = np.array(held.units) == unit
        axes.scatter(measured[own], held.estimated_ms[own], s=14, label=unit)
    ends = [measured.min() / 1.5, measured.max() * 1.5]
    axes.plot(ends, ends, color="black", linewidth=0.8)
    axes.set(xscale="log", yscale="log", xlabel="measured, ms", ylabel="estimated with the chip left out, ms")
    axes.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def main() -> None:
    """Run the benchmark on the command line's arguments."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--held-out", type=Path, metavar="FILE", help="try the package on these records, and no more")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw estimates beside measurements")
    given = parser.parse_args()
    if given.held_out is not None:
        package_on(given.held_out)
        return
    problem = problem_of([each for each in public_records() if each.clean])
    layers_of_the_v100(problem)
    rivals(problem, chip)
    constants = calibration().constants
    by_chip = held_out(problem, chip, constants)
    one = np.array([each.batch_size == 1 for each in problem.records])
    table("By sheet, batch 1, each chip left out", by_chip, by_chip.errors, one)
    print("\nIntervals of 80 %, earned on the other chips\n")
    coverage(by_chip, by_chip.errors, one)
    table("By sheet, larger batches, each chip left out", by_chip, by_chip.errors, ~one)
    moved, known = transferred(by_chip, problem)
    table("Networks measured on other chips", by_chip, moved, one & known)
    trust = trust_of(by_chip.errors, by_chip)
    pairs = [pair for pair in anchored(moved, by_chip, trust) if one[pair[0]]]
    errors = np.array([error for _, error in pairs])
    ours = np.array([problem.records[place].family == "gpunet" for place, _ in pairs])
    within = np.exp(np.quantile(np.abs(errors), SHARE))
    print(f"\nOne anchor (trusted to {trust:.2f}), every other of its board and source: MAPE {mape(errors):.1f} %,")
    print(f"GPUNets {mape(errors[ours]):.1f} %; 80 % of the errors are within a factor of {within:.2f}")
    for title, unit in (("architecture", architecture), ("source", source)):
        held = held_out(problem, unit, constants)
        table(f"By sheet, batch 1, each {title} left out", held, held.errors, one)
        coverage(held, held.errors, one)
    if given.plot is not None:
        plot(given.plot, by_chip)


if __name__ == "__main__":
    console.run(main)
