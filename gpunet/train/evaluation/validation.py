"""A run's own score of a network: every process its share of the validation images, each image once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from gpunet.errors import TrainingError
from gpunet.model.preprocessing import evaluation_transform
from gpunet.train.data.datasets import ImageData
from gpunet.train.data.loader import evaluation_loader
from gpunet.train.data.unreadable import UnreadableImages
from gpunet.train.evaluation.counts import Counts, count
from gpunet.train.processes import Processes

LOWER = "Lower the learning rate, clip gradients (gradient_norm) or train in fp32 or bf16, into another folder."
"""What to do about a run that has gone astray."""


class Validation:
    """The validation images of a run.

    Args:
        data: the images.
        config: how the network takes them.
        num_classes: of the network.
        batch_size: images a batch.
        group: the processes that share them.
        workers: processes that prepare images.
    """

    def __init__(
        self, data: ImageData, config: dict[str, Any], num_classes: int, batch_size: int, group: Processes, workers: int
    ) -> None:
        self._data, self._num_classes, self._group = data, num_classes, group
        self._loader = evaluation_loader(
            data, evaluation_transform(config), num_classes, batch_size, place=group.place, workers=workers,
            pin_memory=group.device.type == "cuda",
        )  # fmt: skip
        # Processes have almost as many batches as each other; they agree over those that all of them have.
        mine = 0 if data.streamed else len(data) // group.place.processes
        self._common = -(-mine // batch_size)

    def score(
        self,
        network: nn.Module,
        logits: Callable[[nn.Module, Tensor], Tensor],
        met: UnreadableImages,
        after_batch: Callable[[], None],
    ) -> Counts:
        """Score a network, which is in evaluation mode afterwards.

        Args:
            network: what is scored.
            logits: runs it on `n x C x H x W` images, wherever they are: `n x classes`.
            met: is told what cannot be read.
            after_batch: called after each batch that every process has; may raise to leave.

        Raises:
            TrainingError: the network's answers are no numbers.
        """
        counts = Counts(self._num_classes)
        network.eval()
        with torch.inference_mode():
            for number, batch in enumerate(self._loader):
                met.note(batch.unreadable)
                if len(batch.targets):
                    answers = logits(network, batch.images).float()
                    counts += count(answers, batch.targets.to(self._group.device), self._num_classes)
                if number < self._common or not self._group.many:
                    after_batch()
        found = counts.over(self._group)
        if not found.is_finite:
            raise TrainingError(
                f"the network's answers on {self._data.name} are no numbers: its loss there is {found.loss}.",
                LOWER,
            )
        return found
