"""ONNX Runtime on the processor."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpunet.errors import InvalidArgumentError
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
from gpunet.runtime.onnx_precision import graph_precision, require_int8
from gpunet.runtime.onnxruntime.arithmetic import computes_half

if TYPE_CHECKING:
    import numpy as np

    from gpunet.runtime.onnxruntime.pieces import OnnxPieces

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
    precisions: tuple[str, ...] = ("fp32", "fp16", "int8")
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
        # The processor is asked first, which takes 5 ms once a process; to read a large graph takes ten times as long.
        if precision == "fp32" and computes_half() and graph_precision(network) == "fp16":
            raise not_computed_in(self, "fp16", precision)
        computed = "fp32" if precision == "fp16" and not computes_half() else precision
        return OnnxRuntimeSession(loaded, self.version(), computed)

    def pieces(self, source: Any) -> OnnxPieces:
        """The network in parts: see `gpunet.runtime.base.Pieces`. Takes what `load` takes."""
        from gpunet.runtime.onnxruntime.pieces import OnnxPieces

        return OnnxPieces(source)


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
