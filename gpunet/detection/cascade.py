"""Cascade R-CNN's heads (Cai, Vasconcelos, Cascade R-CNN: Delving into High Quality Object Detection, CVPR 2018).

Stage t judges the boxes that stage t - 1 moved, and learns from those that overlap an object by its own, higher IoU.
Regression is the same for all classes; each stage has its own weights of a box's offsets (section 4.1: the moves of
later stages are smaller, so their offsets are scaled up), and its part in the loss. A box's scores are the mean of the
stages', its place the last stage's.

Each stage is one of torchvision's `RoIHeads`, whose sampling, coding of boxes and suppression are used as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.detection.faster_rcnn import TwoMLPHead
from torchvision.models.detection.roi_heads import RoIHeads
from torchvision.ops import MultiScaleRoIAlign, clip_boxes_to_image, remove_small_boxes

STAGE_IOUS = (0.5, 0.6, 0.7)
STAGE_BOX_WEIGHTS = ((10.0, 10.0, 5.0, 5.0), (20.0, 20.0, 10.0, 10.0), (30.0, 30.0, 15.0, 15.0))
STAGE_LOSS_WEIGHTS = (1.0, 0.5, 0.25)
_SMOOTH_L1_BETA = 1 / 9  # torchvision's, of Faster R-CNN
_SMALLEST_PX = 1e-2
MOST_BOXES = 100  # of a picture, as COCO scores
LEAST_SCORE = 0.05  # of a box that is told


class PyramidRoIAlign(MultiScaleRoIAlign):  # type: ignore[misc]  # torchvision has no types
    """torchvision's, told the size that the maps are really of: it takes a padded batch's strides for others else.

    Args:
        maps: how many of the pyramid's maps are cut from.
        finest_stride: of the first.
        side: cells of what is cut out.
    """

    def __init__(self, maps: int, finest_stride: int, side: int = 7) -> None:
        super().__init__([str(level) for level in range(maps)], side, sampling_ratio=2)
        self._finest_stride = finest_stride

    def forward(self, x: dict[str, Tensor], boxes: list[Tensor], image_shapes: list[tuple[int, int]]) -> Tensor:
        """Maps, `n_i x 4` boxes in px, sizes of the pictures -> `sum(n_i) x c x side x side`."""
        height, width = (int(cells) * self._finest_stride for cells in x["0"].shape[-2:])
        cut: Tensor = super().forward(x, boxes, [(height, width)] * len(image_shapes))
        return cut


class AgnosticPredictor(nn.Module):
    """Scores of classes and background, and one box for all of them.

    Args:
        in_features: of a box.
        num_classes: with the background.
    """

    def __init__(self, in_features: int, num_classes: int) -> None:
        super().__init__()
        self.cls_score, self.bbox_pred = nn.Linear(in_features, num_classes), nn.Linear(in_features, 4)
        for layer, deviation in ((self.cls_score, 0.01), (self.bbox_pred, 0.001)):  # so that boxes stay at first
            nn.init.normal_(layer.weight, std=deviation)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """`n x in_features` -> `n x num_classes` logits, `n x 4` offsets."""
        return self.cls_score(x), self.bbox_pred(x)


class CascadeRoIHeads(nn.Module):
    """Stages one after the other, in place of a detector's `RoIHeads`.

    Args:
        stages: each with its own sampling, weights of offsets, head and predictor.
        loss_weights: of each stage.
    """

    def __init__(self, stages: Sequence[RoIHeads], loss_weights: Sequence[float] = STAGE_LOSS_WEIGHTS) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self._loss_weights = tuple(loss_weights)

    def forward(
        self,
        features: dict[str, Tensor],
        proposals: list[Tensor],
        image_shapes: list[tuple[int, int]],
        targets: list[dict[str, Tensor]] | None = None,
    ) -> tuple[list[dict[str, Tensor]], dict[str, Tensor]]:
        """As torchvision's: detections (boxes `n x 4`, labels from 1, scores) of each picture, and the losses.

        Args:
            features: the pyramid's maps.
            proposals: `n x 4` boxes of each picture, in px.
            image_shapes: height and width of each.
            targets: boxes and labels of each, while training.
        """
        if self.training and targets is not None:
            return [], self._losses(features, proposals, image_shapes, targets)
        stages: list[Any] = [*self.stages]
        judged = []
        for number, stage in enumerate(stages):
            logits, offsets = _judged(stage, features, proposals, image_shapes)
            judged.append(logits.softmax(dim=-1))
            if number + 1 < len(stages):
                proposals = _moved(stage, offsets, proposals, image_shapes)
        mean = torch.stack(judged).mean(dim=0).log()
        each_class = offsets.repeat(1, mean.shape[-1])
        boxes, kept, labels = stages[-1].postprocess_detections(mean, each_class, proposals, image_shapes)
        found = zip(boxes, labels, kept, strict=True)
        return [{"boxes": box, "labels": label, "scores": score} for box, label, score in found], {}

    def _losses(
        self,
        features: dict[str, Tensor],
        proposals: list[Tensor],
        image_shapes: list[tuple[int, int]],
        targets: list[dict[str, Tensor]],
    ) -> dict[str, Tensor]:
        losses = {}
        for number, weight in enumerate(self._loss_weights):
            stage: Any = self.stages[number]
            proposals, _, labels, wanted = stage.select_training_samples(proposals, targets)
            logits, offsets = _judged(stage, features, proposals, image_shapes)
            classes = torch.cat(labels)
            there = classes > 0
            distance = functional.smooth_l1_loss(
                offsets[there], torch.cat(wanted)[there], beta=_SMOOTH_L1_BETA, reduction="sum"
            )
            losses[f"loss_classifier_{number + 1}"] = weight * functional.cross_entropy(logits, classes)
            losses[f"loss_box_reg_{number + 1}"] = weight * distance / max(1, len(classes))
            moved = _moved(stage, offsets.detach(), proposals, image_shapes)
            proposals = [boxes[remove_small_boxes(boxes, _SMALLEST_PX)] for boxes in moved]
        return losses


def _judged(
    stage: Any, features: dict[str, Tensor], proposals: list[Tensor], image_shapes: list[tuple[int, int]]
) -> tuple[Tensor, Tensor]:
    """`n x classes` logits and `n x 4` offsets, of all pictures' boxes, in float32 whatever the maps are in."""
    logits, offsets = stage.box_predictor(stage.box_head(stage.box_roi_pool(features, proposals, image_shapes)))
    return logits.float(), offsets.float()


