"""OpenVINO on the processor."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpunet.core.files import require
from gpunet.errors import ABSENT_EXIT_CODE, InvalidArgumentError
from gpunet.runtime.base import (
    check_images,
    check_interface,
    check_precision,
    check_threads,
    installed,
    installed_version,
    not_computed_in,
    onnx_source,
)
from gpunet.runtime.formats import Int8Layout
from gpunet.runtime.onnx_precision import not_int8
from gpunet.runtime.openvino.bfloat16 import lacks_bfloat16

if TYPE_CHECKING:
    import numpy as np

    from gpunet.runtime.openvino.pieces import OpenVINOPieces

_ARITHMETIC = {"fp32": "f32", "fp16": "f16", "bf16": "bf16", "int8": "f32"}  # of int8: what stays in float
_LAYERS = ("Convolution", "GroupConvolution", "MatMul")
_PURPOSE = "to run a network on OpenVINO"


@functools.cache
def core() -> Any:
    """The one Core of this process: where two are freed in turn (2026.4.1), the next Ctrl-C crashes the process."""
    return require("openvino", "openvino", purpose=_PURPOSE).Core()


class OpenVINO:
    """See `gpunet.runtime.base.Runtime`.

    Tuned for latency: one stream, one request. The arithmetic is always asked for by name, since the default turns a
    float32 network silently into bfloat16 on processors that have it; and it is read back, so that 'fp16' and 'bf16'
    are refused on a processor where OpenVINO would compute in float32, or imitate bfloat16. 'bf16' computes any float
    network so; 'int8' is for a graph that holds Q/DQ nodes.
    """

    name = "openvino"
    precisions: tuple[str, ...] = ("fp32", "fp16", "bf16", "int8")
    device = "cpu"
    int8_layout = Int8Layout("openvino", signed=False, every_map=False, integer_bias=False)

    def version(self) -> str:
        """See `Runtime.version`."""
        return installed_version(self.name, ("openvino",))

    def unavailable(self) -> str | None:
        """See `Runtime.unavailable`."""
        return None if installed("openvino") else "openvino is not installed (pip install 'gpunet[openvino]')."

    def load(self, source: Any, *, precision: str = "fp32", threads: int | None = None) -> OpenVINOSession:
        """See `Runtime.load`."""
        check_precision(self.name, precision, self.precisions)
        threads = check_threads(threads)
        network = onnx_source(self.name, source)
        shared = core()
        if precision == "bf16" and (reason := lacks_bfloat16(shared)):
            raise not_computed_in(self, "fp32", precision, f": {reason}")
        settings = {
            "INFERENCE_PRECISION_HINT": _ARITHMETIC[precision],
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": threads,
        }
        try:
            read = shared.read_model(network)
            found = network_precision(read)
            if precision == "int8" and found != "int8":
                raise not_int8(found)
            compiled = _compiled(shared, read, settings)
        except RuntimeError as error:
            raise InvalidArgumentError(
                f"OpenVINO {self.version()} cannot load this network: {' '.join(str(error).split())}",
                "Is it a whole ONNX file, of an opset that this version knows? An .xml needs its .bin beside it.",
            ) from error
        arithmetic = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        if arithmetic != _ARITHMETIC[precision]:
            raise not_computed_in(self, {"f32": "fp32", "f16": "fp16"}.get(arithmetic, arithmetic), precision)
        return OpenVINOSession(compiled, self.version(), precision)

    def pieces(self, source: Any) -> OpenVINOPieces:
        """The network in parts: see `gpunet.runtime.base.Pieces`. Takes what `load` takes."""
        from gpunet.runtime.openvino.pieces import OpenVINOPieces

        return OpenVINOPieces(core(), source)


def _compiled(shared: Any, read: Any, settings: dict[str, Any]) -> Any:
    """A network on the processor; in float32 where it has no kernels of the arithmetic that is asked for."""
    try:
        return shared.compile_model(read, "CPU", settings)
    except RuntimeError:
        if settings["INFERENCE_PRECISION_HINT"] == _ARITHMETIC["fp32"]:
            raise
        return shared.compile_model(read, "CPU", {**settings, "INFERENCE_PRECISION_HINT": _ARITHMETIC["fp32"]})


def read_network(path: Path) -> Any:
    """An .xml or .onnx file as an openvino.Model.

    Raises:
        InvalidArgumentError: (a ValueError) there is no such file, or it cannot be read.
        MissingDependencyError: (an ImportError) OpenVINO is not installed.
    """
    reader = core()
    if not path.is_file():
        raise InvalidArgumentError(
            f"{path}: there is no such file.", "Give the .xml file of an OpenVINO IR.", exit_code=ABSENT_EXIT_CODE
        )
    try:
        return reader.read_model(str(path))
    except RuntimeError as error:
        raise InvalidArgumentError(
            f"{path} cannot be read by OpenVINO {installed_version('openvino', ('openvino',))}: "
            f"{' '.join(str(error).split())}",
            "Its .bin must lie beside it. Export it again.",
        ) from error


def network_precision(network: Any) -> str:
    """'fp32', 'fp16', 'bf16' or 'int8': the least precise type that the layers of an openvino.Model compute in.

    Q/DQ nodes are FakeQuantize there, and weights in bfloat16 are constants behind a Convert.
    """
    layers = [op for op in network.get_ops() if op.get_type_name() in _LAYERS]
    if any(op.get_type_name() == "FakeQuantize" for op in network.get_ops()):
        return "int8"
    if any(op.get_output_element_type(0).get_type_name() == "f16" for op in layers):
        return "fp16"
    constants = (op for op in network.get_ops() if op.get_type_name() == "Constant")
    return "bf16" if any(op.get_element_type().get_type_name() == "bf16" for op in constants) else "fp32"


class OpenVINOSession:
    """See `gpunet.runtime.base.Session`."""

    runtime = OpenVINO.name
    device = OpenVINO.device

    def __init__(self, compiled: Any, version: str, precision: str) -> None:
        self.runtime_version = version
        self.precision = precision
        self.threads: int | None = compiled.get_property("INFERENCE_NUM_THREADS")
        inputs, outputs = (
            [("/".join(sorted(port.get_names())), port.element_type.get_type_name()) for port in ports]
            for ports in (compiled.inputs, compiled.outputs)
        )
        check_interface(self.runtime, inputs, outputs)
        sizes = compiled.inputs[0].partial_shape
        self.input_shape: tuple[int | None, ...] = tuple(
            size.get_length() if size.is_static else None for size in sizes
        )
        least, most = sizes[0].get_min_length(), sizes[0].get_max_length()
        self.batch: tuple[int, int] | None = (least, most) if most > 0 else None
        self.conditions: Mapping[str, Any] = {
            "arithmetic": compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name(),
            "performance_hint": "latency",
            "streams": int(compiled.get_property("NUM_STREAMS")),
        }
        self._request = compiled.create_infer_request()

    def run(self, images: np.ndarray) -> np.ndarray:
        """See `Session.run`."""
        check_images(images, self.input_shape)
        self._request.infer({0: images}, share_inputs=True)
        logits: np.ndarray = self._request.get_output_tensor(0).data.copy()
        return logits
