"""Engines as files: what can be asked for, and the build by gpunet.runtime.trt.builder."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from gpunet.core.gpu import find_gpu
from gpunet.core.progress import ProgressBar
from gpunet.errors import RuntimeUnavailableError
from gpunet.runtime.formats import RunRequest, TritonBackend, TritonRequest, WriteRequest, Written
from gpunet.runtime.sidecar import read_sidecar
from gpunet.runtime.trt.builder import build_engine
from gpunet.runtime.trt.engine_key import stale, this_machine
from gpunet.runtime.trt.graph import fit_batch, read_graph
from gpunet.runtime.trt.library import TENSORRT, TENSORRT_RTX, Library, library
from gpunet.runtime.trt.monitor import Progress
from gpunet.runtime.trt.options import BuildOptions, preflight
from gpunet.runtime.trt.session import TensorRTSession
from gpunet.runtime.trt.timing_cache import default_timing_cache
from gpunet.runtime.trt.trtexec import command_for

if TYPE_CHECKING:
    from onnx import ModelProto

    from gpunet.runtime.base import Session


def tuning(request: TritonRequest) -> dict[str, Any]:
    """CUDA graphs: an engine's kernels are started in one call."""
    return {"optimization": {"cuda": {"graphs": True}}}


class EngineFormat:
    """See `gpunet.runtime.formats.Format`; one for both libraries."""

    library: Library
    option: tuple[str, str]
    suffixes = (".engine", ".plan")
    any_runtime = False
    is_engine = True
    takes_half = True
    triton = TritonBackend("tensorrt", "model.plan", ("gpu",), tuning=tuning)

    def __init__(self) -> None:
        self.name, self.title = self.library.name, f"{self.library.title} engine"

    def check(self, options: Any) -> None:
        """See `Format.check`."""
        preflight(self.library, options or BuildOptions(), find_gpu())

    def files(self, path: Path) -> Sequence[Path]:
        """See `Format.files`."""
        return (path,)

    def hashed(self, path: Path) -> Path:
        """See `Format.hashed`."""
        return path

    def write(self, model: ModelProto, path: Path, request: WriteRequest) -> Written:
        """See `Format.write` and `gpunet.runtime.trt.builder.build_engine`, for its errors too."""
        gpu, options = find_gpu(), request.options or BuildOptions(precision=request.precision)
        timings = default_timing_cache(self.library, gpu)
        data = model.SerializeToString()
        built = build_engine(
            self.library, data, options, timing_cache=timings, on_progress=request.on_progress, gpu=gpu
        )
        path.write_bytes(built.data)
        report = built.report
        if self.library.ahead_of_time or gpu is None:
            target: dict[str, Any] = {"compute_capabilities": options.compute_capabilities}
        else:
            target = {"gpu": gpu.name, "compute_capabilities": (gpu.compute_capability,)}
        return Written(
            report.onnx_sha256, report.version, options.flags(), report.to_dict(), batch=report.batch, **target
        )

    def is_current(self, model: ModelProto, path: Path, request: WriteRequest) -> bool:
        """See `Format.is_current`."""
        options = request.options or BuildOptions(precision=request.precision)
        graph = read_graph(model.SerializeToString())
        return not stale(
            path, onnx_sha256=graph.sha256, options=options, batch=fit_batch(options.batch, graph),
            machine=this_machine(self.name),
        )  # fmt: skip

    def precision_of(self, path: Path) -> str:
        """See `Format.precision_of`: as its sidecar says, which was proved when it was built."""
        return read_sidecar(path).precision

    def open_for_proof(self, path: Path, precision: str) -> Session:
        """See `Format.open_for_proof`."""
        if find_gpu() is None:
            raise RuntimeUnavailableError(f"{self.library.title} needs a GPU, here is none.")
        return TensorRTSession(self.library, path.read_bytes(), precision)

    def how_to_run(self, request: RunRequest) -> Mapping[str, str | Sequence[str]]:
        """See `Format.how_to_run`."""
        return {self.name: command_for(request, request.version, rtx=self.library is TENSORRT_RTX)}


class TensorRTFormat(EngineFormat):
    """An engine for this machine's GPU."""

    library = TENSORRT
    option = ("--trt", "a TensorRT engine for this machine's GPU")


class TensorRTRTXFormat(EngineFormat):
    """An engine built ahead of time."""

    library = TENSORRT_RTX
    option = ("--trt-rtx", "a TensorRT-RTX engine, built ahead of time, with or without a GPU")


@contextlib.contextmanager
def build_progress(
    runtime: str, stream: TextIO | None = None, every_s: float = 10.0, clock: Callable[[], float] = time.monotonic
) -> Iterator[Callable[[Progress], None]]:
    """Say at the start that building takes time, and then where the build stands; the callable is for `on_progress`.

    Args:
        runtime: 'tensorrt' or 'tensorrt_rtx'.
        stream: standard error by default. Where it is no terminal, a line is printed at most every `every_s` seconds.
        every_s, clock: seconds.
    """
    stream, builder = stream or sys.stderr, library(runtime)
    takes = "some seconds" if builder.ahead_of_time else "some minutes: it measures kernels on the GPU"
    print(f"building a {builder.title} engine; this takes {takes}. Ctrl-C cancels.", file=stream, flush=True)
    began_s = clock()
    with ProgressBar(builder.title, 100, line_every_s=every_s, stream=stream, clock=clock) as bar:

        def show(progress: Progress) -> None:
            step = f"step {progress.step} of {progress.steps}, {progress.elapsed_s:.0f} s"
            bar.update(round(100 * progress.fraction), description=progress.phase, said=step)

        yield show
    print(f"built in {clock() - began_s:.0f} s", file=stream, flush=True)
