"""What a run asks of the task that it trains a network for; classification is one, detection another.

A run knows epochs, updates, averaged weights and checkpoints; a task knows images, what is to be answered, and how good
the answers are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor, nn

from gpunet.train.checkpoint import Position
from gpunet.train.data.loader import Unreadable
from gpunet.train.data.unreadable import UnreadableImages
from gpunet.train.processes import Processes
from gpunet.train.recipe import Recipe
from gpunet.train.settings import RunSettings


class TaskBatch(Protocol):
    """What a step learns from."""

    @property
    def unreadable(self) -> list[Unreadable]:
        """Images that could not be read, with the reasons."""

    def tensors(self) -> dict[str, Tensor]:
        """All of it by name, to be kept in a file."""


class TaskLoader(Protocol):
    """Batches of training images, epoch by epoch, the same again in a run that goes on."""

    def __len__(self) -> int:
        """Batches of an epoch."""

    def epoch(self, epoch: int, first: int = 0) -> Iterator[Any]:
        """The batches (`TaskBatch`) of an epoch, from batch `first` on."""


class Task(Protocol):
    """What a network is trained for, in one run."""

    @property
    def data_name(self) -> str:
        """What it learns from is called."""

    @property
    def images(self) -> int:
        """How many there are."""

    @property
    def loader(self) -> TaskLoader:
        """Gives them, batch by batch."""

    @property
    def figure(self) -> str:
        """The field of `EpochScore` by which the best epoch is told, higher better."""

    def loss(self, network: nn.Module, batch: Any, at: Position) -> Tensor:
        """A batch's mean loss, a scalar on the run's device; generators have been seeded for the step.

        Args:
            network: in training mode, perhaps wrapped.
            batch: of the loader.
            at: the batch's place in the run.
        """

    def score(
        self, network: nn.Module, met: UnreadableImages, after_batch: Callable[[], None]
    ) -> dict[str, Any] | None:
        """Fields of `EpochScore` for a network, `figure` among them; None where there is nothing to score on.

        Args:
            network: in evaluation mode afterwards.
            met: is told what cannot be read.
            after_batch: called after each batch that every process has; may raise to leave.
        """


@dataclass(frozen=True)
class Job:
    """A run's task before the run is there.

    Args:
        task: makes it, once the network is on its device.
        identity: what a run must have in common with the one that it goes on with, for so many processes.
        classes: names that the kept weights carry; None where they are not known.
    """

    task: Callable[[nn.Module, Recipe, RunSettings, Processes], Task]
    identity: Callable[[int], Mapping[str, Any]]
    classes: Sequence[str] | None
