"""deploy: a network as the file that runs in production, at a precision, proved, with a sidecar that says what it is.

request         what was asked for, checked before any work
verified_graph  exported, brought to the precision asked for, compared with PyTorch through ONNX Runtime
artefact        that graph in the format of a runtime, compared with ONNX Runtime where this machine can run it
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpunet.exporters.artefact import export_graph
from gpunet.exporters.graph.opset import DEFAULT_OPSET
from gpunet.exporters.images import Images
from gpunet.exporters.request import check_request
from gpunet.exporters.verified_graph import verified_graph
from gpunet.exporters.verify import Verification
from gpunet.model.classes import classes_of
from gpunet.runtime.batch import BatchProfile
from gpunet.runtime.sidecar import Sidecar, sidecar_path
from gpunet.runtime.trt.monitor import Progress
from gpunet.runtime.trt.options import BuildOptions

if TYPE_CHECKING:
    from torch import nn

    from gpunet.exporters.int8.calibration import Calibration
    from gpunet.exporters.int8.quantize import QuantizationReport
    from gpunet.exporters.triton.repository import TritonReport


@dataclass(frozen=True)
class DeployReport:
    """What `deploy` wrote.

    Args:
        path: the file.
        sidecar: what stands beside it, as PATH.json.
        graph: the ONNX graph, at this precision, against PyTorch.
        verification: the file itself: the graph's for ONNX, else against ONNX Runtime.
        quantization: what INT8 did to the accuracy; None at other precisions.
        built: False where the file was current and kept.
        triton: the model's folder in a Triton repository; None where none was asked for.
    """

    path: Path
    sidecar: Sidecar
    graph: Verification
    verification: Verification
    quantization: QuantizationReport | None = None
    built: bool = True
    triton: TritonReport | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "path": str(self.path),
            "built": self.built,
            "graph": self.graph.to_dict(),
            "verification": self.verification.to_dict(),
            "quantization": None if self.quantization is None else self.quantization.to_dict(),
            "sidecar": self.sidecar.to_dict(),
            "triton": None if self.triton is None else self.triton.to_dict(),
        }

    def __str__(self) -> str:
        side = self.sidecar
        kept = "" if self.built else " (current: kept as it is)"
        lines = [
            f"{self.path}: {side.format}, {side.precision}, {side.artefact_bytes / 1e6:.1f} MB, "
            f"batch {BatchProfile(*side.batch)}{kept}",
            f"sidecar {sidecar_path(self.path)}",
        ]
        if self.quantization is not None:
            lines.append(str(self.quantization))
        if self.graph is not self.verification:
            lines.append(f"its ONNX graph {self.graph}")
        lines.append(str(self.verification))
        return "\n".join(lines if self.triton is None else [*lines, str(self.triton)])


def deploy(
    model: nn.Module,
    path: str | Path,
    *,
    target: str = "onnx",
    precision: str = "fp32",
    batch_size: int | tuple[int, int, int] = 1,
    input_px: int | tuple[int, int] | None = None,
    io_fp16: bool = False,
    opset: int = DEFAULT_OPSET,
    images: Images | None = None,
    calibration: Calibration | None = None,
    int8_layout: str | None = None,
    leave_out: Sequence[str] = (),
    options: BuildOptions | None = None,
    cache: bool = False,
    keep: bool = False,
    triton: str | Path | None = None,
    command: Sequence[str] = (),
    on_progress: Callable[[Progress], None] | None = None,
) -> DeployReport:
    """Write a network for production, with its sidecar. A file that fails its proof is not kept.

    Args:
        model: a GPUNet, or any convolutional network of timm's.
        path: where to: .onnx, .xml (OpenVINO; its .bin beside it) or an engine, by convention .engine or .plan.
        target: 'onnx', 'openvino', 'tensorrt' (for this machine's GPU) or 'tensorrt_rtx' (ahead of time, with or
            without a GPU).
        precision: 'fp32'; 'fp16': half weights and activations in the graph; 'bf16', for OpenVINO: weights in bfloat16,
            computed in bfloat16 where the processor has it, else in float32; 'int8': Q/DQ nodes by calibration.
        batch_size: images a run; or (least, optimal, most).
        input_px: side of the square input, or (height, width); None for the network's own.
        io_fp16: at fp16, half at input and output too (ONNX and engines).
        opset: of the ONNX graph.
        images: to compare on; see `gpunet.export`.
        calibration: for int8: a folder of pictures, one of timm's datasets, or see `calibration_images`.
        int8_layout: for an ONNX file, the runtime that its 8-bit integers are laid out for: 'tensorrt' (the default:
            the only one that a GPU takes), 'onnxruntime' or 'openvino' (for a processor, where ONNX Runtime runs
            TensorRT's layout slower than fp32). Triton serves the latter two on the processor.
        leave_out: names of layers that int8 leaves in float.
        options: how an engine is built; its precision and batch are those above.
        cache: keep an engine that is what this build would give.
        keep: keep a file that fails its proof, for looking into it.
        triton: a Triton model repository that gets the file too, as a model named like the file.
        command: the command line, for the sidecar.
        on_progress: called at every step of an engine's builder.

    Raises:
        InvalidArgumentError: (a ValueError) an argument breaks its rule.
        MissingDependencyError: (an ImportError) the target's package is not installed.
        RuntimeUnavailableError: (a RuntimeError) the engine cannot be built here; the hint says where.
        VerificationError: (a RuntimeError) the file does not compute what the network computes.
        ExportError: (a RuntimeError) it cannot be made, or not at this precision, or not be written.
    """
    request = check_request(
        path,
        target=target,
        precision=precision,
        batch_size=batch_size,
        io_fp16=io_fp16,
        calibration=calibration,
        int8_layout=int8_layout,
        leave_out=leave_out,
        options=options,
        cache=cache,
    )
    graph = verified_graph(
        model,
        precision=precision,
        batch=request.batch,
        input_px=input_px,
        opset=opset,
        io_fp16=io_fp16,
        layout=request.layout,
        images=images,
        calibration=calibration,
        leave_out=leave_out,
        keep=keep,
    )
    entry, spec = getattr(model, "entry", None), getattr(model, "spec", None)
    flags: dict[str, Any] = {"opset": opset, "io_fp16": io_fp16}
    if precision == "int8":
        flags["int8_layout"] = request.layout
    quantized = graph.quantization
    made = export_graph(
        graph.final,
        request.path,
        target=target,
        precision=precision,
        images=graph.images,
        reference=graph.float32,
        verification=graph.verification,
        batch=request.batch,
        float_layers=() if quantized is None else quantized.float_layers,
        options=request.options if request.format.is_engine else None,
        cache=cache,
        keep=keep,
        about={
            "model": None if entry is None else entry.name,
            "spec_sha256": None if spec is None else spec.sha256,
            "builder_flags": flags,
            "command": tuple(command),
            "graph": graph.verification,
        },
        report=None if quantized is None else {"quantization": quantized.to_dict()},
        held=graph.held,
        on_progress=on_progress,
    )
    report = DeployReport(request.path, made.sidecar, graph.verification, made.verification, quantized, made.built)
    if triton is None:
        return report
    from gpunet.exporters.triton.repository import export_triton

    served = export_triton(
        triton,
        request.path,
        graph.final,
        name=request.path.stem,
        precision=precision,
        batch=request.batch,
        labels=classes_of(model),
        device="cpu" if target == "onnx" and request.layout != "tensorrt" else None,
    )
    return dataclasses.replace(report, triton=served)
