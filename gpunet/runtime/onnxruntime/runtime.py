"""ONNX Runtime on the processor."""

from __future__ import annotations

import functools
import importlib
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpunet.errors import InvalidArgumentError, RuntimeUnavailableError
from gpunet.runtime.base import (
    check_images,
    check_interface,
    check_precision,
    check_threads,
    installed,
    installed_version,
    onnx_source,
)
from gpunet.runtime.formats import Int8Layout
from gpunet.runtime.onnx_precision import graph_precision, require_int8

if TYPE_CHECKING:
    import numpy as np

_DISTRIBUTIONS = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino", "onnxruntime-directml")


class OnnxRuntime:
    """See `gpunet.runtime.base.Runtime`.

    All graph optimisations, one run at a time, its default spinning within a run. Between runs its threads are told to
    stop spinning: it makes no difference to its own latency, but otherwise they take the processor from whatever
    runs next (OpenVINO measured in turn with it: 29 ms in place of 16).

    'fp16' and 'int8' run a graph that holds them as it is: layers between Q/DQ nodes become integer kernels; where it
    has no half kernels, as on x86, a half graph is computed in float32 between casts, and the session says 'fp32'.
    """

    name = "onnxruntime"
    precisions = ("fp32", "fp16", "int8")
    device = "cpu"
    # On a processor its fast kernels are of uint8 alone, and only where a convolution's output is quantised before
    # anything else reads it.
    int8_layout = Int8Layout("onnxruntime", signed=False, every_map=True, integer_bias=True)

    def version(self) -> str:
        """See `Runtime.version`."""
        return installed_version(self.name, _DISTRIBUTIONS)

    def unavailable(self) -> str | None:
        """See `Runtime.unavailable`."""
        return None if installed("onnxruntime") else "onnxruntime is not installed (pip install onnxruntime)."

    def load(self, source: Any, *, precision: str = "fp32", threads: int | None = None) -> OnnxRuntimeSession:
        """See `Runtime.load`."""
        check_precision(self.name, precision, self.precisions)
        threads = check_threads(threads)
        network = onnx_source(self.name, source)
        if precision == "int8":
            require_int8(network)
        if precision == "fp32" and has_half_kernels() and graph_precision(network) == "fp16":
            raise RuntimeUnavailableError(
                "ONNX Runtime computes a half graph in fp16 on this processor, not in fp32.",
                "Load the network with precision='fp16'.",
            )
        ort = importlib.import_module("onnxruntime")
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.add_session_config_entry("session.force_spinning_stop", "1")
        try:
            loaded = ort.InferenceSession(
                str(network) if isinstance(network, Path) else network, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its error classes share no base but Exception
            raise InvalidArgumentError(
                f"ONNX Runtime {self.version()} cannot load this network: {error}",
                "Is it a whole ONNX file, of an opset that this version knows?",
            ) from error
        computed = "fp32" if precision == "fp16" and not has_half_kernels() else precision
        return OnnxRuntimeSession(loaded, self.version(), computed)


@functools.cache
def has_half_kernels() -> bool:
    """Whether ONNX Runtime computes convolutions in half here, as its own optimised graph of one says."""
    ort, onnx = importlib.import_module("onnxruntime"), importlib.import_module("onnx")
    half = onnx.TensorProto.FLOAT16
    ports = [onnx.helper.make_tensor_value_info(name, half, [1, 1, 4, 4]) for name in "xy"]
    weight = onnx.helper.make_tensor("w", half, [1, 1, 1, 1], [1.0])
    node = onnx.helper.make_node("Conv", ["x", "w"], ["y"])
    graph = onnx.helper.make_graph([node], "half", [ports[0]], [ports[1]], [weight])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8)
    options = ort.SessionOptions()
    options.log_severity_level = 3  # it warns that what it writes is for this processor
    with tempfile.TemporaryDirectory(prefix="gpunet-") as folder:
        options.optimized_model_filepath = str(Path(folder, "optimised.onnx"))
        ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        optimised = onnx.load(options.optimized_model_filepath)
    return all(each.op_type != "Cast" for each in optimised.graph.node)


class OnnxRuntimeSession:
    """See `gpunet.runtime.base.Session`."""

    runtime = OnnxRuntime.name
    device = OnnxRuntime.device

    def __init__(self, loaded: Any, version: str, precision: str) -> None:
        self.runtime_version = version
        self.precision = precision
        self.threads: int | None = loaded.get_session_options().intra_op_num_threads
        inputs, outputs = loaded.get_inputs(), loaded.get_outputs()
        check_interface(self.runtime, [(i.name, i.type) for i in inputs], [(o.name, o.type) for o in outputs])
        first = inputs[0]
        self.input_shape: tuple[int | None, ...] = tuple(
            size if isinstance(size, int) else None for size in first.shape
        )
        self.conditions: Mapping[str, Any] = {"provider": loaded.get_providers()[0]}
        self._input = first.name
        self._loaded = loaded

    def run(self, images: np.ndarray) -> np.ndarray:
        """See `Session.run`."""
        check_images(images, self.input_shape)
        logits: np.ndarray = self._loaded.run(None, {self._input: images})[0]
        return logits
