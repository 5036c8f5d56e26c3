"""The precisions side by side: what FP16 and INT8 cost in accuracy and bring in speed, network by network.

    python tools/bench_precision.py                                   # the seven, on OpenVINO and ONNX Runtime
    python tools/bench_precision.py --models gpunet_p0 --calibrate ~/imagenet/val --weights gpunet_p0.safetensors
    python tools/bench_precision.py --at-least 1.4 --json precisions.json

Every file is verified first, on photographs. Then all files of a network run in turn and lower quartiles are compared:
whatever else runs on the machine only adds time. That is repeated in blocks; a ratio is the median of the blocks', the
+- half the distance of their quartiles. Above 1, the file is faster than FP32 on the same runtime.

Without --calibrate, crops of the photographs that installed packages ship are calibrated on. Without --weights, the
networks are untrained; their BatchNorm statistics are taken from the same crops, so that activations have the spread of
a trained network's, but which class is first is then chance.
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
from gpunet.errors import InvalidArgumentError
from gpunet.export.calibration import CalibrationImages, calibration_images
from gpunet.export.images import image_set, image_shape, shipped_photographs
from gpunet.export.onnx import onnx_from_network
from gpunet.export.openvino import export_openvino
from gpunet.export.precision import half_from_float
from gpunet.export.quantize import int8_from_float
from gpunet.export.verify_graph import pictures_of, verify_graph
from gpunet.files import write_text
from gpunet.runtime.timing import Measurement, interleave, noise

PRECISIONS = ("fp32", "fp16", "int8")
CROPS = 32


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark with these arguments (default: the process's)."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--models", nargs="+", metavar="NAME", help="zoo entries (default: the seven released)")
    parser.add_argument("--weights", type=Path, metavar="FILE", help="weights of the one model named")
    parser.add_argument(
        "--runtimes", nargs="+", choices=["openvino", "onnxruntime"], default=["openvino", "onnxruntime"]
    )
    parser.add_argument("--calibrate", metavar="FOLDER", help="pictures, or a dataset of timm's (default: crops)")
    parser.add_argument("--threads", type=int, help="threads that compute (default: all that are available)")
    parser.add_argument("--blocks", type=int, default=5, help="ratios taken of each file (default: 5)")
    parser.add_argument("--rounds", type=int, default=6, help="turns of each file in a block (default: 6)")
    parser.add_argument("--cpu-time", action="store_true", help="compare processor time; meant for --threads 1")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure to FILE")
    parser.add_argument("--at-least", type=float, metavar="RATIO", help="exit 1 where OpenVINO's INT8 mean is below it")
    args = parser.parse_args(arguments)

    clock = time.process_time if args.cpu_time else time.perf_counter
    results: list[dict[str, Any]] = []
    for name in args.models or gpunet.list_models():
        model: Any = gpunet.load(name, pretrained=args.weights is not None, weights=args.weights)
        shape = image_shape(model)
        calibrated_on = (
            crops(model, shape) if args.calibrate is None else calibration_images(model, shape, args.calibrate)
        )
        if args.weights is None:
            settle(model, calibrated_on)
        with tempfile.TemporaryDirectory(prefix="gpunet-bench-") as folder:
            files, facts = exported(model, shape, calibrated_on, Path(folder), args.runtimes)
            for runtime in args.runtimes:
                loaded = {
                    kind: runtimes.get(runtime).load(path, threads=args.threads)
                    for kind, path in files[runtime].items()
                }
                blocks = [
                    interleave(loaded, noise((1, *shape)), rounds=args.rounds, runs_per_round=2, clock=clock)
                    for _ in range(args.blocks)
                ]
                results.append(compared(name, runtime, blocks, facts))
                console.note(f"{name} on {runtime}: {_ratios(results[-1]['ratios'])}")

    print(console.table(["network", "runtime", "fp32 ms>", "fp16 ms>", "int8 ms>", "fp16 ratio>", "int8 ratio>",
                         "int8 cosine>", "verified"], [_row(result) for result in results]))  # fmt: skip
    summary = {
        runtime: geometric_means(result["ratios"] for result in results if result["runtime"] == runtime)
        for runtime in args.runtimes
    }
    for runtime, means in summary.items():
        print(f"{runtime}: geometric mean over {len(results) // len(args.runtimes)} networks: {_ratios(means)}")
    if args.json:
        text = {"torch": torch.__version__, "geometric_means": summary, "results": results}
        write_text(args.json, json.dumps(text, indent=2) + "\n")
    failed = [f"{result['model']} {fact}" for result in results for fact in result["failed"]]
    if failed:
        raise SystemExit(f"not verified: {', '.join(failed)}")
    reached = summary.get("openvino", {}).get("int8", math.inf)
    if args.at_least is not None and reached < args.at_least:
        raise SystemExit(f"INT8 on OpenVINO is {reached:.3f} times as fast as FP32, below {args.at_least}")


def crops(model: Any, shape: tuple[int, int, int], count: int = CROPS) -> CalibrationImages:
    """Random crops of the photographs that installed packages ship, prepared by the model's own transforms.

    Raises:
        InvalidArgumentError: (a ValueError) no package ships any.
    """
    from PIL import Image

    paths = shipped_photographs()
    if not paths:
        raise InvalidArgumentError("no installed package ships photographs.", "Pass --calibrate FOLDER.")
    photographs = [Image.open(path).convert("RGB") for path in paths]
    draw = np.random.default_rng(0)
    cut = []
    for number in range(count):
        photograph = photographs[number % len(photographs)]
        side = int(min(photograph.size) * draw.uniform(0.4, 1.0))
        left, top = (int(draw.integers(size - side + 1)) for size in photograph.size)
        cut.append((photograph.crop((left, top, left + side, top + side)), -1))
    return calibration_images(model, shape, cut, limit=count)


def settle(model: Any, images: Iterable[np.ndarray], batch_size: int = 8) -> None:
    """Give an untrained network the BatchNorm statistics of these images, layer by layer, in place."""
    batch = torch.from_numpy(np.stack([image for image, _ in zip(images, range(batch_size), strict=False)]))
    norms = [part for part in model.modules() if isinstance(part, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = 1.0
    model.train()
    with torch.inference_mode():
        model(batch)
    model.eval()


def exported(
    model: Any, shape: tuple[int, int, int], images: CalibrationImages, folder: Path, runtime_names: Sequence[str]
) -> tuple[dict[str, dict[str, Path]], dict[str, Any]]:
    """A network's files by runtime and precision, and what was verified of each."""
    judged_on = image_set(model, shape)
    single = onnx_from_network(model)
    files: dict[str, dict[str, Path]] = {runtime: {} for runtime in runtime_names}
    facts: dict[str, Any] = {}
    for runtime in runtime_names:
        quantized, report = int8_from_float(single, images, layout=runtime)
        graphs = {"fp32": single, "fp16": half_from_float(single), "int8": quantized}
        for precision, graph in graphs.items():
            on = pictures_of(judged_on) if precision == "int8" else judged_on
            if runtime == "openvino":
                path = folder / f"{precision}.xml"
                floats = report.float_layers if precision == "int8" else ()
                written = export_openvino(
                    graph, path, precision=precision, images=on, reference=single, float_layers=floats
                )
                verification, executed = written.verification, dict(written.executed)
            else:
                path, executed = folder / f"{precision}.onnx", {}
                verification = verify_graph(graph, single, runtime=runtime, precision=precision, images=on)
                onnx.save(graph, path)
            files[runtime][precision] = path
            size = path.stat().st_size + (path.with_suffix(".bin").stat().st_size if runtime == "openvino" else 0)
            facts[f"{runtime} {precision}"] = {
                "bytes": size, "executed": executed, "verification": verification.to_dict()}  # fmt: skip
            console.note(str(verification))
        facts[f"{runtime} int8"]["quantization"] = report.to_dict()
        console.note(str(report))
    return files, facts


