"""Checkpoints of a run: a folder each with `state.safetensors` and `state.json`, written whole or not at all.

out/checkpoints/epoch-0003-step-000120/     before step 120 of epoch 3, both counted from 0
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from gpunet.core.json_files import parsed_json
from gpunet.core.versions import body_of
from gpunet.errors import FAILED_EXIT_CODE, GpunetError, TrainingError

STATE_VERSION = 1
CHECKPOINTS = "checkpoints"  # their folder in a run's
_NAME = re.compile(r"epoch-(\d{4,})-step-(\d{6,})")
_TENSORS, _VALUES = "state.safetensors", "state.json"


@dataclass(frozen=True, order=True)
class Position:
    """A place in a run: `step` batches of `epoch` are done, both counted from 0."""

    epoch: int
    step: int = 0

    def __str__(self) -> str:
        return f"epoch-{self.epoch:04}-step-{self.step:06}"


def positions_in(folder: Path) -> list[Position]:
    """Of the checkpoints in a folder, in order."""
    found = (_NAME.fullmatch(path.name) for path in folder.iterdir())
    return sorted(Position(int(each[1]), int(each[2])) for each in found if each)


class Checkpoints:
    """The checkpoints of one run.

    Args:
        folder: where they lie; created.
        keep: how many of the last are kept, beside the best.
    """

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder, self._keep = folder, keep
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(".*.part"):
            shutil.rmtree(left, ignore_errors=True)

    def positions(self) -> list[Position]:
        """Those that are there, in order."""
        return positions_in(self.folder)

    def path(self, position: Position) -> Path:
        """The folder of a checkpoint."""
        return self.folder / str(position)

    def save(
        self, position: Position, tensors: Mapping[str, Tensor], values: Mapping[str, Any], best: Position | None
    ) -> None:
        """Write one, and delete what is not kept any more. One that is there already is left as it is.

        Raises:
            TrainingError: the disk is full or may not be written; the others are still there then.
        """
        target = self.path(position)
        if not target.exists():
            part = self.folder / f".{target.name}.part"
            shutil.rmtree(part, ignore_errors=True)
            with told(target):
                try:
                    part.mkdir()
                    save_file({name: tensor.detach().contiguous() for name, tensor in tensors.items()}, part / _TENSORS)
                    text = json.dumps({"state_version": STATE_VERSION, **values})
                    (part / _VALUES).write_text(text, encoding="utf-8")
                    for name in (_TENSORS, _VALUES):
                        with open(part / name, "rb") as file:
                            os.fsync(file.fileno())
                    os.replace(part, target)
                except BaseException:
                    shutil.rmtree(part, ignore_errors=True)
                    raise
        last = self.positions()[-self._keep :]
        for each in self.positions():
            if each not in last and each != best:
                shutil.rmtree(self.path(each))

    def load(self, position: Position) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors and values of one.

        Raises:
            TrainingError: it is damaged, or of a newer version.
        """
        folder = self.path(position)
        with self.reading(position):
            values = parsed_json((folder / _VALUES).read_bytes())
            tensors = load_file(folder / _TENSORS)
        values = body_of(values, "checkpoint", "state_version", STATE_VERSION, error=TrainingError, where=str(folder))
        return tensors, values

    @contextlib.contextmanager
    def reading(self, position: Position) -> Iterator[None]:
        """Raise TrainingError where one cannot be read, or does not hold what the run that reads it needs."""
        try:
            yield
        except (GpunetError, torch.OutOfMemoryError):
            raise
        except (AttributeError, LookupError, OSError, RuntimeError, SafetensorError, TypeError, ValueError) as error:
            folder = self.path(position)
            raise TrainingError(
                f"the checkpoint {folder} cannot be read: {type(error).__name__}: {error!s:.300}",
                f"Delete {folder}: the run goes on from the one before.",
                exit_code=FAILED_EXIT_CODE,
            ) from error


@contextlib.contextmanager
def told(path: Path) -> Iterator[None]:
    """Say of what cannot be written what to do: a full disk is no bug.

    Raises:
        TrainingError: instead of an OSError, or of safetensors' own.
    """
    try:
        yield
    except (OSError, SafetensorError) as error:
        raise TrainingError(
            f"{path} cannot be written: {error}",
            "Make room, or allow writing there: the same command goes on from the last checkpoint.",
        ) from error


def under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Those whose names begin with the prefix and a dot, without it."""
    return {name.removeprefix(f"{prefix}."): value for name, value in tensors.items() if name.startswith(f"{prefix}.")}


def flat_optimizer(state: Mapping[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """An optimiser's state dict as named tensors and plain values."""
    tensors: dict[str, Tensor] = {}
    values: dict[str, dict[str, Any]] = {}
    for number, own in state["state"].items():
        for key, value in own.items():
            if isinstance(value, Tensor):
                tensors[f"{number}.{key}"] = value
            else:
                values.setdefault(str(number), {})[key] = value
    return tensors, {"values": values, "groups": state["param_groups"]}


def unflat_optimizer(
    tensors: Mapping[str, Tensor], values: Mapping[str, Any], parameters: Sequence[Tensor]
) -> dict[str, Any]:
    """The state dict that `flat_optimizer` took apart; tensors in the memory format of their parameters.

    The format matters to the last bit: elementwise kernels differ for tensors that are not laid out alike.
    """
    state: dict[int, dict[str, Any]] = {int(number): dict(own) for number, own in values["values"].items()}
    for name, tensor in tensors.items():
        number, _, key = name.partition(".")
        parameter = parameters[int(number)]
        if tensor.shape == parameter.shape:
            tensor = torch.empty_like(parameter, dtype=tensor.dtype, device=tensor.device).copy_(tensor)
        state.setdefault(int(number), {})[key] = tensor
    return {"state": state, "param_groups": values["groups"]}
