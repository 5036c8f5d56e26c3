"""Files that can be measured: ONNX, OpenVINO IR, engines; each by what can run it, at the precision that it holds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gpunet import runtime as runtimes
from gpunet.errors import ABSENT_EXIT_CODE, InvalidArgumentError, RuntimeUnavailableError
from gpunet.runtime import Session


def file_named(model: object) -> Path | None:
    """The path that a model is given by; None for one that is no file: a module, or the name of an entry."""
    if isinstance(model, str):
        return Path(model).expanduser() if Path(model).suffix.lower() in runtimes.suffixes() else None
    return model.expanduser() if isinstance(model, Path) else None


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
    known = runtimes.format_of(path)
    if not known:
        raise InvalidArgumentError(f"a file to measure ends in {', '.join(runtimes.suffixes())}, but got {path}.")
    if known[0][1].is_engine:
        return _engine(path, runtime, precision)
    only, chosen_format = known[0]
    if not chosen_format.any_runtime and runtime is not None and runtimes.canonical(runtime) != only:
        raise _not_for(path, only, runtime)
    chosen = runtimes.available(runtime if chosen_format.any_runtime else only)
    if not path.is_file():
        raise InvalidArgumentError(
            f"{path}: there is no such file.", "Write one: gpunet-export MODEL -o FILE.", exit_code=ABSENT_EXIT_CODE
        )
    found = chosen_format.precision_of(path)
    session = chosen.load(path, precision=precision or found, threads=threads)
    # On a processor without half arithmetic OpenVINO runs a half graph in float32, and says so: that is the truth then.
    in_float32 = session.precision == "fp32" and session.conditions.get("arithmetic") == "f32" and found == "fp16"
    if session.precision != found and not in_float32:
        raise _other_precision(path, found, session.precision)
    return session


def session_for_answers(path: Path, *, runtime: str | None = None, threads: int | None = None) -> Session:
    """As `session_from_file`, for what a file computes and not how fast: half in float32 where half cannot be had."""
    known = runtimes.format_of(path)
    try:
        return session_from_file(path, runtime=runtime, threads=threads)
    except RuntimeUnavailableError:
        if known[0][1].is_engine or known[0][1].precision_of(path) != "fp16":
            raise
        return session_from_file(path, runtime=runtime, precision="fp32", threads=threads)


def image_config_of_file(path: Path, said: Mapping[str, Any] | None, session: Session) -> dict[str, Any]:
    """How a file takes pictures: input_size, mean, std, interpolation, crop_pct.

    Args:
        path: the file.
        said: what its sidecar or its metadata says of it; see `gpunet.exporters.metadata.facts_of_file`.
        session: that runs it, whose sizes count.

    Raises:
        InvalidArgumentError: (a ValueError) something is not said.
    """
    config = dict(said or {})
    own = session.input_shape[1:]
    if None not in own:
        config["input_size"] = own
    missing = [key for key in ("input_size", "mean", "std", "interpolation", "crop_pct") if key not in config]
    if missing:
        raise InvalidArgumentError(
            f"{path} does not say how it takes images: {', '.join(missing)} unknown.",
            "A file that gpunet-export writes says it, in its metadata or in FILE.json beside it.",
        )
    return {**config, "input_size": tuple(config["input_size"])}


def _engine(path: Path, runtime: str | None, precision: str | None) -> Session:
    """An engine is run by what built it: its sidecar says which of the libraries that was."""
    from gpunet.runtime.sidecar import read_sidecar
    from gpunet.runtime.trt.engine_key import load_engine

    sidecar = read_sidecar(path)
    if runtime is not None and runtimes.canonical(runtime) != sidecar.runtime:
        raise _not_for(path, sidecar.runtime, runtime)
    if precision not in (None, sidecar.precision):
        raise _other_precision(path, sidecar.precision, precision)
    return load_engine(path)


def _not_for(path: Path, only: str, runtime: str) -> InvalidArgumentError:
    return InvalidArgumentError(f"{path} runs on {only}, but runtime is {runtime!r}.", "Leave runtime out.")


def _other_precision(path: Path, found: str, asked: str | None) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"{path}: it is in {found}, but precision is {asked!r}.",
        f"Pass precision={found!r}, so that the figure says what it is of.",
    )