def compared(
    name: str, runtime: str, blocks: Sequence[Mapping[str, Measurement]], facts: Mapping[str, Any]
) -> dict[str, Any]:
    """What one network measured on one runtime; a ratio is FP32's time over that of the other file."""
    others = [kind for kind in blocks[0] if kind != "fp32"]
    ratios = {kind: [block["fp32"].p25_ms / block[kind].p25_ms for block in blocks] for kind in others}
    quartiles = {kind: np.quantile(each, [0.25, 0.5, 0.75]).tolist() for kind, each in ratios.items()}
    own = {key.partition(" ")[2]: value for key, value in facts.items() if key.startswith(f"{runtime} ")}
    return {
        "model": name,
        "runtime": runtime,
        "ratios": {kind: median for kind, (_, median, _) in quartiles.items()},
        "uncertainties": {kind: (high - low) / 2 for kind, (low, _, high) in quartiles.items()},
        "p25_ms": {kind: min(block[kind].p25_ms for block in blocks) for kind in blocks[0]},
        "files": own,
        "failed": [kind for kind, each in own.items() if each["verification"]["outcome"] != "verified"],
        "blocks": [{kind: each.to_dict() for kind, each in block.items()} for block in blocks],
    }


def geometric_means(ratios: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Over the networks, by precision."""
    chosen = list(ratios)
    return {kind: math.exp(math.fsum(math.log(each[kind]) for each in chosen) / len(chosen)) for kind in chosen[0]}


def _row(result: dict[str, Any]) -> tuple[object, ...]:
    times = (f"{result['p25_ms'][kind]:.1f}" for kind in PRECISIONS)
    ratios = (f"{result['ratios'][kind]:.2f} +- {result['uncertainties'][kind]:.2f}" for kind in PRECISIONS[1:])
    report = result["files"]["int8"]["quantization"]
    outcome = "all" if not result["failed"] else f"not {', '.join(result['failed'])}"
    return (result["model"], result["runtime"], *times, *ratios, f"{report['mean_cosine']:.4f}", outcome)


def _ratios(values: Mapping[str, float]) -> str:
    return ", ".join(f"{kind} {value:.3f} times as fast as fp32" for kind, value in values.items())


if __name__ == "__main__":
    console.run(main)
