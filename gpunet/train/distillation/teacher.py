"""A teacher: what it answers to the images of a batch, and what the student sees of them.

The loader serves images at the teacher's resolution and in its normalisation; the student gets them scaled down
(bicubic, antialiased) and normalised as it expects them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from gpunet.errors import InvalidArgumentError, TrainingError
from gpunet.model.preprocessing import evaluation_transform, image_config, num_classes_of
from gpunet.train.data.datasets import ImageData
from gpunet.train.data.loader import evaluation_loader
from gpunet.train.distillation.cache import TeacherCache, weights_sha256
from gpunet.train.evaluation.counts import Counts, count


class Teacher:
    """A trained network that a student learns from.

    Args:
        network: any of timm's or gpunet's, with the student's classes.
        image_px: side of the images that the loader serves; None for the network's own.
        cache: a file that its answers are kept in; only where an image looks the same in every epoch.

    Raises:
        InvalidArgumentError: (a ValueError) `image_px` is no side of an image.
    """

    def __init__(self, network: nn.Module, *, image_px: int | None = None, cache: str | Path | None = None) -> None:
        self.network = network.eval().requires_grad_(False)
        self.config = image_config(network, image_px)
        height, width = self.config["input_size"][1:]
        if height != width or height < 8:
            raise InvalidArgumentError(
                f"a teacher's images must be square, of 8 px or more, but are {height} x {width}."
            )
        self.image_px = int(height)
        self._path = None if cache is None else Path(cache)
        self._cache: TeacherCache | None = None
        self._scale: tuple[Tensor, Tensor] | None = None

    @property
    def num_classes(self) -> int:
        """Classes that it tells apart."""
        return num_classes_of(self.network)

    def prepare(self, student: nn.Module, images: int, identity: dict[str, Any], device: torch.device) -> None:
        """Make ready for a student: device, normalisation, cache.

        Args:
            student: what learns.
            images: of the training data.
            identity: what the cached answers depend on beside the network.
            device: of both.

        Raises:
            TrainingError: it has other classes or channels than the student, or the cache is of other images.
        """
        own, theirs = self.config, image_config(student)
        if self.num_classes != num_classes_of(student):
            raise TrainingError(
                f"the teacher has {self.num_classes} classes and the student {num_classes_of(student)}.",
                "Both must tell the same classes apart.",
            )
        if own["input_size"][0] != theirs["input_size"][0]:
            raise TrainingError(
                f"the teacher takes images of {own['input_size'][0]} channels and the student of "
                f"{theirs['input_size'][0]}.",
                "Build one of them with in_chans of the other.",
            )
        self.network.to(device)
        (mean, std), (mean_to, std_to) = ((_column(each["mean"]), _column(each["std"])) for each in (own, theirs))
        if not torch.equal(mean, mean_to) or not torch.equal(std, std_to):
            self._scale = (std / std_to).to(device), ((mean - mean_to) / std_to).to(device)
        if self._path is not None:
            identity = {"weights": weights_sha256(self.network), **identity, "px": self.image_px}
            self._cache = TeacherCache(self._path, images, self.num_classes, identity, self.answer)

    @torch.inference_mode()
    def answer(self, images: Tensor) -> Tensor:
        """`n x C x image_px x image_px`, in its normalisation -> `n x classes` logits, float32."""
        answers: Tensor = self.network(images).float()
        return answers

    def logits(self, images: Tensor, indices: Tensor) -> Tensor:
        """The answers to a batch, from the cache where they are kept."""
        if self._cache is None:
            return self.answer(images).clone()
        return self._cache.logits(images, indices)

    def for_student(self, images: Tensor, side_px: tuple[int, int]) -> Tensor:
        """The images as the student takes them: `n x C x H x W` of its resolution and normalisation."""
        if tuple(images.shape[2:]) != tuple(side_px):
            images = functional.interpolate(images, tuple(side_px), mode="bicubic", antialias=True, align_corners=False)
        if self._scale is not None:
            images = images * self._scale[0] + self._scale[1]
        return images

    def top1_percent(self, validation: ImageData, *, batch_size: int = 64, workers: int = 0) -> float:
        """Its accuracy on the validation data, to be looked at before anybody learns from it.

        Raises:
            DataError: (a ValueError) the data has other classes.
        """
        data = validation.for_model(self.num_classes)
        loader = evaluation_loader(
            data, evaluation_transform(self.config), self.num_classes, batch_size, workers=workers
        )
        device = next(self.network.parameters()).device
        counts = Counts(self.num_classes)
        for batch in loader:
            if len(batch.targets):
                counts += count(self.answer(batch.images.to(device)), batch.targets.to(device), self.num_classes)
        return counts.top1_percent or 0.0

    def checked_top1_percent(self, validation: ImageData, least_percent: float, *, workers: int = 0) -> float:
        """Its accuracy, where that is enough to learn from.

        Raises:
            InvalidArgumentError: (a ValueError) it is less than `least_percent`.
            DataError: (a ValueError) the data has other classes.
        """
        reached = self.top1_percent(validation, workers=workers)
        if reached < least_percent:
            raise InvalidArgumentError(
                f"the teacher reaches {reached:.2f} % on {validation.name}, less than the {least_percent:g} % "
                "asked for.",
                "Check its weights, its classes' order and its resolution; or ask for less (--min-teacher-top1).",
            )
        return reached


def _column(values: tuple[float, ...]) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)[None, :, None, None]
