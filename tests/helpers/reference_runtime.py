"""A runtime that is not gpunet's: ONNX's own reference evaluator, and a file format of its own, in one file."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from gpunet.errors import InvalidArgumentError
from gpunet.runtime.base import (
    check_images,
    check_interface,
    check_precision,
    check_threads,
    installed_version,
    onnx_source,
)
from gpunet.runtime.formats import Format, TritonBackend, WriteRequest, Written
from gpunet.runtime.onnx_precision import graph_precision


class Reference:
    """See `gpunet.runtime.base.Runtime`."""

    name = "reference"
    precisions = ("fp32",)
    device = "cpu"

    def version(self) -> str:
        return installed_version(self.name, ("onnx",))

    def unavailable(self) -> str | None:
        return None

    def load(self, source: Any, *, precision: str = "fp32", threads: int | None = None) -> ReferenceSession:
        check_precision(self.name, precision, self.precisions)
        found = onnx_source(self.name, source)
        try:
            model = onnx.load_from_string(found if isinstance(found, bytes) else found.read_bytes())
            onnx.checker.check_model(model)
        except Exception as error:
            raise InvalidArgumentError(f"cannot load this network: {error}", "Is it a whole ONNX file?") from error
        return ReferenceSession(model, self.version(), check_threads(threads))


class ReferenceSession:
    """See `gpunet.runtime.base.Session`."""

    runtime, device, precision = "reference", "cpu", "fp32"
    conditions: Mapping[str, Any] = {}

    def __init__(self, model: onnx.ModelProto, version: str, threads: int) -> None:
        ports = [
            [(port.name, str(onnx.helper.tensor_dtype_to_np_dtype(port.type.tensor_type.elem_type))) for port in each]
            for each in (model.graph.input, model.graph.output)
        ]
        check_interface(self.runtime, *([(n, k.replace("float32", "float")) for n, k in each] for each in ports))
        sizes = model.graph.input[0].type.tensor_type.shape.dim
        self.input_shape = tuple(size.dim_value or None for size in sizes)
        self.runtime_version, self.threads = version, threads
        self._evaluator, self._input = ReferenceEvaluator(model), model.graph.input[0].name

    def run(self, images: np.ndarray) -> np.ndarray:
        check_images(images, self.input_shape)
        return np.array(self._evaluator.run(None, {self._input: images})[0])


class ReferenceFormat(Format):
    """See `gpunet.runtime.formats.Format`: a graph with a line before it."""

    name, title = "reference", "reference file"
    option = ("--reference", "write a file for ONNX's reference evaluator")
    suffixes = (".reference",)
    any_runtime = is_engine = takes_half = False
    triton = TritonBackend("python", "model.py", ("cpu",))

    def check(self, options: Any) -> None:
        pass

    def files(self, path: Path) -> Sequence[Path]:
        return (path,)

    def hashed(self, path: Path) -> Path:
        return path

    def write(self, model: onnx.ModelProto, path: Path, request: WriteRequest) -> Written:
        data = model.SerializeToString()
        path.write_bytes(b"reference\n" + data)
        return Written(hashlib.sha256(data).hexdigest(), Reference().version())

    def is_current(self, model: onnx.ModelProto, path: Path, request: WriteRequest) -> bool:
        return False

    def precision_of(self, path: Path) -> str:
        return graph_precision(path.read_bytes().partition(b"\n")[2])

    def open_for_proof(self, path: Path, precision: str) -> ReferenceSession:
        return Reference().load(path.read_bytes().partition(b"\n")[2])
