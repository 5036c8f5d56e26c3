"""ONNX files: what every runtime but PyTorch runs, ONNX Runtime first of all."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpunet.errors import RuntimeUnavailableError
from gpunet.runtime.formats import RunRequest, TritonBackend, TritonRequest, WriteRequest, Written
from gpunet.runtime.onnx_precision import graph_precision
from gpunet.runtime.onnxruntime.runtime import OnnxRuntime
from gpunet.runtime.openvino.format import python_lines
from gpunet.runtime.trt.trtexec import command_for

if TYPE_CHECKING:
    from onnx import ModelProto

    from gpunet.runtime.base import Session

_TENSORRT = ("10.4", "11")  # the versions from which trtexec takes other options
WORKSPACE_BYTES = 10 * 2**30  # of TensorRT inside ONNX Runtime: the paper's


def tuning(request: TritonRequest) -> dict[str, Any]:
    """On a GPU, TensorRT inside ONNX Runtime; a processor's ONNX Runtime is at its fastest as it is."""
    if request.device == "cpu":
        return {}
    options = {"precision_mode": request.precision.upper(), "max_workspace_size_bytes": str(WORKSPACE_BYTES)}
    if request.engine_cache is not None:
        options.update(trt_engine_cache_enable="1", trt_engine_cache_path=request.engine_cache)
    if request.batch.dynamic:  # one engine for the whole range, in place of a new one for each size that comes
        for end in ("min", "opt", "max"):
            sizes = "x".join(map(str, (getattr(request.batch, end), *request.image_shape)))
            options[f"trt_profile_{end}_shapes"] = f"{request.input_name}:{sizes}"
    parameters = [{"key": key, "value": value} for key, value in options.items()]
    accelerator = {"name": "tensorrt", "parameters": parameters}
    return {"optimization": {"execution_accelerators": {"gpu_execution_accelerator": [accelerator]}}}


class OnnxFormat:
    """See `gpunet.runtime.formats.Format`."""

    name = "onnx"
    title = "ONNX"
    option = ("", "")
    suffixes = (".onnx",)
    any_runtime = True
    is_engine = False
    takes_half = True
    triton = TritonBackend("onnxruntime", "model.onnx", ("gpu", "cpu"), tuning=tuning)

    def check(self, options: Any) -> None:
        """See `Format.check`."""

    def files(self, path: Path) -> Sequence[Path]:
        """See `Format.files`."""
        return (path,)

    def hashed(self, path: Path) -> Path:
        """See `Format.hashed`."""
        return path

    def write(self, model: ModelProto, path: Path, request: WriteRequest) -> Written:
        """See `Format.write`."""
        data = model.SerializeToString()
        path.write_bytes(data)
        return Written(hashlib.sha256(data).hexdigest(), OnnxRuntime().version())

    def is_current(self, model: ModelProto, path: Path, request: WriteRequest) -> bool:
        """See `Format.is_current`: it is written in a moment."""
        return False

    def precision_of(self, path: Path) -> str:
        """See `Format.precision_of`."""
        return graph_precision(path)

    def open_for_proof(self, path: Path, precision: str) -> Session:
        """See `Format.open_for_proof`: the graph itself was compared before it was written."""
        raise RuntimeUnavailableError("the graph was compared before it was written.")

    def how_to_run(self, request: RunRequest) -> Mapping[str, str | Sequence[str]]:
        """See `Format.how_to_run`: by every runtime that reads ONNX."""
        lines = [
            "import numpy, onnxruntime",
            request.images_line,
            f"session = onnxruntime.InferenceSession({request.file!r}, providers=['CPUExecutionProvider'])",
            f"logits = session.run(None, {{{request.input_name!r}: images}})[0]",
        ]
        tensorrt = {f"tensorrt {version}": command_for(request, version) for version in _TENSORRT}
        return {"onnxruntime": lines, "openvino": python_lines(request), **tensorrt}
