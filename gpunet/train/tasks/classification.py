"""Classification: images to classes, with a teacher where the recipe has one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from gpunet.core.fields import part_to_dict
from gpunet.model.preprocessing import image_config
from gpunet.train.checkpoint import Position
from gpunet.train.data.datasets import ImageData
from gpunet.train.data.loader import Batch, TrainingLoader
from gpunet.train.data.transforms import mixup, training_transform
from gpunet.train.data.unreadable import UnreadableImages
from gpunet.train.evaluation.validation import Validation
from gpunet.train.identity import identity_of_data
from gpunet.train.loss import Loss
from gpunet.train.processes import Processes
from gpunet.train.randomness import MIXING, seed_images, seed_of
from gpunet.train.recipe import Recipe
from gpunet.train.settings import RunSettings

if TYPE_CHECKING:
    from gpunet.train.distillation.teacher import Teacher

_TYPES = {"fp32": None, "fp16": torch.float16, "bf16": torch.bfloat16}


class Classification:
    """The task of a classifier; see `gpunet.train.tasks.task` for what a run asks of it.

    Args:
        model, recipe, settings, group: of the run.
        data: images to learn from.
        validation: images to score on; None for no scores.
        num_classes: of the model.
        teacher: for a recipe with distillation.
    """

    figure = "top1_percent"

    def __init__(
        self, model: nn.Module, recipe: Recipe, settings: RunSettings, group: Processes, *, data: ImageData,
        validation: ImageData | None, num_classes: int, teacher: Teacher | None,
    ) -> None:  # fmt: skip
        self._recipe, self._settings, self._group, self._teacher = recipe, settings, group, teacher
        self._device = group.device
        self._layout = torch.channels_last if recipe.channels_last else torch.contiguous_format
        self._type = _TYPES[recipe.precision]
        self._loss = Loss(recipe)
        self._mixup = mixup(recipe, num_classes)
        self.data_name, self.images = data.name, len(data)
        config = image_config(model)
        if teacher is not None:
            augmentation = part_to_dict(recipe.augmentation)
            identity = {"data": identity_of_data(data), "augmentation": augmentation, "seed": settings.seed}
            for turn in (True, False):  # the first process makes the file that all share
                if group.first is turn:
                    teacher.prepare(model, len(data), identity, self._device)
                group.wait()
        served = config if teacher is None else teacher.config
        self._student_px = config["input_size"][1:]
        self.loader = TrainingLoader(
            data, training_transform(served, recipe.augmentation), num_classes, recipe.batch_size,
            seed=settings.seed, fixed=recipe.augmentation.fixed or not recipe.augmentation.enabled,
            place=group.place, workers=settings.workers, pin_memory=self._device.type == "cuda",
        )  # fmt: skip
        self._validation = (
            None if validation is None else
            Validation(validation, config, num_classes, recipe.batch_size, group, settings.workers)
        )  # fmt: skip

    def loss(self, network: nn.Module, batch: Batch, at: Position) -> Tensor:
        """A batch's mean loss."""
        images = batch.images.to(self._device, non_blocking=True)
        targets: Any = batch.targets.to(self._device, non_blocking=True)
        answers = None
        if self._teacher is not None:
            answers = self._teacher.logits(images, batch.indices)
            images = self._teacher.for_student(images, self._student_px)
        if self._mixup is not None and len(images) % 2 == 0:
            seed_images(seed_of(self._settings.seed, MIXING, at.epoch, at.step, self._group.place.rank))
            images, targets = self._mixup(images, targets)
        return self._loss(self._logits(network, images), targets, answers)

    def score(
        self, network: nn.Module, met: UnreadableImages, after_batch: Callable[[], None]
    ) -> dict[str, Any] | None:
        """Top-1, top-5 and loss on the validation images."""
        if self._validation is None:
            return None
        counts = self._validation.score(network, self._logits, met, after_batch)
        return {"top1_percent": counts.top1_percent, "top5_percent": counts.top5_percent, "loss": counts.loss}

    def _logits(self, model: nn.Module, images: Tensor) -> Tensor:
        """`n x C x H x W` images, wherever they are -> `n x classes`, in the recipe's precision and memory format."""
        images = images.to(self._device, non_blocking=True).contiguous(memory_format=self._layout)
        with torch.autocast(self._device.type, self._type, enabled=self._type is not None):
            logits: Tensor = model(images)
        return logits
