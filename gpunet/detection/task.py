"""A detector's task in a run of `gpunet.train`: its losses, and COCO's metrics of what it finds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gpunet.detection.data.coco import CocoData
from gpunet.detection.data.prepared import DetectionBatch, DetectionLoader, scoring_batches
from gpunet.detection.detector import Detector
from gpunet.detection.metrics import CocoScore, Detections, coco_score
from gpunet.errors import SpecError, TrainingError
from gpunet.train.checkpoint import Position
from gpunet.train.data.loader import ProcessPlace
from gpunet.train.data.unreadable import UnreadableImages
from gpunet.train.evaluation.validation import LOWER
from gpunet.train.processes import Processes
from gpunet.train.recipe import Recipe
from gpunet.train.settings import RunSettings

_TYPES = {"fp32": None, "fp16": torch.float16, "bf16": torch.bfloat16}
# What a detector's training does not do; a recipe that asks for it is not carried out in part.
_NOT_DONE = (
    ("augmentation.policy", None), ("augmentation.erasing", 0), ("augmentation.mixup", 0), ("augmentation.cutmix", 0),
    ("augmentation.scale", (1.0, 1.0)), ("augmentation.ratio", (1.0, 1.0)), ("label_smoothing", 0), ("dropout", 0),
    ("distillation", None), ("head_epochs", 0), ("compiled", False), ("channels_last", False),
)  # fmt: skip


def check_recipe(recipe: Recipe) -> None:
    """Raise SpecError where a recipe asks for what a detector's training does not do."""
    for path, only in _NOT_DONE:
        value: Any = recipe
        for part in path.split("."):
            value = getattr(value, part)
        if value != only and (recipe.augmentation.enabled or not path.startswith("augmentation.")):
            shown = list(only) if isinstance(only, tuple) else only
            raise SpecError(
                f"{path}: {value!r} is nothing that detectors are trained with here; it must be {shown!r}",
                "Begin with the recipe 'detection': gpunet detect train --recipe detection --print-recipe",
            )


class Detection:
    """See `gpunet.train.tasks.task` for what a run asks of it.

    Args:
        model, recipe, settings, group: of the run.
        data: pictures to learn from.
        validation: pictures to score on, with the same classes; None for no scores.
    """

    figure = "ap_percent"

    def __init__(
        self, model: nn.Module, recipe: Recipe, settings: RunSettings, group: Processes, *, data: CocoData,
        validation: CocoData | None,
    ) -> None:  # fmt: skip
        detector: Any = model
        self._spec = detector.spec
        self._recipe, self._group, self._validation = recipe, group, validation
        self._type, self._workers = _TYPES[recipe.precision], settings.workers
        self.data_name, self.images = data.name, len(data)
        self.loader = DetectionLoader(
            data, self._spec, recipe.augmentation, recipe.batch_size, seed=settings.seed, place=group.place,
            workers=settings.workers,
        )  # fmt: skip

    def loss(self, network: nn.Module, batch: DetectionBatch, at: Position) -> Tensor:
        """The sum of the losses of proposals and of each stage."""
        device = self._group.device
        images = [each.to(device, non_blocking=True) for each in batch.images]
        targets = [{name: value.to(device) for name, value in each.items()} for each in batch.targets]
        with torch.autocast(device.type, self._type, enabled=self._type is not None):
            losses: dict[str, Tensor] = network(images, targets)
        return torch.stack([each.float() for each in losses.values()]).sum()

    def score(
        self, network: nn.Module, met: UnreadableImages, after_batch: Callable[[], None]
    ) -> dict[str, Any] | None:
        """COCO's metrics on the validation pictures."""
        if self._validation is None:
            return None
        group = self._group
        batches, common = scoring_batches(
            self._validation, self._spec, self._recipe.batch_size, place=group.place, workers=self._workers
        )
        found: dict[int, Detections] = {}
        for number, batch in enumerate(batches):
            met.note(batch.unreadable)
            with torch.autocast(group.device.type, self._type, enabled=self._type is not None):
                found |= detected(network, batch, group.device)
            if number < common or not group.many:
                after_batch()
        whole = {place: each for part in group.gathered(found) for place, each in part.items()}
        if not all(np.isfinite(each.boxes).all() and np.isfinite(each.scores).all() for each in whole.values()):
            raise TrainingError(f"the detector's boxes on {self._validation.name} are no numbers.", LOWER)
        score = coco_score(self._validation, whole)
        return {"ap_percent": score.metrics["AP"], "coco": score.metrics}


def detected(network: nn.Module, batch: DetectionBatch, device: torch.device) -> dict[int, Detections]:
    """What a detector finds in the pictures of a batch, in their own px, by their places in the data.

    Args:
        network: is in evaluation mode afterwards.
        batch: of scaled pictures.
        device: that the network is on.
    """
    if not batch.images:
        return {}
    network.eval()
    with torch.inference_mode():
        answers = network([each.to(device) for each in batch.images])
    found = {}
    for image, answer, size_px, index in zip(
        batch.images, answers, batch.sizes_px, batch.indices.tolist(), strict=True
    ):
        down, across = (own / scaled for own, scaled in zip(size_px, image.shape[1:], strict=True))
        boxes = answer["boxes"].float().cpu().numpy() * np.array([across, down, across, down], np.float32)
        found[index] = Detections(boxes, answer["labels"].cpu().numpy(), answer["scores"].float().cpu().numpy())
    return found


def evaluated(
    model: Detector, data: CocoData, *, device: torch.device, batch_size: int = 4, workers: int = 0,
    max_unreadable: int = 10, on_progress: Callable[[int], None] | None = None,
) -> tuple[CocoScore, tuple[tuple[str, str], ...]]:  # fmt: skip
    """Score a detector; and what could not be read, with the reasons: it is not counted.

    Args:
        model: on its device.
        data: with labels as the detector's: see `CocoData.for_classes`.
        device: that the detector is on.
        batch_size: pictures a run.
        workers: processes that prepare pictures.
        max_unreadable: pictures that may be unreadable.
        on_progress: told how many pictures are done.

    Raises:
        DataError: (a ValueError) more pictures cannot be read, or a picture's size is not that of its annotations.
    """
    met = UnreadableImages(max_unreadable)
    found: dict[int, Detections] = {}
    for batch in scoring_batches(data, model.spec, batch_size, place=ProcessPlace(), workers=workers)[0]:
        met.note(batch.unreadable)
        found |= detected(model, batch, device)
        if on_progress is not None:
            on_progress(len(found) + len(met.all))
    return coco_score(data, found), met.all
