"""Files that can be measured: ONNX, OpenVINO IR, engines; each by what can run it, at the precision that it holds."""

from __future__ import annotations

from pathlib import Path

from gpunet import runtime as runtimes
from gpunet.errors import InvalidArgumentError, RuntimeUnavailableError
from gpunet.runtime import Runtime, Session
from gpunet.runtime.onnx_precision import graph_precision

# Suffix -> what runs it; None for every runtime but PyTorch, () for the library in the engine's sidecar.
_RUN_BY = {".onnx": None, ".xml": "openvino", ".engine": "", ".plan": ""}
SUFFIXES = tuple(_RUN_BY)


def file_named(model: object) -> Path | None:
    """The path that a model is given by; None for one that is no file: a module, or the name of an entry."""
    if isinstance(model, str):
        return Path(model).expanduser() if Path(model).suffix.lower() in _RUN_BY else None
    return model.expanduser() if isinstance(model, Path) else None


def available_runtime(name: str | None) -> Runtime:
    """The runtime of that name, or the best for None.

    Raises:
        InvalidArgumentError: there is none of that name.
        RuntimeUnavailableError: it cannot run here, with the reason.
    """
    if name is None:
        return runtimes.best()
    chosen = runtimes.get(name)
    reason = chosen.unavailable()
    if reason is not None:
        raise RuntimeUnavailableError(
            f"the runtime {name!r} cannot run here: {reason}", "Leave runtime out for the best that can."
        )
    return chosen


def session_from_file(
    path: Path, *, runtime: str | None = None, precision: str | None = None, threads: int | None = None
) -> Session:
    """A file made ready to run.

    Args:
        path: .onnx; .xml (OpenVINO IR); or .engine or .plan, with its sidecar beside it.
        runtime: that is to run it; None for the best that can.
        precision: that it holds; None to look.
        threads: see `Runtime.load`; of no effect on a GPU.

    Raises:
        InvalidArgumentError: it cannot be read, is of another precision, or is nothing that this runtime runs.
        RuntimeUnavailableError: nothing here can run it.
    """
    suffix = path.suffix.lower()
    if suffix not in _RUN_BY:
        raise InvalidArgumentError(f"a file to measure ends in {', '.join(SUFFIXES)}, but got {path}.")
    if _RUN_BY[suffix] == "":
        return _engine(path, runtime, precision)
    only = _RUN_BY[suffix]
    if only is not None and runtime is not None and runtimes.canonical(runtime) != only:
        raise _not_for(path, only, runtime)
    chosen = available_runtime(only or runtime)
    found = _precision_of(path)
    session = chosen.load(path, precision=precision or found, threads=threads)
    # On a processor without half arithmetic OpenVINO runs a half graph in float32, and says so: that is the truth then.
    in_float32 = session.precision == "fp32" and session.conditions.get("arithmetic") == "f32" and found == "fp16"
    if session.precision != found and not in_float32:
        raise _other_precision(path, found, session.precision)
    return session


def _engine(path: Path, runtime: str | None, precision: str | None) -> Session:
    from gpunet.exporters.engine_key import load_engine
    from gpunet.exporters.sidecar import read_sidecar

    sidecar = read_sidecar(path)
    if runtime is not None and runtimes.canonical(runtime) != sidecar.runtime:
        raise _not_for(path, sidecar.runtime, runtime)
    if precision not in (None, sidecar.precision):
        raise _other_precision(path, sidecar.precision, precision)
    return load_engine(path)


def _precision_of(path: Path) -> str:
    if not path.is_file():
        raise InvalidArgumentError(f"{path}: there is no such file.", "Write one: gpunet-export MODEL -o FILE.")
    if path.suffix.lower() == ".xml":
        from gpunet.runtime.openvino import network_precision, read_network

        return network_precision(read_network(path))
    return graph_precision(path)


def _not_for(path: Path, only: str, runtime: str) -> InvalidArgumentError:
    return InvalidArgumentError(f"{path} runs on {only}, but runtime is {runtime!r}.", "Leave runtime out.")


def _other_precision(path: Path, found: str, asked: str | None) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"{path}: it is in {found}, but precision is {asked!r}.",
        f"Pass precision={found!r}, so that the figure says what it is of.",
    )
