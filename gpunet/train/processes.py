"""The processes that train together: one by itself, or those that torchrun started."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch import distributed as dist

from gpunet.errors import MISSING_EXIT_CODE, TrainingError
from gpunet.train.data.loader import ProcessPlace

STOP, SAVE = 2, 1  # what `Processes.agree` agrees on; the greater wins
_Value = TypeVar("_Value")
_TIMEOUT = timedelta(minutes=30)


class Processes:
    """A process and its fellows.

    Args:
        place: rank and number.
        device: what it computes on.
    """

    def __init__(self, place: ProcessPlace, device: torch.device) -> None:
        self.place, self.device = place, device
        self._control: Any = dist.new_group(backend="gloo") if place.processes > 1 else None
        self._asked: tuple[Any, Tensor] | None = None

    @property
    def first(self) -> bool:
        """Whether this is the process that writes."""
        return self.place.rank == 0

    @property
    def many(self) -> bool:
        """Whether there are others."""
        return self.place.processes > 1

    def agree(self, wish: int) -> int:
        """The greatest wish of all processes, each asked once a step; of many, that of the step before.

        It never waits for a process that is a step behind, so it costs a step next to nothing.
        """
        if self._control is None:
            return wish
        agreed = self.settled()
        asked = torch.tensor(wish)
        self._asked = dist.all_reduce(asked, dist.ReduceOp.MAX, self._control, async_op=True), asked
        return agreed

    def settled(self) -> int:
        """What was agreed on last; nothing is asked anew."""
        if self._asked is None:
            return 0
        work, asked = self._asked
        work.wait()
        self._asked = None
        return int(asked)

    def sum(self, value: Tensor) -> Tensor:
        """The sum over all processes, in place."""
        if self.many:
            dist.all_reduce(value)
        return value

    def from_first(self, value: bool) -> bool:
        """What the first process says."""
        if self._control is None:
            return value
        said = torch.tensor(int(value))
        dist.broadcast(said, 0, self._control)
        return bool(said)

    def gathered(self, value: _Value) -> list[_Value]:
        """Every process's own, by rank; at every process."""
        if self._control is None:
            return [value]
        found: list[Any] = [None] * self.place.processes
        dist.all_gather_object(found, value, group=self._control)
        return found

    def wait(self) -> None:
        """For all others to come here."""
        if self._control is not None:
            dist.barrier(self._control)


def device_named(name: str | torch.device | None = None) -> torch.device:
    """'cpu', 'cuda', 'cuda:1', ...; None for a GPU where there is one.

    Raises:
        TrainingError: there is no such device here.
    """
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    try:
        chosen = torch.device(name if name is not None else "cuda" if gpus else "cpu")
    except RuntimeError:
        raise TrainingError(f"device must be cpu, cuda or cuda:N, but got {name!r}.") from None
    if chosen.type not in ("cpu", "cuda"):
        raise TrainingError(f"device must be cpu, cuda or cuda:N, but got {name!r}.")
    if chosen.type == "cuda" and (chosen.index or 0) >= gpus:
        found = f"{gpus} GPUs, from cuda:0 on," if gpus else "no GPU"
        raise TrainingError(
            f"device is {str(name)!r}, but torch finds {found} here.", "Compute on the processor: --on cpu.",
            exit_code=MISSING_EXIT_CODE,
        )  # fmt: skip
    return chosen


@contextlib.contextmanager
def processes(device: str | torch.device | None = None) -> Iterator[Processes]:
    """One of the processes that torchrun started, or one by itself.

    Args:
        device: 'cpu', 'cuda', 'cuda:1'; None for a GPU where there is one. Of many processes each takes a GPU of its
            own.

    Raises:
        TrainingError: the device is not there.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    chosen = device_named(device)
    if chosen.type == "cuda":
        if count > 1:
            chosen = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(chosen)
    own = count > 1 and not dist.is_initialized()
    if own:
        dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo", timeout=_TIMEOUT)
    try:
        place = ProcessPlace(dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else ProcessPlace()
        yield Processes(place, chosen)
    finally:
        if own:
            dist.destroy_process_group()
