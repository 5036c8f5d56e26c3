"""Run a network on what is installed: one protocol (`gpunet.runtime.base`), one file a runtime.

Importing this package, asking for names, versions and availability is light; a runtime's own package loads with its
first network.
"""

from __future__ import annotations

import importlib

from gpunet.errors import InvalidArgumentError, RuntimeUnavailableError
from gpunet.runtime.base import Runtime, Session

__all__ = ["Runtime", "Session", "best", "canonical", "get", "names"]

# Name -> module and class. A new runtime is a line here (and its place in _BEST, if it may be chosen by itself).
_RUNTIMES = {
    "openvino": ("gpunet.runtime.openvino", "OpenVINO"),
    "onnxruntime": ("gpunet.runtime.onnxruntime", "OnnxRuntime"),
    "pytorch": ("gpunet.runtime.torch", "Torch"),
    "tensorrt": ("gpunet.runtime.tensorrt", "TensorRT"),
    "tensorrt_rtx": ("gpunet.runtime.tensorrt", "TensorRTRTX"),
}
_BEST = ("tensorrt", "tensorrt_rtx", "openvino", "onnxruntime")
_ALIASES = {"torch": "pytorch", "ort": "onnxruntime", "trt": "tensorrt"}


def canonical(name: str) -> str:
    """The name that records use for what people call a runtime: 'torch' -> 'pytorch', 'ORT' -> 'onnxruntime'."""
    return _ALIASES.get(name.lower(), name.lower())


def names() -> tuple[str, ...]:
    """The names of all runtimes that this gpunet knows, installed or not."""
    return tuple(_RUNTIMES)


def get(name: str) -> Runtime:
    """The runtime of that name, or everyday name ('torch'), installed or not: ask its `unavailable()`.

    Raises:
        InvalidArgumentError: (a ValueError) there is none of that name.
    """
    if not isinstance(name, str) or canonical(name) not in _RUNTIMES:
        raise InvalidArgumentError(f"runtime must be one of {', '.join(_RUNTIMES)}, but got {name!r}.")
    module, class_name = _RUNTIMES[canonical(name)]
    runtime: Runtime = getattr(importlib.import_module(module), class_name)()
    return runtime


def best() -> Runtime:
    """The best runtime that can run here: TensorRT, else TensorRT-RTX, else OpenVINO, else ONNX Runtime.

    Raises:
        RuntimeUnavailableError: (a RuntimeError) none can, with the reason of each.
    """
    reasons = []
    for name in _BEST:
        if name in _RUNTIMES:
            runtime = get(name)
            reason = runtime.unavailable()
            if reason is None:
                return runtime
            reasons.append(reason)
    raise RuntimeUnavailableError(
        f"no runtime can run a network here: {' '.join(reasons)}", "Install one: pip install 'gpunet[openvino]'"
    )
