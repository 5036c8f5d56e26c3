"""gpunet's ONNX files against a plain torch.onnx.export of the same networks, side by side in one run.

    python tools/bench_export.py                                   # the seven, on ONNX Runtime and OpenVINO
    python tools/bench_export.py --models gpunet_d1 --threads 1 --rounds 40 --json ratios.json

Two plain files are made: by torch's default exporter and by the one that traces (`dynamo=False`), both asked for opset
17. All files of a network run in turn, and lower quartiles are compared: whatever else runs on the machine only adds
time. That is repeated in blocks, each short enough for the machine to be in one mood, with the files loaded anew in
another order; the ratio is the median of the blocks', the +- half the distance of their quartiles. Above 1, gpunet's
file is faster. The networks are untrained: their values do not matter here.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch

import gpunet
from gpunet import runtime as runtimes
from gpunet.cli import console
from gpunet.export.images import image_shape
from gpunet.export.onnx import onnx_from_network
from gpunet.export.trace import quiet
from gpunet.files import write_text
from gpunet.runtime import Session
from gpunet.runtime.timing import Measurement, interleave, noise

OURS = "gpunet"
PLAIN: dict[str, dict[str, Any]] = {"default": {"verbose": False}, "traced": {"dynamo": False}}
PLAIN_OPSET = 17


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark with these arguments (default: the process's)."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--models", nargs="+", metavar="NAME", help="zoo entries (default: the seven released)")
    parser.add_argument(
        "--against", nargs="+", choices=list(PLAIN), default=list(PLAIN), help="plain exports to compare"
    )
    parser.add_argument("--runtimes", nargs="+", metavar="NAME", default=["onnxruntime", "openvino"])
    parser.add_argument("--threads", type=int, help="threads that compute (default: all that are available)")
    parser.add_argument("--blocks", type=int, default=6, help="ratios taken of each pair of files (default: 6)")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each file in a block (default: 5)")
    parser.add_argument("--runs", type=int, default=2, help="timed runs a turn (default: 2)")
    parser.add_argument(
        "--cpu-time",
        action="store_true",
        help="compare the processor time of the process in place of wall time: steadier where others use the machine; "
        "meant for --threads 1",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every measurement to FILE")
    parser.add_argument("--at-least", type=float, metavar="RATIO", help="exit 1 where a ratio is below this one")
    args = parser.parse_args(arguments)

    clock = time.process_time if args.cpu_time else time.perf_counter
    results: list[dict[str, Any]] = []
    for name in args.models or gpunet.list_models():
        with tempfile.TemporaryDirectory(prefix="gpunet-bench-") as folder:
            files, export_s, images = exported(name, Path(folder), args.against)
            for runtime in args.runtimes:
                how: dict[str, Any] = {"rounds": args.rounds, "runs_per_round": args.runs, "clock": clock}
                blocks = []
                for number in range(args.blocks):
                    blocks.append(interleave(load_all(runtime, files, args.threads, first=number), images, **how))
                results.append(compared(name, runtime, blocks, export_s))
                console.note(f"{name} on {runtime}: ratios {_ratios(results[-1]['ratios'])}")

    columns = ["network", "runtime", "ours ms>", *(f"{kind} ms>" for kind in args.against)]
    columns += [*(f"ratio to {kind}>" for kind in args.against), "export s>"]
    print(console.table(columns, [_row(result, args.against) for result in results]))
    summary = {
        runtime: geometric_means(result["ratios"] for result in results if result["runtime"] == runtime)
        for runtime in args.runtimes
    }
    for runtime, means in summary.items():
        print(f"{runtime}: geometric mean of the ratios {_ratios(means)}")
    if args.json:
        text = {"torch": torch.__version__, "geometric_means": summary, "results": results}
        write_text(args.json, json.dumps(text, indent=2) + "\n")
    slowest = min(value for result in results for value in result["ratios"].values())
    if args.at_least is not None and slowest < args.at_least:
        raise SystemExit(f"the least ratio is {slowest:.3f}, below {args.at_least}")


def exported(name: str, folder: Path, against: Sequence[str]) -> tuple[dict[str, Path], dict[str, float], Any]:
    """A network's files by kind, the seconds that each took to export, and images for them."""
    model: Any = gpunet.load(name, pretrained=False)
    shape = (1, *image_shape(model))
    files, export_s = {}, {}
    for kind in against:
        files[kind] = folder / kind / "plain.onnx"
        files[kind].parent.mkdir()
        started_s = time.perf_counter()
        with quiet():
            images = (torch.zeros(shape),)
            torch.onnx.export(model, images, str(files[kind]), opset_version=PLAIN_OPSET, **PLAIN[kind])
        export_s[kind] = time.perf_counter() - started_s
    started_s = time.perf_counter()
    files[OURS] = folder / "gpunet.onnx"
    onnx.save(onnx_from_network(model), files[OURS])
    export_s[OURS] = time.perf_counter() - started_s
    return files, export_s, noise(shape)


def load_all(runtime: str, files: Mapping[str, Path], threads: int | None, *, first: int) -> dict[str, Session]:
    """Sessions of the files, loaded in turn from the one numbered `first`.

    Where a network's weights come to lie in memory is worth a percent, and the network loaded first lies best.
    """
    kinds = list(files)
    start = first % len(kinds)
    return {kind: runtimes.get(runtime).load(files[kind], threads=threads) for kind in kinds[start:] + kinds[:start]}


def compared(
    name: str, runtime: str, blocks: Sequence[Mapping[str, Measurement]], export_s: Mapping[str, float]
) -> dict[str, Any]:
    """What one network measured on one runtime; a ratio is a plain file's time over that of gpunet's."""
    kinds = [kind for kind in blocks[0] if kind != OURS]
    ratios = {kind: [block[kind].p25_ms / block[OURS].p25_ms for block in blocks] for kind in kinds}
    quartiles = {kind: np.quantile(each, [0.25, 0.5, 0.75]).tolist() for kind, each in ratios.items()}
    return {
        "model": name,
        "runtime": runtime,
        "ratios": {kind: median for kind, (_, median, _) in quartiles.items()},
        "uncertainties": {kind: (high - low) / 2 for kind, (low, _, high) in quartiles.items()},
        "p25_ms": {kind: min(block[kind].p25_ms for block in blocks) for kind in blocks[0]},
        "export_s": dict(export_s),
        "blocks": [{kind: each.to_dict() for kind, each in block.items()} for block in blocks],
    }


def geometric_means(ratios: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Over the networks, by the kind of plain file."""
    chosen = list(ratios)
    return {kind: math.exp(math.fsum(math.log(each[kind]) for each in chosen) / len(chosen)) for kind in chosen[0]}


def _row(result: dict[str, Any], against: Sequence[str]) -> tuple[object, ...]:
    times = (f"{result['p25_ms'][kind]:.1f}" for kind in (OURS, *against))
    ratios = (f"{result['ratios'][kind]:.3f} +- {result['uncertainties'][kind]:.3f}" for kind in against)
    return (result["model"], result["runtime"], *times, *ratios, f"{result['export_s'][OURS]:.1f}")


def _ratios(values: Mapping[str, float]) -> str:
    return ", ".join(f"{value:.3f} to {kind}" for kind, value in values.items())


if __name__ == "__main__":
    console.run(main)
