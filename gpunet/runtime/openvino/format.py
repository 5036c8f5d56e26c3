"""OpenVINO IR (NAME.xml and NAME.bin) from an ONNX graph: converted, and what the processor makes of it inspected.

The IR has the precision of the graph: float32, half weights and activations, weights in bfloat16, or integers between
Q/DQ nodes. 8-bit layers must run in 8 bits: that is read back from the compiled network.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpunet.core.files import require
from gpunet.errors import ExportError
from gpunet.runtime.batch import BatchProfile
from gpunet.runtime.formats import RunRequest, TritonBackend, TritonRequest, WriteRequest, Written
from gpunet.runtime.openvino.bfloat16 import lacks_bfloat16
from gpunet.runtime.openvino.runtime import OpenVINO, core, network_precision, read_network

if TYPE_CHECKING:
    from onnx import ModelProto

    from gpunet.runtime.base import Session

_PURPOSE = "to write OpenVINO IR"
_LAYERS = ("Convolution", "FullyConnected", "MatMul")
_EIGHT_BITS = ("u8", "i8")
_METADATA = "gpunet"


def tuning(request: TritonRequest) -> dict[str, Any]:
    """One stream, for latency; Triton fills a batch where the server gathers some."""
    values = {"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": "1"}
    if request.precision == "bf16":
        values["HINT_BF16"] = "YES"
    if request.batch.dynamic:
        values["ENABLE_BATCH_PADDING"] = "YES"
    return {"parameters": [{"key": key, "value": {"string_value": value}} for key, value in values.items()]}


class OpenVINOFormat:
    """See `gpunet.runtime.formats.Format`."""

    name = "openvino"
    title = "OpenVINO IR"
    option = ("--openvino", "OpenVINO IR: FILE.xml and its .bin")
    suffixes = (".xml",)
    any_runtime = False
    is_engine = False
    takes_half = False
    triton = TritonBackend("openvino", "model.xml", ("cpu",), pads_batches=True, tuning=tuning)

    def check(self, options: Any) -> None:
        """See `Format.check`."""
        require("openvino", "openvino", purpose=_PURPOSE)

    def files(self, path: Path) -> Sequence[Path]:
        """See `Format.files`: never an old .bin beside a new .xml."""
        return (path.with_suffix(".bin"), path)

    def hashed(self, path: Path) -> Path:
        """See `Format.hashed`."""
        return path.with_suffix(".bin")

    def write(self, model: ModelProto, path: Path, request: WriteRequest) -> Written:
        """See `Format.write`; of a quantised graph, every layer but `float_layers` must run in 8 bits."""
        ov = require("openvino", "openvino", purpose=_PURPOSE)
        network = openvino_from_onnx(model, precision=request.precision, batch=request.batch)
        ov.save_model(network, str(path), compress_to_fp16=False)
        executed = execution_types(path, "bf16" if request.precision == "bf16" and computes_bfloat16() else "f32")
        if request.precision == "int8":
            _check_executed(executed, request.float_layers)
        types = sorted(executed.values())
        counted = {kind: types.count(kind) for kind in dict.fromkeys(types)}
        digest = hashlib.sha256(model.SerializeToString()).hexdigest()
        return Written(digest, OpenVINO().version(), {"executed": counted})

    def is_current(self, model: ModelProto, path: Path, request: WriteRequest) -> bool:
        """See `Format.is_current`: it is written in a moment."""
        return False

    def precision_of(self, path: Path) -> str:
        """See `Format.precision_of`."""
        return network_precision(read_network(path))

    def open_for_proof(self, path: Path, precision: str) -> Session:
        """See `Format.open_for_proof`: few processors compute in half; in bfloat16 it is run as it will be."""
        return OpenVINO().load(path, precision="bf16" if precision == "bf16" and computes_bfloat16() else "fp32")

    def how_to_run(self, request: RunRequest) -> Mapping[str, str | Sequence[str]]:
        """See `Format.how_to_run`."""
        return {self.name: python_lines(request)}


def python_lines(request: RunRequest) -> list[str]:
    """Lines of Python that run a file, IR or ONNX, on the processor."""
    kind = "bf16" if request.precision == "bf16" else "f32"
    return [
        "import numpy, openvino",
        request.images_line,
        f"network = openvino.Core().compile_model({request.file!r}, 'CPU', {{'INFERENCE_PRECISION_HINT': {kind!r}}})",
        "logits = network(images)[0]",
    ]


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
        if batch is not None and batch.dynamic and shape[0].is_dynamic:
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


def computes_bfloat16() -> bool:
    """Whether this processor has instructions for bfloat16, and OpenVINO uses them."""
    return not lacks_bfloat16(core())


def execution_types(path: str | Path, arithmetic: str = "f32") -> dict[str, str]:
    """The type in which the processor runs each convolution and linear layer of a network, by the layer's name.

    Args:
        path: an .xml or .onnx file.
        arithmetic: that OpenVINO is asked for, by its own name: 'f32' or 'bf16'.

    Raises:
        InvalidArgumentError: (a ValueError) there is no such file, or it cannot be read.
        MissingDependencyError: (an ImportError) OpenVINO is not installed.
    """
    compiled = core().compile_model(read_network(Path(path)), "CPU", {"INFERENCE_PRECISION_HINT": arithmetic})
    found = {}
    for node in compiled.get_runtime_model().get_ordered_ops():
        said = node.get_rt_info()
        if said["layerType"].astype(str) in _LAYERS:
            name = re.sub(r"/(WithoutBiases|fq_weights\w*)$", "", node.get_friendly_name())
            found[name] = said["runtimePrecision"].astype(str)
    return found


def _check_executed(executed: Mapping[str, str], float_layers: Sequence[str]) -> None:
    allowed = tuple(float_layers) or ("\0",)
    wide = [name for name, kind in executed.items() if kind not in _EIGHT_BITS and not name.startswith(allowed)]
    if wide or not executed:
        raise ExportError(
            f"OpenVINO runs {len(wide)} of {len(executed)} layers of the int8 graph in float: {', '.join(wide[:5])}.",
            "Leave these layers out of quantisation (leave_out).",
        )
