"""COCO's twelve metrics of boxes, by faster-coco-eval, whose figures are pycocotools' own.

Notation: AP is the mean precision over recalls 0, 0.01, ..., 1 and over classes, and where no overlap (IoU) is named
over the overlaps 0.5, 0.55, ..., 0.95 too; AR the mean recall over the overlaps and classes, of at most so many boxes a
picture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpunet.core.files import require
from gpunet.detection.data.coco import CocoData

METRICS = ("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large",
           "AR1", "AR10", "AR100", "AR_small", "AR_medium", "AR_large")  # fmt: skip
"""In COCO's order; small is below 32^2 px, large from 96^2 px."""
METRICS_IN_WORDS = (
    "AP, IoU 0.50 to 0.95", "AP, IoU 0.50", "AP, IoU 0.75", "AP, small objects", "AP, medium objects",
    "AP, large objects", "AR, 1 box a picture", "AR, 10 boxes", "AR, 100 boxes", "AR, small objects",
    "AR, medium objects", "AR, large objects",
)  # fmt: skip


@dataclass(frozen=True)
class Detections:
    """What was found in a picture, in its own px.

    Args:
        boxes: `n x 4`: left, top, right, bottom.
        labels: n, from 1.
        scores: n.
    """

    boxes: np.ndarray
    labels: np.ndarray
    scores: np.ndarray


@dataclass(frozen=True)
class CocoScore:
    """How good the boxes are that were found.

    Args:
        metrics: `METRICS`, in percent; None where no annotated box bears on one.
        ap_by_class: AP of each class, in percent; None for one without a box.
        pictures: that were scored.
    """

    metrics: dict[str, float | None]
    ap_by_class: dict[str, float | None]
    pictures: int

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {"metrics": self.metrics, "ap_by_class": self.ap_by_class, "pictures": self.pictures}


def coco_score(data: CocoData, found: Mapping[int, Detections]) -> CocoScore:
    """Score what was found in pictures of some data.

    Args:
        data: with labels as the detector's.
        found: by the picture's place in the data; pictures that are not there are left out.

    Raises:
        MissingDependencyError: (an ImportError) faster-coco-eval is not installed.
    """
    library = require("faster_coco_eval", "detection", purpose="for COCO's metrics")
    places = sorted(found)
    truth = library.COCO(_truth(data, places), print_function=_nothing)
    rows = [row for place in places for row in _rows(place, found[place])]
    evaluation = library.COCOeval_faster(truth, truth.loadRes(rows), "bbox", print_function=_nothing)
    evaluation.run()
    stats = [_percent(value) for value in evaluation.stats[: len(METRICS)]]
    precision = np.asarray(evaluation.eval["precision"])  # overlap x recall x class x area x boxes a picture
    by_class = {}
    for number, name in enumerate(data.classes):
        known = precision[:, :, number, 0, -1]
        known = known[known > -1]
        by_class[name] = _percent(known.mean()) if known.size else None
    return CocoScore(dict(zip(METRICS, stats, strict=True)), by_class, len(places))


def _truth(data: CocoData, places: Sequence[int]) -> dict[str, Any]:
    boxes = [(place, box) for place in places for box in data.pictures[place].boxes]
    return {
        "images": [{"id": place} for place in places],
        "categories": [{"id": label, "name": name} for label, name in enumerate(data.classes, start=1)],
        "annotations": [
            {
                "id": number, "image_id": place, "category_id": box.label, "iscrowd": int(box.crowd), "area": box.area,
                "bbox": [box.left, box.top, box.width, box.height],
            }
            for number, (place, box) in enumerate(boxes, start=1)
        ],
    }  # fmt: skip


def _rows(place: int, found: Detections) -> list[dict[str, Any]]:
    return [
        {"image_id": place, "category_id": int(label), "score": float(score),
         "bbox": [float(box[0]), float(box[1]), float(box[2] - box[0]), float(box[3] - box[1])]}
        for box, label, score in zip(found.boxes.astype(np.float64), found.labels, found.scores, strict=True)
    ]  # fmt: skip


def _percent(value: float) -> float | None:
    return None if value < 0 else 100 * float(value)


def _nothing(*_: object) -> None:
    """faster-coco-eval tells what it does."""
