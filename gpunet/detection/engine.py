"""A backbone, with its pyramid or alone, as a TensorRT-RTX engine: built from its verified ONNX file, and inspected.

A whole detector has outputs of no fixed size and suppression in its midst; TensorRT-RTX takes it from an ONNX file by
itself or not at all, and is not asked to here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from gpunet.core.files import atomic_path, check_writable, sha256_of, write_text
from gpunet.errors import InvalidArgumentError, VerificationError
from gpunet.exporters.graph.half import half_from_float
from gpunet.exporters.images import shipped_photographs, synthetic_picture
from gpunet.model.decoding import read_picture
from gpunet.runtime.trt.builder import BuildReport, build_engine
from gpunet.runtime.trt.library import TENSORRT_RTX
from gpunet.runtime.trt.options import BuildOptions

_PRECISIONS = ("fp32", "fp16")
_MOST_HALF = 0.05  # of a map's largest value


@dataclass(frozen=True)
class EngineExport:
    """What `export_engine` wrote.

    Args:
        path: the engine; PATH.json beside it says the same.
        precision: of its layers, proved by the builder's own report of them.
        onnx_sha256: of the ONNX file that it was made of.
        report: of the build.
        half_difference: of fp16: how far the half graph's maps are from float32's on ONNX Runtime, at most, relative to
            their largest value; None at fp32.
    """

    path: Path
    precision: str
    onnx_sha256: str
    report: BuildReport
    half_difference: float | None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {"path": str(self.path), "precision": self.precision, "onnx_sha256": self.onnx_sha256,
                "half_difference": self.half_difference, "report": self.report.to_dict()}  # fmt: skip

    def __str__(self) -> str:
        made, proof = self.report, self.report.precision
        half = "" if self.half_difference is None else f"; half is within {self.half_difference:.2g} of float32"
        return (
            f"{self.path}: {made.library} {made.version}, {self.precision}, {made.size_bytes / 1e6:.1f} MB, "
            f"{proof.layers} layers, {proof.compute_nodes} convolutions found in them{half}; not run"
        )


def export_engine(source: str | Path, path: str | Path, *, precision: str = "fp32") -> EngineExport:
    """Build an engine of a backbone, or of backbone and pyramid. It needs no GPU, and is not run.

    Args:
        source: the ONNX file that `gpunet.detection.export.export_detector` wrote of one of these.
        path: where to; by convention .engine or .plan.
        precision: 'fp32', or 'fp16': half weights and activations in the graph.

    Raises:
        InvalidArgumentError: (a ValueError) the file is a whole detector's, or another precision is asked for.
        MissingDependencyError: (an ImportError) TensorRT-RTX is not installed.
        VerificationError: (an ExportError) the maps in half are far from those in float32.
        ExportError: (a RuntimeError) the builder failed, or a layer is not in that precision.
    """
    source, path = Path(source), Path(path).expanduser()
    if precision not in _PRECISIONS:
        raise InvalidArgumentError(f"precision must be one of {', '.join(_PRECISIONS)}, but got {precision!r}.")
    model = onnx.load(str(source))
    if any(output.name == "boxes" for output in model.graph.output):
        raise InvalidArgumentError(
            "a whole detector is no TensorRT-RTX engine: its outputs are of no fixed size.",
            "Export the part that computes: --part pyramid.",
        )
    check_writable(path)
    graph, difference = model, None
    if precision == "fp16":
        graph = half_from_float(model)
        difference = _half_difference(model, graph)
    built = build_engine(TENSORRT_RTX, graph.SerializeToString(), BuildOptions(precision), several_outputs=True)
    with atomic_path(path) as part:
        part.write_bytes(built.data)
    found = EngineExport(path, precision, sha256_of(source), built.report, difference)
    about = {each.key: each.value for each in model.metadata_props}
    write_text(path.with_name(f"{path.name}.json"), json.dumps({**found.to_dict(), "network": about}, indent=2) + "\n")
    return found


def _half_difference(model: onnx.ModelProto, half: onnx.ModelProto) -> float:
    """On pictures; the graphs take them normalised, for which ImageNet's means and deviations are near enough."""
    import onnxruntime

    height, width = (size.dim_value for size in model.graph.input[0].type.tensor_type.shape.dim[2:])
    shipped = shipped_photographs()
    pictures = [read_picture(each) for each in shipped[:2]] if shipped else [synthetic_picture(0)]
    sessions = [
        onnxruntime.InferenceSession(each.SerializeToString(), providers=["CPUExecutionProvider"])
        for each in (model, half)
    ]
    worst = 0.0
    for picture in pictures:
        image = np.asarray(picture.resize((width, height)), np.float32).transpose(2, 0, 1)[None] / 255
        answers = [each.run(None, {"input": (image - 0.45) / 0.225}) for each in sessions]
        for one, other in zip(*answers, strict=True):
            worst = max(worst, float(np.abs(one - other).max()) / max(1e-12, float(np.abs(one).max())))
    if not worst <= _MOST_HALF:
        raise VerificationError(
            f"in half, a map is {worst:.2g} of its largest value from float32's, where {_MOST_HALF:g} are allowed.",
            "Export it at fp32.",
        )
    return worst
