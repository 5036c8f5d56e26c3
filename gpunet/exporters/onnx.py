"""export: a network as one self-contained ONNX file, kept only if it computes what the network computes."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx

from gpunet import runtime as runtimes
from gpunet.core.files import atomic_path, sha256_of
from gpunet.errors import ExportError, InvalidArgumentError
from gpunet.exporters.graph import rewrite
from gpunet.exporters.graph.opset import DEFAULT_OPSET, check_opset
from gpunet.exporters.images import Images, image_set, image_shape
from gpunet.exporters.metadata import REPARAMETERIZED, properties_of
from gpunet.exporters.verify import Verification, compare
from gpunet.runtime.batch import BatchProfile

if TYPE_CHECKING:
    from torch import nn

__all__ = ["ExportReport", "export", "image_shape", "onnx_from_network"]


@dataclass(frozen=True)
class ExportReport:
    """What `export` wrote.

    Args:
        path: the file.
        size_bytes: its size.
        sha256: of its content, in hex.
        opset: its ONNX opset.
        batch: the batch sizes it takes.
        image_shape: channels, height and width of an image.
        verification: how it was compared with PyTorch, and the figures.
    """

    path: Path
    size_bytes: int
    sha256: str
    opset: int
    batch: BatchProfile
    image_shape: tuple[int, int, int]
    verification: Verification

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "path": str(self.path),
            "size_bytes": self.size_bytes,
            "sha256": self.sha256,
            "opset": self.opset,
            "batch": asdict(self.batch),
            "image_shape": list(self.image_shape),
            "verification": self.verification.to_dict(),
        }

    def __str__(self) -> str:
        shape = " x ".join(map(str, self.image_shape))
        return (
            f"{self.path}: {self.size_bytes / 1e6:.1f} MB, opset {self.opset}, batch {self.batch}, images {shape}\n"
            f"sha256 {self.sha256}\n{self.verification}"
        )


def export(
    model: nn.Module,
    path: str | Path,
    *,
    batch_size: int | tuple[int, int, int] = 1,
    opset: int = DEFAULT_OPSET,
    input_px: int | tuple[int, int] | None = None,
    images: Images | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> ExportReport:
    """Write a network as one ONNX file, checked by ONNX and compared with PyTorch through ONNX Runtime.

    The file appears at `path` only when everything held; until then whatever is there stays as it is. The model is
    not touched: a copy of it is exported, in float32 and evaluation mode.

    Args:
        model, batch_size, opset, input_px, metadata: see `onnx_from_network`.
        path: where to; ends in .onnx. Its folder is created.
        images: pictures to compare on (files, or a folder), or preprocessed images as a float32 array
            `n x C x H x W`. None for photographs that an installed package ships, else synthetic pictures: the report
            says which. Two images of noise are always added. A batch range is tried at both ends.

    Returns:
        Size, SHA-256, opset, batch sizes, and the comparison: largest and mean difference, cosine, top-1 agreement.

    Raises:
        InvalidArgumentError: (a ValueError) an argument breaks its rule.
        ExportError: (a RuntimeError) the model cannot be exported, or the file cannot be written.
        VerificationError: (an ExportError) the file does not compute what the model computes; no file is left.
    """
    from gpunet.exporters.graph.trace import in_float64

    path = _checked_path(path)
    batch, shape, twin = _prepare(model, batch_size, opset, input_px)
    verified_on = image_set(model, shape, images)
    try:
        with atomic_path(path) as part:
            proto = _build(model, twin, batch, shape, opset, metadata)
            check_graph(proto)
            part.write_bytes(proto.SerializeToString())
            del proto
            verification = compare(
                runtimes.get("pytorch").load(twin),
                runtimes.get("onnxruntime").load(part),
                verified_on,
                batch_sizes=batch.ends,
                exact=functools.partial(in_float64, twin),
            )
            verification.require_passed()
            report = ExportReport(path, part.stat().st_size, sha256_of(part), opset, batch, shape, verification)
    except OSError as error:
        raise ExportError(f"{path}: cannot be written: {error}", "Choose a folder that you can write to.") from error
    return report


def onnx_from_network(
    model: nn.Module,
    *,
    batch_size: int | tuple[int, int, int] = 1,
    opset: int = DEFAULT_OPSET,
    input_px: int | tuple[int, int] | None = None,
    metadata: Mapping[str, Any] | None = None,
    optimize: bool = True,
) -> onnx.ModelProto:
    """A network as an ONNX model in memory, not verified; branches that fuse for inference are fused.

    Args:
        model: a GPUNet, or any convolutional network of timm's, whatever its channels, classes and input size.
        batch_size: images a run; or (min, opt, max) for a symbolic axis 'batch'.
        opset: 13 or later, up to what the installed onnx and ONNX Runtime know. The default of 17 is read by all that
            deploys (TensorRT from 8.6, OpenVINO, ONNX Runtime from 1.12), and later ones bring convolutional networks
            nothing.
        input_px: side of the square input, or (height, width); None for the model's own.
        metadata: more metadata properties; a value that is no string is written as JSON. The model's own are
            gpunet.version, gpunet.model, gpunet.batch, gpunet.weights, gpunet.weights_sha256, gpunet.preprocessing,
            and where they are known gpunet.entry, gpunet.classes, gpunet.spec, gpunet.spec_sha256 and
            gpunet.reparameterized; one given here takes the place of one of these.
        optimize: False leaves the graph as torch.onnx makes it: see `gpunet.exporters.graph.rewrite`.

    Returns:
        A model with the input 'input' (N x C x H x W, float32) and the output 'logits' (N x classes).

    Raises:
        InvalidArgumentError: (a ValueError) an argument breaks its rule, or the model returns a list of features.
        ExportError: (a RuntimeError) torch.onnx cannot export the model.
    """
    batch, shape, twin = _prepare(model, batch_size, opset, input_px)
    return _build(model, twin, batch, shape, opset, metadata, optimize=optimize)


def _prepare(
    model: nn.Module, batch_size: Any, opset: int, input_px: Any
) -> tuple[BatchProfile, tuple[int, int, int], nn.Module]:
    from gpunet.exporters.graph.trace import detached_copy

    batch = BatchProfile.parse(batch_size)
    check_opset(opset)
    twin = detached_copy(model)
    return batch, image_shape(model, input_px), twin


def _build(
    model: nn.Module,
    twin: nn.Module,
    batch: BatchProfile,
    shape: tuple[int, int, int],
    opset: int,
    metadata: Mapping[str, Any] | None,
    *,
    optimize: bool = True,
) -> onnx.ModelProto:
    from gpunet.exporters.graph.trace import trace
    from gpunet.model.reparameterized import reparameterized

    served, fused = reparameterized(twin)
    said = {REPARAMETERIZED: "true"} if fused else {}
    properties = properties_of(model, batch, shape, {**said, **(metadata or {})})
    proto = trace(served, shape, batch, opset)
    if optimize:
        rewrite.optimize(proto)
    proto.graph.name = properties["gpunet.model"]
    proto.producer_name, proto.producer_version = "gpunet", properties["gpunet.version"]
    onnx.helper.set_model_props(proto, properties)
    return proto


def check_graph(proto: onnx.ModelProto) -> None:
    """Raise ExportError unless ONNX's own checker, shape inference included, finds the model valid."""
    try:
        onnx.checker.check_model(proto, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ExportError(
            f"onnx {onnx.__version__} finds the exported graph not valid: {error}",
            "Report it with the name of the model.",
        ) from error


def _checked_path(path: str | Path) -> Path:
    path = Path(path).expanduser()
    if os.path.isdir(path):  # a Path's own raises where a folder above it is closed
        raise InvalidArgumentError(f"path must be a file, but {path} is a folder.", f"Try {path / 'model.onnx'}.")
    if path.suffix.lower() != ".onnx":
        raise InvalidArgumentError(f"path must end in .onnx, but got {path}.", f"Try {path.with_suffix('.onnx')}.")
    return path