def _moved(stage: Any, offsets: Tensor, proposals: list[Tensor], image_shapes: list[tuple[int, int]]) -> list[Tensor]:
    """Boxes where a stage's offsets put them, within their pictures."""
    moved = stage.box_coder.decode(offsets, proposals).reshape(-1, 4).split([len(boxes) for boxes in proposals])
    return [clip_boxes_to_image(boxes, shape) for boxes, shape in zip(moved, image_shapes, strict=True)]


def cascade_heads(
    pool: PyramidRoIAlign, channels: int, head_features: int, classes: int, *, sampled_boxes: int
) -> CascadeRoIHeads:
    """The three stages over a pyramid.

    Args:
        pool: cuts boxes from its maps.
        channels: of these.
        head_features: of each hidden layer of a head.
        classes: that are told apart, the background not among them.
        sampled_boxes: of a picture, that each stage learns from.
    """
    side = pool.output_size[0]
    stages = [
        RoIHeads(
            pool, TwoMLPHead(channels * side**2, head_features), AgnosticPredictor(head_features, classes + 1),
            fg_iou_thresh=iou, bg_iou_thresh=iou, batch_size_per_image=sampled_boxes, positive_fraction=0.25,
            bbox_reg_weights=weights, score_thresh=LEAST_SCORE, nms_thresh=0.5, detections_per_img=MOST_BOXES,
        )
        for iou, weights in zip(STAGE_IOUS, STAGE_BOX_WEIGHTS, strict=True)
    ]  # fmt: skip
    return CascadeRoIHeads(stages)
