"""gpunet's ONNX file beside plain torch.onnx.exports of the same network."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx
import torch

import gpunet
from gpunet.exporters.graph.trace import quiet
from gpunet.exporters.images import image_shape
from gpunet.exporters.onnx import onnx_from_network
from gpunet.runtime.timing import Measurement, noise
from side_by_side.ratios import compared

OURS = "gpunet"
PLAIN: dict[str, dict[str, Any]] = {"default": {"verbose": False}, "traced": {"dynamo": False}}
PLAIN_OPSET = 17


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


def result_of(
    name: str, runtime: str, blocks: Sequence[Mapping[str, Measurement]], export_s: Mapping[str, float]
) -> dict[str, Any]:
    """What one network measured on one runtime; a ratio is a plain file's time over that of gpunet's."""
    return {
        **compared(name, runtime, blocks, OURS, lambda ours, plain: plain / ours),
        "export_s": dict(export_s),
    }


def columns(against: Sequence[str]) -> list[str]:
    """Of the table."""
    names = ["network", "runtime", "ours ms>", *(f"{kind} ms>" for kind in against)]
    return [*names, *(f"ratio to {kind}>" for kind in against), "export s>"]


def row(result: dict[str, Any], against: Sequence[str]) -> tuple[object, ...]:
    """The result as a row under `columns`."""
    times = (f"{result['p25_ms'][kind]:.1f}" for kind in (OURS, *against))
    ratios = (f"{result['ratios'][kind]:.3f} +- {result['uncertainties'][kind]:.3f}" for kind in against)
    return (result["model"], result["runtime"], *times, *ratios, f"{result['export_s'][OURS]:.1f}")
