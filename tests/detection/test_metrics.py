"""COCO's metrics are pycocotools' own, on random boxes with crowds, small and large ones, and none."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from gpunet.detection.data.coco import Box, CocoData, Picture
from gpunet.detection.metrics import METRICS, Detections, coco_score

CLASSES = ("cat", "dog", "bird")


def random_data(seed: int, pictures: int = 12, crowds: float = 0.15) -> tuple[CocoData, dict[int, Detections]]:
    """Boxes of all sizes, and found ones: some near, some far, some doubled, some pictures without either."""
    draw = np.random.default_rng(seed)
    made, found = [], {}
    for place in range(pictures):
        boxes, near = [], []
        for _ in range(int(draw.integers(0, 9))):
            side = np.exp(draw.uniform(np.log(6), np.log(250), 2))
            left, top = draw.uniform(-10, 400, 2)
            label = int(draw.integers(1, len(CLASSES) + 1))
            area = float(side[0] * side[1] * draw.uniform(0.5, 1))
            box = Box(float(left), float(top), float(side[0]), float(side[1]), label, draw.random() < crowds, area)
            boxes.append(box)
            for _ in range(int(draw.integers(0, 3))):
                moved = np.array([left, top, left + side[0], top + side[1]]) + draw.normal(0, 0.08, 4) * np.tile(
                    side, 2
                )
                near.append((moved, label if draw.random() < 0.85 else 1 + label % 3))
        for _ in range(int(draw.integers(0, 4))):
            corner = draw.uniform(0, 400, 2)
            near.append((np.concatenate([corner, corner + draw.uniform(3, 200, 2)]), int(draw.integers(1, 4))))
        made.append(Picture(Path(f"{place}.png"), 100 - place, 640, 480, tuple(boxes)))
        rows = np.array([row for row, _ in near]).reshape(-1, 4)
        scores = np.round(draw.random(len(near)), 2)  # with equal ones
        found[place] = Detections(rows.astype(np.float32), np.array([label for _, label in near], int), scores)
    return CocoData("random", CLASSES, tuple(made)), found


def theirs(data: CocoData, found: dict[int, Detections]) -> list[float]:
    """The twelve figures as pycocotools has them, from a file's own rows."""
    truth: Any = COCO()
    rows = [
        {"image_id": each.id, "category_id": box.label, "bbox": [box.left, box.top, box.width, box.height],
         "area": box.area, "iscrowd": int(box.crowd)}
        for each in data.pictures for box in each.boxes
    ]  # fmt: skip
    truth.dataset = {
        "images": [{"id": each.id} for each in data.pictures],
        "categories": [{"id": label, "name": name} for label, name in enumerate(data.classes, 1)],
        "annotations": [{"id": number, **row} for number, row in enumerate(rows, 1)],
    }
    results = [
        {"image_id": data.pictures[place].id, "category_id": int(label), "score": float(score),
         "bbox": [*map(float, box[:2]), *(box[2:].astype(float) - box[:2].astype(float)).tolist()]}
        for place, each in found.items()
        for box, label, score in zip(each.boxes, each.labels, each.scores, strict=True)
    ]  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return [float(each) for each in evaluation.stats]


@pytest.mark.parametrize("seed", range(8))
def test_the_metrics_are_pycocotools(seed: int):
    # Equal scores are put in another order there where pictures are: ours are in the order of their ids.
    data, found = random_data(seed, crowds=0.0 if seed % 2 else 0.2)
    reordered = CocoData(data.name, data.classes, data.pictures[::-1])
    last = len(data) - 1
    score = coco_score(reordered, {last - place: each for place, each in found.items()})
    assert list(score.metrics) == list(METRICS)
    ours = [-1.0 if value is None else value / 100 for value in score.metrics.values()]
    assert ours == pytest.approx(theirs(data, found), abs=1e-6)
    assert score.pictures == len(data)
    of_classes = [value for value in score.ap_by_class.values() if value is not None]
    assert np.mean(of_classes) == pytest.approx(score.metrics["AP"], abs=1e-6)


def test_perfect_boxes_and_none():
    data, _ = random_data(0, crowds=0)
    perfect = {
        place: Detections(
            np.array([[box.left, box.top, box.left + box.width, box.top + box.height] for box in each.boxes]).reshape(
                -1, 4
            ),
            np.array([box.label for box in each.boxes], int),
            np.ones(len(each.boxes)),
        )
        for place, each in enumerate(data.pictures)
    }
    assert coco_score(data, perfect).metrics["AP"] == pytest.approx(100)
    nothing = {place: Detections(np.zeros((0, 4)), np.zeros(0, int), np.zeros(0)) for place in range(len(data))}
    assert coco_score(data, nothing).metrics["AP"] == 0
    empty = CocoData("empty", ("cat",), (Picture(Path("a.png"), 1, 9, 9, ()),))
    score = coco_score(empty, {0: nothing[0]})
    assert set(score.metrics.values()) == {None}
    assert score.ap_by_class == {"cat": None}
    assert coco_score(empty, {0: perfect[0]}).metrics["AP"] is None
    assert score.to_dict()["metrics"]["AP"] is None
