"""Files that can be run: ONNX, OpenVINO IR, engines; each by what can run it, called by what it computes in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gpunet import runtime as runtimes
from gpunet.core.files import not_a
from gpunet.errors import GpunetError, InvalidArgumentError, RuntimeUnavailableError
from gpunet.runtime import Runtime, Session
from gpunet.runtime.base import not_computed_in

_OTHERWISE = {"fp16": ["fp32"], "bf16": ["fp32"]}  # what a file is computed in, by what it holds, where that cannot be
_BY_NAME = {"fp32": ["bf16"]}  # and what it can be computed in besides, where that is asked for


def file_named(model: object) -> Path | None:
    """The path that a model is given by; None for one that is no file: a module, or the name of an entry."""
    if isinstance(model, str):
        return Path(model).expanduser() if Path(model).suffix.lower() in runtimes.suffixes() else None
    return model.expanduser() if isinstance(model, Path) else None


def session_from_file(
    path: Path, *, runtime: str | None = None, precision: str | None = None, threads: int | None = None
) -> Session:
    """A file made ready to run.

    `session.precision` is what it computes in, `session.conditions['file_precision']` what it holds. Half and
    bfloat16 are computed so where a runtime can, else in float32, which every processor has.

    Args:
        path: .onnx; .xml (OpenVINO IR); or .engine or .plan, with its sidecar beside it.
        runtime: that is to run it; None for the best that can.
        precision: to compute in: the file's own, of one in fp16 or bf16 'fp32', of one in fp32 'bf16'; None for the
            file's own where it can be had.
        threads: see `Runtime.load`; of no effect on a GPU.

    Raises:
        InvalidArgumentError: it cannot be read, is of another precision, or is nothing that this runtime runs.
        RuntimeUnavailableError: nothing here can run it, or not in that precision.
    """
    known = runtimes.format_of(path)
    if not known:
        raise InvalidArgumentError(f"a file to measure ends in {', '.join(runtimes.suffixes())}, but got {path}.")
    if known[0][1].is_engine:
        return _engine(path, runtime, precision)
    only, chosen_format = known[0]
    if not chosen_format.any_runtime and runtime is not None and runtimes.canonical(runtime) != only:
        raise _not_for(path, only, runtime)
    named = runtime if chosen_format.any_runtime else only
    chosen = [runtimes.available(named)] if named is not None else runtimes.all_available()
    if not path.is_file():
        raise not_a("file", path, InvalidArgumentError, "Write one: gpunet-export MODEL -o FILE.")
    found = chosen_format.precision_of(path)
    wanted = [found, *_OTHERWISE.get(found, ())]
    if precision is not None:
        if precision not in (*wanted, *_BY_NAME.get(found, ())):
            raise _other_precision(path, found, precision)
        wanted = [precision]
    session = _first_that_runs(path, chosen, wanted, threads)
    session.conditions = {**session.conditions, "file_precision": found}
    return session


def _first_that_runs(path: Path, chosen: Sequence[Runtime], wanted: Sequence[str], threads: int | None) -> Session:
    """The file in the first of these precisions that is computed here, by the first runtime that does.

    Raises:
        GpunetError: none does: as the first runtime says, where it says more than that it has not this precision.
    """
    refused: list[GpunetError] = []
    for asked in wanted:
        for each in chosen:
            try:
                session = each.load(path, precision=asked, threads=threads)
            except GpunetError as error:
                refused.append(error)
                continue
            if session.precision == asked:
                return session
            refused.append(not_computed_in(each, session.precision, asked))
    faults = [error for error in refused if not isinstance(error, RuntimeUnavailableError)]
    if faults or len(refused) == 1:
        raise (faults or refused)[0]
    reasons = "; ".join(each.message.rstrip(".") for each in refused)
    raise RuntimeUnavailableError(
        f"{path} runs nowhere here in {' or '.join(wanted)}: {reasons}.",
        next((error.hint for error in refused if error.hint), ""),
    )


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
    session = load_engine(path)
    session.conditions = {**session.conditions, "file_precision": sidecar.precision}
    return session


def _not_for(path: Path, only: str, runtime: str) -> InvalidArgumentError:
    return InvalidArgumentError(f"{path} runs on {only}, but runtime is {runtime!r}.", "Leave runtime out.")


def _other_precision(path: Path, found: str, asked: str | None) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"{path}: it is in {found}, but precision is {asked!r}.",
        f"Pass precision={found!r}, so that the figure says what it is of.",
    )
