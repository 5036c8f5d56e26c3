"""deploy: a network as the file that runs in production, at a precision, proved, with a sidecar that says what it is.

Every format begins with the same ONNX graph: exported, brought to the precision asked for, compared with PyTorch
through ONNX Runtime. ONNX keeps it; OpenVINO and the engines are made of it, and compared with ONNX Runtime in turn
where this machine can run them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.metadata
import platform
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpunet import runtime as runtimes
from gpunet.errors import ExportError, InvalidArgumentError, VerificationError
from gpunet.export.engine_key import load_engine
from gpunet.export.graph_types import check_precision
from gpunet.export.images import Images, ImageSet, image_set
from gpunet.export.onnx import check_graph, image_shape, onnx_from_network
from gpunet.export.opset import DEFAULT_OPSET
from gpunet.export.precision import check_half_range, half_from_float
from gpunet.export.sidecar import Sidecar, now_utc, sidecar_path, write_sidecar
from gpunet.export.tensorrt import check_engine_export, check_writable, export_engine
from gpunet.export.verify import TOLERANCES, Verification, compare, not_verified
from gpunet.export.verify_graph import pictures_of
from gpunet.files import atomic_path, require, sha256_of
from gpunet.runtime.batch import BatchProfile
from gpunet.runtime.trt.gpu import find_gpu
from gpunet.runtime.trt.monitor import Progress
from gpunet.runtime.trt.options import BuildOptions

if TYPE_CHECKING:
    from onnx import ModelProto
    from torch import nn

    from gpunet.export.calibration import Calibration
    from gpunet.export.quantize import QuantizationReport
    from gpunet.export.triton import TritonReport

FORMATS = {"onnx": ".onnx", "openvino": ".xml", "tensorrt": ".engine", "tensorrt_rtx": ".engine"}
ENGINES = ("tensorrt", "tensorrt_rtx")
# How 8-bit integers are laid out. TensorRT takes signed ones alone, and an ONNX file may go anywhere.
_LAYOUTS = {"onnx": "tensorrt", "tensorrt": "tensorrt", "tensorrt_rtx": "tensorrt", "openvino": "openvino"}


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
            f"batch {':'.join(map(str, side.batch))}{kept}",
            f"sidecar {sidecar_path(self.path)}",
        ]
        if self.quantization is not None:
            lines.append(str(self.quantization))
        if self.graph is not self.verification:
            lines.append(f"its ONNX graph {self.graph}")
        lines.append(str(self.verification))
        return "\n".join(lines if self.triton is None else [*lines, str(self.triton)])


@dataclass(frozen=True)
class _Graph:
    """A network's ONNX graph at the precision asked for, and what it was compared on."""

    float32: ModelProto
    model: ModelProto
    images: ImageSet
    batch: BatchProfile
    verification: Verification
    quantization: QuantizationReport | None


