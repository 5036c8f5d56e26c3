"""gpunet's exported files side by side in one run: against plain exports, or at every precision against FP32.

    python benchmarks/bench_export.py                                   # the seven, on ONNX Runtime and OpenVINO
    python benchmarks/bench_export.py --models gpunet_d1 --threads 1 --rounds 40 --json ratios.json
    python benchmarks/bench_export.py --precisions --at-least 1.4       # FP16, INT8 against FP32, each verified first
    python benchmarks/bench_export.py --precisions --models gpunet_p0 --calibrate ~/val --weights p0.safetensors

Two plain files are made: by torch's default exporter and by the one that traces (`dynamo=False`), both asked for opset
17. A ratio above 1 says that gpunet's file is faster than the plain one; with --precisions, that the file is faster
than FP32 on the same runtime. How it is measured: benchmarks/side_by_side/ratios.py.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from side_by_side import plain, precisions
from side_by_side.ratios import geometric_means, measured

import gpunet
from gpunet.core import console
from gpunet.core.files import write_text
from gpunet.exporters.images import image_shape
from gpunet.runtime.timing import noise


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark with these arguments (default: the process's)."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--precisions", action="store_true", help="compare FP16 and INT8 with FP32, each verified first"
    )
    parser.add_argument("--models", nargs="+", metavar="NAME", help="zoo entries (default: the seven released)")
    parser.add_argument(
        "--against", nargs="+", choices=list(plain.PLAIN), default=list(plain.PLAIN), help="plain exports to compare"
    )
    parser.add_argument("--weights", type=Path, metavar="FILE", help="with --precisions: of the one model named")
    parser.add_argument(
        "--calibrate", metavar="FOLDER", help="with --precisions: pictures, or a dataset of timm's (default: crops)"
    )
    parser.add_argument(
        "--runtimes", nargs="+", choices=["onnxruntime", "openvino"], default=["onnxruntime", "openvino"]
    )
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
    parser.add_argument(
        "--at-least",
        type=float,
        metavar="RATIO",
        help="exit 1 where a ratio is below this one; with --precisions, where OpenVINO's INT8 mean is",
    )
    args = parser.parse_args(arguments)

    results: list[dict[str, Any]] = []
    for name in args.models or gpunet.list_models():
        with tempfile.TemporaryDirectory(prefix="gpunet-bench-") as folder:
            run = _precisions if args.precisions else _plain
            for result in run(name, Path(folder), args):
                results.append(result)
                console.note(f"{name} on {result['runtime']}: ratios {_ratios(result['ratios'], args)}")

    if args.precisions:
        print(console.table(precisions.COLUMNS, [precisions.row(result) for result in results]))
    else:
        print(console.table(plain.columns(args.against), [plain.row(result, args.against) for result in results]))
    summary = {
        runtime: geometric_means(result["ratios"] for result in results if result["runtime"] == runtime)
        for runtime in args.runtimes
    }
    for runtime, means in summary.items():
        networks = len(results) // len(args.runtimes)
        print(f"{runtime}: geometric mean of the ratios over {networks} networks: {_ratios(means, args)}")
    if args.json:
        text = {"torch": torch.__version__, "geometric_means": summary, "results": results}
        write_text(args.json, json.dumps(text, indent=2) + "\n")
    judge(results, summary, args)


def _plain(name: str, folder: Path, args: argparse.Namespace) -> list[dict[str, Any]]:
    files, export_s, images = plain.exported(name, folder, args.against)
    return [
        plain.result_of(name, runtime, measured(runtime, files, images, **_how(args)), export_s)
        for runtime in args.runtimes
    ]


def _precisions(name: str, folder: Path, args: argparse.Namespace) -> list[dict[str, Any]]:
    model, calibrated_on = precisions.prepared(name, args.weights, args.calibrate)
    files, facts = precisions.exported(model, calibrated_on, folder, args.runtimes)
    images = noise((1, *image_shape(model)))
    return [
        precisions.result_of(name, runtime, measured(runtime, files[runtime], images, **_how(args)), facts)
        for runtime in args.runtimes
    ]


def _how(args: argparse.Namespace) -> dict[str, Any]:
    return {
        "blocks": args.blocks,
        "rounds": args.rounds,
        "runs": args.runs,
        "threads": args.threads,
        "clock": time.process_time if args.cpu_time else time.perf_counter,
    }


def judge(results: Sequence[dict[str, Any]], summary: Mapping[str, Any], args: argparse.Namespace) -> None:
    """Raise SystemExit where a file was not verified, or a ratio is below the least."""
    failed = [f"{result['model']} {fact}" for result in results for fact in result.get("failed", ())]
    if failed:
        raise SystemExit(f"not verified: {', '.join(failed)}")
    if args.at_least is None:
        return
    if args.precisions:
        reached = summary.get("openvino", {}).get("int8", math.inf)
        if reached < args.at_least:
            raise SystemExit(f"INT8 on OpenVINO is {reached:.3f} times as fast as FP32, below {args.at_least}")
        return
    slowest = min(value for result in results for value in result["ratios"].values())
    if slowest < args.at_least:
        raise SystemExit(f"the least ratio is {slowest:.3f}, below {args.at_least}")


def _ratios(values: Mapping[str, float], args: argparse.Namespace) -> str:
    if args.precisions:
        return ", ".join(f"{kind} {value:.3f} times as fast as fp32" for kind, value in values.items())
    return ", ".join(f"{value:.3f} to {kind}" for kind, value in values.items())


if __name__ == "__main__":
    console.run(main)
