"""OpenVINO IR (NAME.xml and NAME.bin) from an ONNX graph: converted, inspected, compared, and only then kept.

The IR has the precision of the graph: float32, half weights and activations, or integers between Q/DQ nodes. What the
processor makes of it is read back from the compiled network: 8-bit layers must run in 8 bits.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpunet import runtime as runtimes
from gpunet.core.files import require, sha256_of
from gpunet.core.folders import staging
from gpunet.errors import ExportError, InvalidArgumentError
from gpunet.exporters.graph.types import check_precision
from gpunet.exporters.verify import Verification
from gpunet.exporters.verify_graph import verify_graph
from gpunet.runtime.batch import BatchProfile
from gpunet.runtime.openvino import core, read_network

if TYPE_CHECKING:
    from onnx import ModelProto

    from gpunet.exporters.images import ImageSet

_PURPOSE = "to write OpenVINO IR"
_LAYERS = ("Convolution", "FullyConnected", "MatMul")
_EIGHT_BITS = ("u8", "i8")
_METADATA = "gpunet"


@dataclass(frozen=True)
class OpenVINOReport:
    """What `export_openvino` wrote.

    Args:
        path, weights_path: NAME.xml and NAME.bin.
        size_bytes: of both.
        sha256, weights_sha256: of each, in hex.
        precision: 'fp32', 'fp16' or 'int8': the graph's.
        openvino_version: that converted it.
        executed: how many convolutions and linear layers run in which type on this machine's processor.
        verification: how it was compared with ONNX Runtime.
    """

    path: Path
    weights_path: Path
    size_bytes: int
    sha256: str
    weights_sha256: str
    precision: str
    openvino_version: str
    executed: Mapping[str, int]
    verification: Verification

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            **asdict(self),
            "path": str(self.path),
            "weights_path": str(self.weights_path),
            "executed": dict(self.executed),
            "verification": self.verification.to_dict(),
        }

    def __str__(self) -> str:
        types = ", ".join(f"{count} layers in {kind}" for kind, count in self.executed.items())
        return (
            f"{self.path}: {self.size_bytes / 1e6:.1f} MB with its .bin, {self.precision}; this processor runs "
            f"{types}\n"
            f"sha256 of the .bin {self.weights_sha256}\n{self.verification}"
        )


def export_openvino(
    model: ModelProto,
    path: str | Path,
    *,
    precision: str,
    images: ImageSet,
    reference: ModelProto | None = None,
    batch: BatchProfile | None = None,
    float_layers: Sequence[str] = (),
    keep: bool = False,
) -> OpenVINOReport:
    """Write an ONNX graph as OpenVINO IR, compared with ONNX Runtime on images.

    Both files appear only when everything held; until then whatever is there stays as it is.

    Args:
        model: of one input and one output in float32; in the precision named.
        path: where to; ends in .xml. Its folder is created, and the .bin lies beside it.
        precision: 'fp32', 'fp16' or 'int8': what the graph is in.
        images: to compare on.
        reference: the graph that ONNX Runtime runs for the comparison, such as the float32 one (for int8, on pictures
            alone: see verify_graph); None for `model`.
        batch: the batch sizes it takes, where the graph's axis is symbolic; None for any.
        float_layers: layers of an int8 graph that may run in float.
        keep: keep files that fail the comparison; the report says so.

    Raises:
        InvalidArgumentError: (a ValueError) an argument breaks its rule.
        ExportError: (a RuntimeError) the graph is not in that precision, OpenVINO cannot take it or runs a quantised
            layer in float, or the files cannot be written.
        VerificationError: (an ExportError) the IR does not compute what ONNX Runtime computes; no file is left.
        MissingDependencyError: (an ImportError) OpenVINO is not installed.
    """
    path = _checked_path(path)
    ov = require("openvino", "openvino", purpose=_PURPOSE)
    check_precision(model, precision, left_float=float_layers)
    with staging(path.parent) as stage:
        xml = stage / path.name
        ov.save_model(openvino_from_onnx(model, precision=precision, batch=batch), str(xml), compress_to_fp16=False)
        weights = xml.with_suffix(".bin")
        executed = execution_types(xml)
        _check_executed(executed, precision, float_layers)
        verification = verify_graph(
            xml, reference or model, runtime="openvino", precision=precision, images=images, batch=batch
        )
        if not keep:
            verification.require_passed()
        report = OpenVINOReport(
            path=path,
            weights_path=path.with_suffix(".bin"),
            size_bytes=xml.stat().st_size + weights.stat().st_size,
            sha256=sha256_of(xml),
            weights_sha256=sha256_of(weights),
            precision=precision,
            openvino_version=runtimes.get("openvino").version(),
            executed=_counted(executed),
            verification=verification,
        )
        path.unlink(missing_ok=True)  # never an old .xml beside a new .bin
        os.replace(weights, path.with_suffix(".bin"))
        os.replace(xml, path)
    return report


def openvino_from_onnx(model: ModelProto, *, precision: str, batch: BatchProfile | None = None) -> Any:
    """An ONNX graph as an openvino.Model, with the graph's metadata and its precision in the group 'gpunet'.

    Raises:
        ExportError: (a RuntimeError) OpenVINO cannot take it.
        MissingDependencyError: (an ImportError) OpenVINO is not installed.
    """
    ov = require("openvino", "openvino", purpose=_PURPOSE)
    try:
        network = core().read_model(model.SerializeToString())
        shape = network.inputs[0].partial_shape
        if batch is not None and shape[0].is_dynamic:
            network.reshape(ov.PartialShape([ov.Dimension(batch.min, batch.max), *list(shape)[1:]]))
    except RuntimeError as error:
        raise ExportError(
            f"OpenVINO {ov.__version__} cannot convert this graph: {' '.join(str(error).split())}",
            "Is it a whole ONNX model, of an opset that this version knows?",
        ) from error
    properties = {each.key: each.value for each in model.metadata_props}
    for key, value in {**properties, f"{_METADATA}.precision": precision}.items():
        network.set_rt_info(value, [_METADATA, key.removeprefix(f"{_METADATA}.")])
    return network


def metadata_of(path: str | Path) -> dict[str, str]:
    """The metadata that an IR carries: model, spec, batch, precision, ..., as text.

    Raises:
        InvalidArgumentError: (a ValueError) there is no such file, or it is no whole IR.
        MissingDependencyError: (an ImportError) OpenVINO is not installed.
    """
    network = read_network(Path(path))
    if not network.has_rt_info([_METADATA]):
        return {}
    return {key: str(network.get_rt_info([_METADATA, key]).value) for key in network.get_rt_info([_METADATA]).value}


def execution_types(path: str | Path) -> dict[str, str]:
    """The type in which the processor runs each convolution and linear layer of a network, by the layer's name.

    Args:
        path: an .xml or .onnx file.

    Raises:
        InvalidArgumentError: (a ValueError) there is no such file, or it cannot be read.
        MissingDependencyError: (an ImportError) OpenVINO is not installed.
    """
    compiled = core().compile_model(read_network(Path(path)), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = {}
    for node in compiled.get_runtime_model().get_ordered_ops():
        said = node.get_rt_info()
        if said["layerType"].astype(str) in _LAYERS:
            name = re.sub(r"/(WithoutBiases|fq_weights\w*)$", "", node.get_friendly_name())
            found[name] = said["runtimePrecision"].astype(str)
    return found


def _counted(executed: Mapping[str, str]) -> dict[str, int]:
    types = sorted(executed.values())
    return {kind: types.count(kind) for kind in dict.fromkeys(types)}


def _check_executed(executed: Mapping[str, str], precision: str, float_layers: Sequence[str]) -> None:
    if precision != "int8":
        return
    allowed = tuple(float_layers)
    wide = [
        name for name, kind in executed.items() if kind not in _EIGHT_BITS and not name.startswith(allowed or ("\0",))
    ]
    if wide or not executed:
        raise ExportError(
            f"OpenVINO runs {len(wide)} of {len(executed)} layers of the int8 graph in float: {', '.join(wide[:5])}.",
            "Leave these layers out of quantisation (leave_out).",
        )


def _checked_path(path: str | Path) -> Path:
    path = Path(path).expanduser()
    if path.is_dir():
        raise InvalidArgumentError(f"path must be a file, but {path} is a folder.", f"Try {path / 'model.xml'}.")
    if path.suffix.lower() != ".xml":
        raise InvalidArgumentError(f"path must end in .xml, but got {path}.", f"Try {path.with_suffix('.xml')}.")
    return path