def deploy(
    model: nn.Module,
    path: str | Path,
    *,
    target: str = "onnx",
    precision: str = "fp32",
    batch_size: int | tuple[int, int, int] = 1,
    io_fp16: bool = False,
    opset: int = DEFAULT_OPSET,
    images: Images | None = None,
    calibration: Calibration | None = None,
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
        precision: 'fp32'; 'fp16': half weights and activations in the graph; 'int8': Q/DQ nodes by calibration.
        batch_size: images a run; or (least, optimal, most).
        io_fp16: at fp16, half at input and output too (ONNX and engines).
        opset: of the ONNX graph.
        images: to compare on; see `gpunet.export`.
        calibration: for int8: a folder of pictures, one of timm's datasets, or see `calibration_images`.
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
    path, options = check_request(
        path,
        target=target,
        precision=precision,
        batch_size=batch_size,
        io_fp16=io_fp16,
        calibration=calibration,
        options=options,
    )
    graph = _graph(model, batch_size, precision, opset, images, calibration, leave_out, _LAYOUTS[target], keep=keep)
    final = half_from_float(graph.float32, io_fp16=True) if io_fp16 else graph.model
    flags = {"opset": opset, "io_fp16": io_fp16}
    profile = (graph.batch.min, graph.batch.opt, graph.batch.max)
    side = _sidecar(model, target, precision, profile, flags, command)
    if target == "onnx":
        report = _write_onnx(path, final, graph, side)
    elif target == "openvino":
        report = _write_openvino(path, graph, side)
    else:
        how: dict[str, Any] = {"cache": cache, "keep": keep, "on_progress": on_progress}
        report = _write_engine(path, final, graph, side, options, io_fp16, **how)
    if triton is None:
        return report
    from gpunet.export.triton import export_triton

    served = export_triton(triton, path, final, name=path.stem, precision=precision, batch=graph.batch)
    return dataclasses.replace(report, triton=served)


def check_request(
    path: str | Path,
    *,
    target: str = "onnx",
    precision: str = "fp32",
    batch_size: int | tuple[int, int, int] = 1,
    io_fp16: bool = False,
    calibration: Calibration | None = None,
    options: BuildOptions | None = None,
) -> tuple[Path, BuildOptions]:
    """Everything about a request that can be known before there is a network: see `deploy`, for its errors too.

    Returns:
        The path, and the build options with the request's precision and batch.
    """
    path = Path(path).expanduser()
    if target not in FORMATS:
        raise InvalidArgumentError(f"target must be one of {', '.join(FORMATS)}, but got {target!r}.")
    if precision not in TOLERANCES:
        raise InvalidArgumentError(f"precision must be one of {', '.join(TOLERANCES)}, but got {precision!r}.")
    _check_suffix(path, target)
    if io_fp16 and (precision != "fp16" or target == "openvino"):
        raise InvalidArgumentError(
            f"io_fp16 goes with precision 'fp16' for ONNX and engines, but got {precision!r} for {target}.",
            "Leave io_fp16 out.",
        )
    if (precision == "int8") != (calibration is not None):
        given = "is not given" if calibration is None else f"is given for {precision}"
        raise InvalidArgumentError(
            f"calibration goes with int8 and int8 with calibration, but it {given}.",
            "A folder with a hundred pictures like those that the network will see does, or one of timm's datasets.",
        )
    batch = BatchProfile.parse(batch_size)
    profile = (batch.min, batch.opt, batch.max)
    options = dataclasses.replace(options or BuildOptions(), precision=precision, batch=profile)
    if target in ENGINES:
        check_engine_export(target, path, options)
    elif target == "openvino":
        require("openvino", "openvino", purpose="to write OpenVINO IR")
    check_writable(path)
    return path, options


def _check_suffix(path: Path, target: str) -> None:
    suffix, found = FORMATS[target], path.suffix.lower()
    if target in ENGINES:
        if found in (".onnx", ".xml", ".json"):
            raise InvalidArgumentError(
                f"an engine is no {found} file, but got {path}.", f"Try {path.with_suffix(suffix)}."
            )
    elif found != suffix:
        raise InvalidArgumentError(f"path must end in {suffix}, but got {path}.", f"Try {path.with_suffix(suffix)}.")


def _graph(
    model: nn.Module,
    batch_size: int | tuple[int, int, int],
    precision: str,
    opset: int,
    images: Images | None,
    calibration: Calibration | None,
    leave_out: Sequence[str],
    layout: str,
    *,
    keep: bool,
) -> _Graph:
    """The graph at the precision asked for, compared with PyTorch."""
    from gpunet.export.trace import detached_copy

    batch, shape = BatchProfile.parse(batch_size), image_shape(model)
    verified_on = image_set(model, shape, images)
    float32 = onnx_from_network(model, batch_size=batch_size, opset=opset)
    quantized: QuantizationReport | None = None
    proto = float32
    if precision == "fp16":
        check_half_range(float32, verified_on.arrays)
        proto = half_from_float(float32)
    elif precision == "int8":
        from gpunet.export.calibration import calibration_images
        from gpunet.export.quantize import int8_from_float

        chosen = calibration_images(model, shape, calibration)
        verified_on = pictures_of(verified_on)  # integers cover the range of pictures, not that of noise
        proto, quantized = int8_from_float(float32, chosen, layout=layout, leave_out=leave_out)
    check_graph(proto)
    check_precision(proto, precision, left_float=() if quantized is None else quantized.float_layers)
    verification = compare(
        runtimes.get("pytorch").load(detached_copy(model)),
        runtimes.get("onnxruntime").load(proto, precision="fp16" if precision == "fp16" else "fp32"),
        verified_on,
        batch_sizes=batch.ends,
        tolerance=TOLERANCES[precision],
    )
    verification = dataclasses.replace(verification, precision=precision)
    if not keep:
        verification.require_passed()
    return _Graph(float32, proto, verified_on, batch, verification, quantized)


def _sidecar(
    model: nn.Module,
    target: str,
    precision: str,
    profile: tuple[int, int, int],
    flags: dict[str, Any],
    command: Sequence[str],
) -> Sidecar:
    """The sidecar as far as the model and the request fix it; the rest is filled in when the file is there."""
    entry, spec = getattr(model, "entry", None), getattr(model, "spec", None)
    runtime = "onnxruntime" if target == "onnx" else target
    return Sidecar(
        format=target,
        artefact_sha256="",
        artefact_bytes=0,
        onnx_sha256="",
        precision=precision,
        batch=profile,
        runtime=runtime,
        runtime_version=runtimes.get(runtime).version(),
        model=None if entry is None else entry.name,
        spec_sha256=None if spec is None else spec.sha256,
        os=platform.system(),
        machine=platform.machine(),
        builder_flags=flags,
        command=tuple(command),
        gpunet_version=importlib.metadata.version("gpunet"),
        created=now_utc(),
    )


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    """An OSError as an ExportError that names the path; the old sidecar goes first, never to lie beside a new file."""
    try:
        sidecar_path(path).unlink(missing_ok=True)
        yield
    except OSError as error:
        raise ExportError(
            f"{path}: cannot be written: {error.strerror or error}.", "Choose a folder that you can write to."
        ) from error


def _reported(side: Sidecar, graph: _Graph, verification: Verification, **known: Any) -> Sidecar:
    report = None if graph.quantization is None else {"quantization": graph.quantization.to_dict()}
    said = {**verification.to_dict(), "graph": graph.verification.to_dict()}
    return dataclasses.replace(side, verification=said, **{"report": report, **known})


def _write_onnx(path: Path, final: ModelProto, graph: _Graph, side: Sidecar) -> DeployReport:
    with _writing(path):
        with atomic_path(path) as part:
            part.write_bytes(final.SerializeToString())
        digest = sha256_of(path)
        known = {"artefact_sha256": digest, "onnx_sha256": digest, "artefact_bytes": path.stat().st_size}
        side = _reported(side, graph, graph.verification, **known)
        write_sidecar(path, side)
    return DeployReport(path, side, graph.verification, graph.verification, graph.quantization)


def _write_openvino(path: Path, graph: _Graph, side: Sidecar) -> DeployReport:
    import hashlib

    from gpunet.export.openvino import export_openvino

    left = () if graph.quantization is None else graph.quantization.float_layers
    with _writing(path):
        made = export_openvino(
            graph.model,
            path,
            precision=side.precision,
            images=graph.images,
            reference=graph.float32,
            batch=graph.batch if graph.batch.dynamic else None,
            float_layers=left,
        )
        side = _reported(
            dataclasses.replace(side, builder_flags={**side.builder_flags, "executed": dict(made.executed)}),
            graph,
            made.verification,
            artefact_sha256=made.weights_sha256,
            artefact_bytes=made.size_bytes,
            onnx_sha256=hashlib.sha256(graph.model.SerializeToString()).hexdigest(),
        )
        write_sidecar(path, side)
    return DeployReport(path, side, graph.verification, made.verification, graph.quantization)


def _write_engine(
    path: Path,
    final: ModelProto,
    graph: _Graph,
    side: Sidecar,
    options: BuildOptions,
    io_fp16: bool,
    *,
    cache: bool,
    keep: bool,
    on_progress: Callable[[Progress], None] | None,
) -> DeployReport:
    made = export_engine(
        final.SerializeToString(),
        path,
        runtime=side.runtime,
        options=options,
        model=side.model,
        spec_sha256=side.spec_sha256,
        command=side.command,
        cache=cache,
        on_progress=on_progress,
    )
    verification = _verify_engine(path, graph, made.sidecar, io_fp16)
    known = {"outcome": verification.outcome, "reason": verification.reason}
    said = {**verification.to_dict(), **known, "graph": graph.verification.to_dict()}
    report = dict(made.sidecar.report or {})
    if graph.quantization is not None:
        report["quantization"] = graph.quantization.to_dict()
    written = dataclasses.replace(made.sidecar, verification=said, report=report)
    with _writing(path):
        write_sidecar(path, written)
    if verification.outcome == "failed" and not keep:
        path.unlink(missing_ok=True)
        sidecar_path(path).unlink(missing_ok=True)
        raise VerificationError(str(verification), "The engine has been removed. --keep leaves it for looking into it.")
    return DeployReport(
        path, written, graph.verification, verification, graph.quantization, built=made.build is not None
    )


def _verify_engine(path: Path, graph: _Graph, sidecar: Sidecar, io_fp16: bool) -> Verification:
    """The engine against ONNX Runtime, where this machine can run it."""
    reference = f"onnxruntime {runtimes.get('onnxruntime').version()}"
    candidate = f"{sidecar.runtime} {sidecar.runtime_version}"
    gpu = find_gpu()
    if gpu is None:
        reason = "this machine has no GPU to run the engine on; its ONNX graph was compared"
        return not_verified(reference, candidate, sidecar.precision, reason)
    if io_fp16:
        reason = "half at input and output is not what the comparison feeds; its ONNX graph was compared"
        return not_verified(reference, candidate, sidecar.precision, reason)
    if sidecar.compute_capabilities and gpu.compute_capability not in sidecar.compute_capabilities:
        reason = f"it is not for this machine's GPU, the {gpu.name}; its ONNX graph was compared"
        return not_verified(reference, candidate, sidecar.precision, reason)
    return compare(
        runtimes.get("onnxruntime").load(graph.float32),
        load_engine(path),
        graph.images,
        batch_sizes=graph.batch.ends,
        tolerance=TOLERANCES[sidecar.precision],
    )
