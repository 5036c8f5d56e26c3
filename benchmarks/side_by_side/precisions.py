"""A network at every precision, for `benchmarks/bench_export.py --precisions`: written, verified on photographs, timed.

Without pictures, crops of the photographs that installed packages ship are calibrated on. Without weights, the network
is untrained; its BatchNorm statistics are taken from the same crops, so that activations have the spread of a trained
network's, but which class is first is then chance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch

import gpunet
from gpunet.core import console
from gpunet.errors import InvalidArgumentError
from gpunet.exporters.artefact import export_graph
from gpunet.exporters.graph.bfloat16 import bfloat16_from_float
from gpunet.exporters.graph.half import half_from_float
from gpunet.exporters.images import image_set, image_shape, shipped_photographs
from gpunet.exporters.int8.calibration import CalibrationImages, calibration_images
from gpunet.exporters.int8.quantize import int8_from_float
from gpunet.exporters.onnx import onnx_from_network
from gpunet.exporters.verify_graph import pictures_of, verify_graph
from gpunet.runtime.timing import Measurement
from side_by_side.ratios import compared

BASE = "fp32"
PRECISIONS = (BASE, "fp16", "int8")
_LOWER: dict[str, Callable[[onnx.ModelProto], onnx.ModelProto]] = {"fp16": half_from_float, "bf16": bfloat16_from_float}
CROPS = 32
COLUMNS = ("network", "runtime", "fp32 ms>", "fp16 ms>", "int8 ms>", "fp16 ratio>", "int8 ratio>", "int8 cosine>",
           "verified")  # fmt: skip


def prepared(name: str, weights: Path | None, calibrate: str | None) -> tuple[Any, CalibrationImages]:
    """A network ready to be quantised, and the images to calibrate it on."""
    model: Any = gpunet.load(name, pretrained=weights is not None, weights=weights)
    shape = image_shape(model)
    images = crops(model, shape) if calibrate is None else calibration_images(model, shape, calibrate)
    if weights is None:
        settle(model, images)
    return model, images


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
    model: Any,
    images: CalibrationImages,
    folder: Path,
    runtime_names: Sequence[str],
    kinds: Sequence[str] = PRECISIONS,
) -> tuple[dict[str, dict[str, Path]], dict[str, Any]]:
    """A network's files by runtime and precision, int8 among them, and what was verified of each."""
    judged_on = image_set(model, image_shape(model))
    single = onnx_from_network(model)
    files: dict[str, dict[str, Path]] = {runtime: {} for runtime in runtime_names}
    facts: dict[str, Any] = {}
    for runtime in runtime_names:
        quantized, report = int8_from_float(single, images, layout=runtime)
        made = {"fp32": single, "int8": quantized}
        for precision in kinds:
            graph = made[precision] if precision in made else _LOWER[precision](single)
            on = pictures_of(judged_on) if precision == "int8" else judged_on
            if runtime == "openvino":
                path = folder / f"{precision}.xml"
                floats = report.float_layers if precision == "int8" else ()
                written = export_graph(
                    graph, path, target="openvino", precision=precision, images=on, reference=single,
                    float_layers=floats,
                )  # fmt: skip
                verification, executed = written.verification, dict(written.sidecar.builder_flags["executed"])
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


def result_of(
    name: str, runtime: str, blocks: Sequence[Mapping[str, Measurement]], facts: Mapping[str, Any]
) -> dict[str, Any]:
    """What one network measured on one runtime; a ratio is FP32's time over that of the other file."""
    own = {key.partition(" ")[2]: value for key, value in facts.items() if key.startswith(f"{runtime} ")}
    return {
        **compared(name, runtime, blocks, BASE, lambda base, other: base / other),
        "files": own,
        "failed": [kind for kind, each in own.items() if each["verification"]["outcome"] != "verified"],
    }


def row(result: dict[str, Any]) -> tuple[object, ...]:
    """The result as a row under COLUMNS."""
    times = (f"{result['p25_ms'][kind]:.1f}" for kind in PRECISIONS)
    ratios = (f"{result['ratios'][kind]:.2f} +- {result['uncertainties'][kind]:.2f}" for kind in PRECISIONS[1:])
    report = result["files"]["int8"]["quantization"]
    outcome = "all" if not result["failed"] else f"not {', '.join(result['failed'])}"
    return (result["model"], result["runtime"], *times, *ratios, f"{report['mean_cosine']:.4f}", outcome)
