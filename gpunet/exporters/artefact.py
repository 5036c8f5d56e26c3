"""The files that `deploy` writes, one function a format: from a verified graph to a file with its sidecar."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib.metadata
import json
import platform
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpunet import runtime as runtimes
from gpunet.core.files import atomic_path, sha256_of
from gpunet.errors import ExportError, RuntimeUnavailableError, VerificationError
from gpunet.exporters.engine_key import load_engine
from gpunet.exporters.metadata import PREPROCESSING
from gpunet.exporters.request import Request
from gpunet.exporters.sidecar import Sidecar, now_utc, sidecar_path, write_sidecar
from gpunet.exporters.tensorrt import export_engine
from gpunet.exporters.verified_graph import VerifiedGraph
from gpunet.exporters.verify import TOLERANCES, Verification, compare, not_verified
from gpunet.runtime.trt.monitor import Progress

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Artefact:
    """A file that was written.

    Args:
        sidecar: what stands beside it.
        verification: of the file itself: the graph's for ONNX, else against ONNX Runtime.
        built: False where an engine was current and kept.
    """

    sidecar: Sidecar
    verification: Verification
    built: bool = True


def sidecar_of(model: nn.Module, request: Request, opset: int, command: Sequence[str]) -> Sidecar:
    """The sidecar as far as the model and the request fix it; the rest is filled in when the file is there."""
    entry, spec = getattr(model, "entry", None), getattr(model, "spec", None)
    runtime = "onnxruntime" if request.target == "onnx" else request.target
    flags: dict[str, Any] = {"opset": opset, "io_fp16": request.io_fp16}
    if request.precision == "int8":
        flags["int8_layout"] = request.layout
    return Sidecar(
        format=request.target,
        artefact_sha256="",
        artefact_bytes=0,
        onnx_sha256="",
        precision=request.precision,
        batch=request.batch.sizes,
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


def write_onnx(path: Path, graph: VerifiedGraph, side: Sidecar) -> Artefact:
    """The graph as it is."""
    with _writing(path):
        with atomic_path(path) as part:
            part.write_bytes(graph.final.SerializeToString())
        digest = sha256_of(path)
        known = {"artefact_sha256": digest, "onnx_sha256": digest, "artefact_bytes": path.stat().st_size}
        side = _reported(side, graph, graph.verification, **known)
        write_sidecar(path, side)
    return Artefact(side, graph.verification)


def write_openvino(path: Path, graph: VerifiedGraph, side: Sidecar, *, keep: bool) -> Artefact:
    """The graph as OpenVINO IR, compared with the float32 graph on ONNX Runtime; kept where it fails with `keep`."""
    from gpunet.exporters.openvino import export_openvino

    with _writing(path):
        made = export_openvino(
            graph.model,
            path,
            precision=side.precision,
            images=graph.images,
            reference=graph.float32,
            batch=graph.batch if graph.batch.dynamic else None,
            float_layers=() if graph.quantization is None else graph.quantization.float_layers,
            keep=keep,
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
    return Artefact(side, made.verification)


def write_engine(
    request: Request,
    graph: VerifiedGraph,
    side: Sidecar,
    *,
    cache: bool,
    keep: bool,
    on_progress: Callable[[Progress], None] | None,
) -> Artefact:
    """The graph as an engine, compared with ONNX Runtime where this machine can run it.

    Raises:
        VerificationError: (a RuntimeError) it does not compute what the network computes; it is removed unless `keep`.
        Besides those of `export_engine`.
    """
    path = request.path
    made = export_engine(
        graph.final.SerializeToString(),
        path,
        runtime=side.runtime,
        options=request.options,
        model=side.model,
        spec_sha256=side.spec_sha256,
        command=side.command,
        cache=cache,
        on_progress=on_progress,
    )
    verification = _verify_engine(path, graph, made.sidecar, request.io_fp16)
    written = _reported(made.sidecar, graph, verification)
    with _writing(path):
        write_sidecar(path, written)
    if verification.outcome == "failed" and not keep:
        path.unlink(missing_ok=True)
        sidecar_path(path).unlink(missing_ok=True)
        raise VerificationError(str(verification), "The engine has been removed. --keep leaves it for looking into it.")
    return Artefact(written, verification, built=made.build is not None)


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


def _reported(side: Sidecar, graph: VerifiedGraph, verification: Verification, **known: Any) -> Sidecar:
    """A sidecar with both comparisons, and with what quantisation did beside what a builder reported."""
    report = dict(side.report or {})
    if graph.quantization is not None:
        report["quantization"] = graph.quantization.to_dict()
    said = {**verification.to_dict(), "graph": graph.verification.to_dict()}
    properties = {each.key: each.value for each in graph.final.metadata_props}
    said_of_pictures = json.loads(properties.get(PREPROCESSING, "null"))
    return dataclasses.replace(
        side, verification=said, report=report or None, preprocessing=said_of_pictures, **known
    )  # fmt: skip


def _verify_engine(path: Path, graph: VerifiedGraph, sidecar: Sidecar, io_fp16: bool) -> Verification:
    """The engine against ONNX Runtime, where this machine can run it."""

    def not_compared(reason: str) -> Verification:
        reference = f"onnxruntime {runtimes.get('onnxruntime').version()}"
        candidate = f"{sidecar.runtime} {sidecar.runtime_version}"
        return not_verified(reference, candidate, sidecar.precision, f"{reason}; its ONNX graph was compared")

    if io_fp16:
        return not_compared("half at input and output is not what the comparison feeds")
    try:
        engine = load_engine(path)
    except RuntimeUnavailableError as error:
        return not_compared(error.message.rstrip("."))
    return compare(
        runtimes.get("onnxruntime").load(graph.float32),
        engine,
        graph.images,
        batch_sizes=graph.batch.ends,
        tolerance=TOLERANCES[sidecar.precision],
    )
