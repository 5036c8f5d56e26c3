"""TensorRT and TensorRT-RTX on the GPU: from an ONNX file, which is built first, or from an engine."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from gpunet.core.gpu import find_gpu
from gpunet.runtime.base import check_precision, check_threads, installed, onnx_source
from gpunet.runtime.formats import PORTABLE_LAYOUT
from gpunet.runtime.trt.library import TENSORRT, TENSORRT_RTX, Library
from gpunet.runtime.trt.options import BuildOptions, check_gpu
from gpunet.runtime.trt.timing_cache import default_timing_cache

_ANY_BATCH = (1, 1, 64)  # for an ONNX file that takes any, where none is asked for


class _Runtime:
    """See `gpunet.runtime.base.Runtime`."""

    library: Library
    precisions = ("fp32", "fp16", "int8")
    int8_layout = PORTABLE_LAYOUT
    device = "gpu"

    def __init__(self) -> None:
        self.name = self.library.name

    def version(self) -> str:
        """See `Runtime.version`."""
        return self.library.version()

    def unavailable(self) -> str | None:
        """See `Runtime.unavailable`."""
        library = self.library
        if not installed(library.name):
            return f"{library.title} is not installed (pip install 'gpunet[{library.extra}]')."
        return None if find_gpu() is not None else f"{library.title} needs a GPU, and this machine has none."

    def load(
        self, source: Any, *, precision: str = "fp32", threads: int | None = None, options: BuildOptions | None = None
    ) -> Any:
        """See `Runtime.load`.

        Args:
            source: an engine, or ONNX, which is built first (minutes on TensorRT): bytes, a path, or for ONNX a
                ModelProto.
            precision: what the ONNX graph holds; a built engine is checked against it. It cannot be chosen here.
            threads: of no effect.
            options: how to build; see BuildOptions. Their precision gives way to `precision`; without a batch, an ONNX
                file that takes any gets 1 to 64, best at 1.

        Raises:
            ExportError: (a RuntimeError) the engine cannot be built, or does not run in the precision asked for.
            Besides those of `Runtime.load`.
        """
        from gpunet.runtime.trt.builder import build_engine
        from gpunet.runtime.trt.graph import read_graph
        from gpunet.runtime.trt.session import TensorRTSession

        check_precision(self.name, precision, self.precisions)
        check_threads(threads)
        gpu = find_gpu()
        check_gpu(self.library, "" if gpu is None else str(self.library.module().__version__), gpu)
        data = onnx_source(self.name, source)
        if is_engine(data):
            return TensorRTSession(self.library, data.read_bytes() if isinstance(data, Path) else data, precision)
        options = dataclasses.replace(options or BuildOptions(), precision=precision)
        if options.batch is None and read_graph(data).input_shape[:1] == (None,):
            options = dataclasses.replace(options, batch=_ANY_BATCH)
        built = build_engine(self.library, data, options, timing_cache=default_timing_cache(self.library, gpu), gpu=gpu)
        return TensorRTSession(self.library, built.data, precision)


class TensorRT(_Runtime):
    """TensorRT: engines tuned for this GPU, which minutes of measuring go into."""

    library = TENSORRT


class TensorRTRTX(_Runtime):
    """TensorRT-RTX: engines built in seconds, whose kernels are compiled when they are loaded."""

    library = TENSORRT_RTX


def is_engine(source: bytes | Path) -> bool:
    """Whether a file, or its bytes, is an engine of either library, by its first bytes ('ftrt', 'ptrt', 'vtrt')."""
    if isinstance(source, Path):
        with open(source, "rb") as file:
            return file.read(4)[1:] == b"trt"
    return source[1:4] == b"trt"
