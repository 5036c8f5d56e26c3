"""A run's folder: whether another process is at work in it, which run it holds, and how far that is."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpunet.core.json_files import parsed_json
from gpunet.errors import FAILED_EXIT_CODE, FolderInUseError, TrainingError
from gpunet.train.checkpoint import CHECKPOINTS, Position, positions_in
from gpunet.train.identity import differing
from gpunet.train.processes import Processes
from gpunet.train.score import TrainingResult

RUN, RESULT, WEIGHTS = "run.json", "result.json", "model.safetensors"


@dataclass(frozen=True)
class Standing:
    """How far a run is.

    Args:
        position: of its last checkpoint; None for a run that has not begun.
        finished: it has its result and its weights.
    """

    position: Position | None
    finished: bool


def standing(out: Path) -> Standing:
    """How far the run in a folder is; of a folder that holds none, or is not there, that it has not begun."""
    finished = all((out / name).is_file() for name in (RUN, RESULT, WEIGHTS))
    there = positions_in(out / CHECKPOINTS) if (out / CHECKPOINTS).is_dir() else []
    return Standing(there[-1] if there else None, finished)


def check_folder(out: Path) -> None:
    """Raise TrainingError unless a run's folder can be made, and written to; what was made to see that is gone."""
    missing = [each for each in (out, *out.parents) if not os.path.lexists(each)]
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise _no_folder(out, error) from None
    finally:
        for each in missing:
            with contextlib.suppress(OSError):
                each.rmdir()


@contextlib.contextmanager
def alone(out: Path, group: Processes) -> Iterator[None]:
    """Hold the run's folder against other runs; a killed process lets go of it."""
    if not group.first:
        yield
        return
    from filelock import FileLock, Timeout

    lock = FileLock(out / ".lock", timeout=0)
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise FolderInUseError(
            f"another process is training in {out}.", "Wait for it, or give another folder: -o DIR."
        ) from None
    except OSError as error:
        raise _no_folder(out, error) from None
    try:
        yield
    finally:
        lock.release()


def _no_folder(out: Path, error: OSError) -> TrainingError:
    return TrainingError(
        f"{out} cannot be the folder of a run: {error}", "Give a folder that can be made and written to: -o DIR."
    )


def check_run(out: Path, identity: dict[str, Any], resume: bool) -> None:
    """Raise TrainingError where the folder holds another run, or any where `resume` is False."""
    if not (out / RUN).exists():
        return
    if not resume:
        raise TrainingError(f"{out} holds a run already.", "Give another folder (-o DIR), or go on with it.")
    other = differing(_read(out / RUN, dict), identity)
    if other is not None:
        name, old, new = other
        raise TrainingError(
            f"{out} holds another run: its {name} is {_shown(old)}, but now it is {_shown(new)}.",
            "Give another folder (-o DIR); or, to begin anew, delete it.",
        )


def read_result(out: Path) -> TrainingResult:
    """What the run in a folder ended with.

    Raises:
        TrainingError: its file is damaged.
    """
    data = _read(out / RESULT, dict)
    try:
        return TrainingResult.from_dict(data, out / WEIGHTS)
    except (AttributeError, KeyError, TypeError) as error:
        raise _damaged(out / RESULT, f"{type(error).__name__}: {error}") from None


def _read(path: Path, kind: type) -> Any:
    try:
        data = parsed_json(Path(path).read_bytes())
    except (OSError, ValueError) as error:
        raise _damaged(path, str(error)) from None
    if not isinstance(data, kind):
        raise _damaged(path, "it holds no object")
    return data


def _damaged(path: Path, reason: str) -> TrainingError:
    hint = (
        f"Delete {path}: the run is read from its last checkpoint then." if path.name == RESULT else
        "Give another folder (-o DIR), or delete it."
    )  # fmt: skip
    return TrainingError(f"{path} is damaged: {reason:.300}", hint, exit_code=FAILED_EXIT_CODE)


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 300 else text[:297] + "..."
