"""Engines as files: preflight, build with progress, write atomically with a sidecar, or keep what is current."""

from __future__ import annotations

import contextlib
import importlib.metadata
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from gpunet.core.files import atomic_path, sha256_of
from gpunet.core.progress import ProgressBar
from gpunet.errors import ExportError
from gpunet.exporters.engine_key import Machine, stale, this_machine
from gpunet.exporters.sidecar import Sidecar, now_utc, read_sidecar, sidecar_path, write_sidecar
from gpunet.runtime.tensorrt import default_timing_cache
from gpunet.runtime.trt.builder import BuildReport, build_engine
from gpunet.runtime.trt.gpu import find_gpu
from gpunet.runtime.trt.graph import fit_batch, read_graph
from gpunet.runtime.trt.library import Library, library
from gpunet.runtime.trt.monitor import Progress
from gpunet.runtime.trt.options import BuildOptions, preflight


@dataclass(frozen=True)
class EngineReport:
    """What was exported.

    Args:
        path: the engine.
        sidecar: what stands beside it.
        build: what the build did and proved; None where the file was current and kept.
    """

    path: Path
    sidecar: Sidecar
    build: BuildReport | None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {"path": str(self.path), "built": self.build is not None, **self.sidecar.to_dict()}


def check_engine_export(runtime: str, path: str | Path, options: BuildOptions) -> Machine:
    """Everything that can be known before any work: the library, the GPU, the options, the folder.

    Args:
        runtime: 'tensorrt' or 'tensorrt_rtx'.
        path: where the engine is to lie.
        options: how to build it.

    Raises:
        MissingDependencyError: (an ImportError) the library is not installed.
        RuntimeUnavailableError: (a RuntimeError) no GPU where one is needed, or one that is not served.
        InvalidArgumentError: (a ValueError) an option is not one of this library's, or not known.
        ExportError: (a RuntimeError) the folder cannot be written.
    """
    preflight(library(runtime), options, find_gpu())
    check_writable(path)
    return this_machine(runtime)


def check_writable(path: str | Path) -> None:
    """Raise ExportError unless a file can be written there; its folder is made."""
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise _unwritable(path, error) from error
    if path.is_dir():
        raise ExportError(f"{path} is a folder.", "Name a file in it, for example gpunet_0.engine.")


def _unwritable(path: Path, error: OSError) -> ExportError:
    reason = "its folder is a file" if isinstance(error, FileExistsError) else error.strerror or error
    return ExportError(f"{path} cannot be written: {reason}.", "Choose another place: -o PATH.")


def export_engine(
    onnx: bytes | Path,
    path: str | Path,
    *,
    runtime: str = "tensorrt",
    options: BuildOptions | None = None,
    model: str | None = None,
    spec_sha256: str | None = None,
    verification: Mapping[str, Any] | None = None,
    command: Sequence[str] = (),
    cache: bool = False,
    timing_cache: Path | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> EngineReport:
    """Build an engine and write it with its sidecar. Nothing is left at `path` when it fails or is interrupted.

    Args:
        onnx: the ONNX file's bytes or path, in the precision that is wanted.
        path: of the engine; `path`.json gets the sidecar.
        runtime: 'tensorrt' (for this machine's GPU) or 'tensorrt_rtx' (for named compute capabilities, with or
            without a GPU).
        options: how to build; None for the defaults.
        model, spec_sha256, verification, command: for the sidecar.
        cache: keep the file that is there if it is what this build would give.
        timing_cache: see `build_engine`; None for gpunet's own, where the library has one.
        on_progress: called at every step of the builder; `build_progress` shows it.

    Raises:
        See `check_engine_export` and `gpunet.runtime.trt.builder.build_engine`.
    """
    path, options, builder = Path(path), options or BuildOptions(), library(runtime)
    machine = check_engine_export(runtime, path, options)
    if cache:
        graph = read_graph(onnx)
        batch = fit_batch(options.batch, graph)
        if not stale(path, onnx_sha256=graph.sha256, options=options, batch=batch, machine=machine):
            return EngineReport(path, read_sidecar(path), None)
    timings = timing_cache or default_timing_cache(builder, machine.gpu)
    built = build_engine(builder, onnx, options, timing_cache=timings, on_progress=on_progress, gpu=machine.gpu)
    try:
        # The old sidecar goes first: a new engine beside an old sidecar must not be possible.
        sidecar_path(path).unlink(missing_ok=True)
        with atomic_path(path) as part:
            part.write_bytes(built.data)
        sidecar = _sidecar(path, builder, built.report, options, machine, model, spec_sha256, verification, command)
        write_sidecar(path, sidecar)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise _unwritable(path, error) from error
    return EngineReport(path, sidecar, built.report)


def _sidecar(
    path: Path,
    builder: Library,
    report: BuildReport,
    options: BuildOptions,
    machine: Machine,
    model: str | None,
    spec_sha256: str | None,
    verification: Mapping[str, Any] | None,
    command: Sequence[str],
) -> Sidecar:
    on_gpu = machine.gpu if not builder.ahead_of_time else None
    return Sidecar(
        format=builder.name,
        artefact_sha256=sha256_of(path),
        artefact_bytes=report.size_bytes,
        onnx_sha256=report.onnx_sha256,
        precision=options.precision,
        batch=report.batch,
        runtime=builder.name,
        runtime_version=report.version,
        model=model,
        spec_sha256=spec_sha256,
        gpu=None if on_gpu is None else on_gpu.name,
        compute_capabilities=options.compute_capabilities if on_gpu is None else (on_gpu.compute_capability,),
        os=machine.os,
        machine=machine.machine,
        builder_flags=options.flags(),
        verification=verification or {"outcome": "not verified", "reason": "nothing has run the engine yet"},
        report=report.to_dict(),
        command=tuple(command),
        gpunet_version=importlib.metadata.version("gpunet"),
        created=now_utc(),
    )


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
