"""A graph as the file of a runtime: written apart, compared with the float32 graph, and only then put in its place."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpunet import runtime as runtimes
from gpunet.core.files import check_writable, sha256_of, unwritable
from gpunet.core.folders import staging
from gpunet.errors import RuntimeUnavailableError, VerificationError
from gpunet.exporters.graph.types import check_precision
from gpunet.exporters.metadata import CLASSES, PREPROCESSING
from gpunet.exporters.request import check_suffix
from gpunet.exporters.second_opinion import polygraphy_line
from gpunet.exporters.usage import deployment_facts
from gpunet.exporters.verify import Verification, compare, not_verified
from gpunet.exporters.verify_graph import insides
from gpunet.runtime.batch import BatchProfile
from gpunet.runtime.formats import Format, WriteRequest, Written
from gpunet.runtime.onnx_ports import image_input
from gpunet.runtime.sidecar import Sidecar, now_utc, read_sidecar, sidecar_path, write_sidecar

if TYPE_CHECKING:
    from onnx import ModelProto

    from gpunet.exporters.images import ImageSet
    from gpunet.exporters.int8.ranges import TensorRange

_HALF_PORTS = "half at input and output is not what the comparison feeds"


@dataclass(frozen=True)
class Artefact:
    """A file that was written.

    Args:
        path: the file.
        sidecar: what stands beside it.
        verification: of the file itself: the graph's for ONNX, else against ONNX Runtime.
        built: False where an engine was current and kept.
    """

    path: Path
    sidecar: Sidecar
    verification: Verification
    built: bool = True


def export_graph(
    model: ModelProto,
    path: str | Path,
    *,
    target: str,
    precision: str,
    images: ImageSet | None = None,
    reference: ModelProto | None = None,
    verification: Verification | None = None,
    batch: BatchProfile | None = None,
    float_layers: Sequence[str] = (),
    options: Any = None,
    cache: bool = False,
    keep: bool = False,
    about: Mapping[str, Any] | None = None,
    report: Mapping[str, Any] | None = None,
    held: Mapping[str, TensorRange] | None = None,
    on_progress: Callable[[Any], None] | None = None,
) -> Artefact:
    """Write an ONNX graph in a runtime's format, with its sidecar. Until all held, what is there stays as it is.

    Args:
        model: of one input and one output; in the precision named.
        path: where to; its folder is created.
        target: the format: 'onnx', 'openvino', 'tensorrt', 'tensorrt_rtx'.
        precision: 'fp32', 'fp16', 'bf16' or 'int8': what the graph is in.
        images: to compare on; None to compare nothing.
        reference: the graph that ONNX Runtime runs for the comparison, such as the float32 one; None for
            `model`, which leaves an ONNX file nothing to be compared with.
        verification: of the graph, which is that of an ONNX file.
        batch: the batch sizes that it takes; None for the graph's own.
        float_layers: layers of an int8 graph that may run in float.
        options: how an engine is built: gpunet.runtime.trt.options.BuildOptions.
        cache: keep an engine that is what this build would give.
        keep: keep a file that fails the comparison; its sidecar says so.
        about: more fields of the sidecar: model, spec_sha256, command, builder_flags; and the graph's Verification.
        report: what was done to the graph before, for the sidecar.
        held: what tensors held on the pictures that integers were calibrated on; see `verify_graph`.
        on_progress: called at every step of a builder.

    Raises:
        InvalidArgumentError: (a ValueError) an argument breaks its rule, or the options do not fit the graph.
        ExportError: (a RuntimeError) the graph is not in that precision, the runtime cannot take it or runs a quantised
            layer in float, or the files cannot be written.
        VerificationError: (an ExportError) the file does not compute what ONNX Runtime computes; it is not kept.
        RuntimeUnavailableError: (a RuntimeError) it cannot be made here; the hint says where.
        MissingDependencyError: (an ImportError) the runtime's package is not installed.
    """
    path = Path(path).expanduser()
    runtime, chosen = runtimes.format_named(target)
    check_writable(path)
    check_suffix(path, chosen)
    chosen.check(options)
    check_precision(model, precision, left_float=tuple(float_layers))
    request = WriteRequest(precision, batch, tuple(float_layers), options, on_progress)
    if cache and chosen.is_current(model, path, request):
        kept = read_sidecar(path)
        return Artefact(path, kept, _proof(chosen, runtime, path, kept.precision, model, images, reference, batch,
                                           verification, held), built=False)  # fmt: skip
    with staging(path.parent) as stage:
        made = stage / path.name
        written = chosen.write(model, made, request)
        compared = _proof(chosen, runtime, made, precision, model, images, reference, batch, verification, held)
        if compared.outcome == "failed" and not keep:
            raise VerificationError(str(compared), "Nothing has been written. keep=True leaves it for looking into it.")
        side = _sidecar(chosen, runtime, made, precision, model, batch, written, compared, about or {}, report)
        side = dataclasses.replace(side, polygraphy=polygraphy_line(path.name, model, side))
        try:
            # The old sidecar goes first, never to lie beside a new file; the new one comes last.
            sidecar_path(path).unlink(missing_ok=True)
            for new, old in zip(chosen.files(made), chosen.files(path), strict=True):
                if old != path:
                    path.unlink(missing_ok=True)  # nor an old file beside new weights
                os.replace(new, old)
            write_sidecar(path, side)
        except OSError as error:
            for each in chosen.files(path):
                each.unlink(missing_ok=True)
            raise unwritable(path, error) from error
    return Artefact(path, side, compared)


def _proof(
    chosen: Format,
    runtime: str,
    path: Path,
    precision: str,
    model: ModelProto,
    images: ImageSet | None,
    reference: ModelProto | None,
    batch: BatchProfile | None,
    verification: Verification | None,
    held: Mapping[str, TensorRange] | None,
) -> Verification:
    """How the file compares with the reference that ONNX Runtime runs, where this machine can run it."""
    known = runtimes.get("onnxruntime")

    def not_compared(reason: str) -> Verification:
        names = (f"onnxruntime {known.version()}", f"{runtime} {runtimes.get(runtime).version()}")
        return not_verified(*names, precision, reason)

    if chosen.any_runtime and verification is not None:
        return verification
    if images is None:
        return not_compared("nothing was compared")
    sound = model if reference is None else reference
    if chosen.any_runtime and sound is model:
        return not_compared("nothing to compare it with")
    if image_input(model).type.tensor_type.elem_type != 1:
        return not_compared(f"{_HALF_PORTS}; its ONNX graph was compared")
    try:
        candidate = known.load(model, precision=precision) if chosen.any_runtime else (
            chosen.open_for_proof(path, precision)
        )  # fmt: skip
    except RuntimeUnavailableError as error:
        return not_compared(f"{error.message.rstrip('.')}; its ONNX graph was compared")
    runs = "onnxruntime" if chosen.any_runtime else runtime
    return compare(
        known.load(sound), candidate, images, batch_sizes=None if batch is None else batch.ends, precision=precision,
        layers=insides(sound, model, model if chosen.any_runtime else path, runs, precision, images, batch, held),
    )  # fmt: skip


def _sidecar(
    chosen: Format,
    runtime: str,
    path: Path,
    precision: str,
    model: ModelProto,
    batch: BatchProfile | None,
    written: Written,
    compared: Verification,
    about: Mapping[str, Any],
    report: Mapping[str, Any] | None,
) -> Sidecar:
    proved, graph = compared.to_dict(), about.get("graph")
    if graph is not None and graph is not compared:  # of an ONNX file the graph's proof is its own
        proved["graph"] = graph.to_dict()
    properties = {each.key: each.value for each in model.metadata_props}
    hashed = chosen.hashed(path)
    sizes = written.batch or (BatchProfile.parse(1) if batch is None else batch).sizes
    facts = deployment_facts(
        model, chosen, path, precision=precision, batch=sizes, version=written.runtime_version
    )  # fmt: skip
    flags = {**about.get("builder_flags", {}), **written.flags}
    said = {**(written.report or {}), **(report or {})}
    return Sidecar(
        format=chosen.name, artefact_sha256=sha256_of(hashed),
        artefact_bytes=sum(each.stat().st_size for each in chosen.files(path)),
        onnx_sha256=written.onnx_sha256, precision=precision,
        batch=sizes,
        runtime=runtime, runtime_version=written.runtime_version, gpu=written.gpu,
        compute_capabilities=written.compute_capabilities, os=platform.system(), machine=platform.machine(),
        verification=proved, report=said or None,
        other_files_sha256={each.suffix: sha256_of(each) for each in chosen.files(path) if each != hashed},
        preprocessing=json.loads(properties.get(PREPROCESSING, "null")),
        classes=tuple(json.loads(properties.get(CLASSES, "[]"))), **facts,
        gpunet_version=importlib.metadata.version("gpunet"), created=now_utc(),
        **{key: value for key, value in about.items() if key not in ("builder_flags", "graph")},
        builder_flags=flags,
    )  # fmt: skip
