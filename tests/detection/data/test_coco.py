"""COCO's format: where files lie, what is taken, what is refused with its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.coco import annotations, write_coco

from gpunet.detection import open_coco
from gpunet.errors import ABSENT_EXIT_CODE, FAILED_EXIT_CODE, DataError


def test_pictures_boxes_and_classes(tmp_path: Path):
    data = open_coco(write_coco(tmp_path), "train")
    assert data.classes == ("cat", "dog")  # by their numbers
    assert [picture.file.name for picture in data.pictures] == ["a.png", "b.png"]
    boxes, labels = data.learnable(0, 80, 60)
    np.testing.assert_array_equal(boxes, np.array([[10, 10, 30, 40], [40, 5.5, 70, 35.5]], np.float32))
    assert labels.tolist() == [2, 1]
    assert data.about() == "2 pictures, 3 boxes of 2 classes"


@pytest.mark.parametrize(
    ("file", "pictures", "split"),
    [
        ("annotations/instances_train2017.json", "train2017", "train"),
        ("annotations/instances_val.json", "images/val", "validation"),
        ("annotations/train.json", "images", "train"),
        ("valid/_annotations.coco.json", "valid", "validation"),
        ("train.json", ".", "train"),
    ],
)
def test_layouts(tmp_path: Path, file: str, pictures: str, split: str):
    made = write_coco(tmp_path / "made")
    folder = tmp_path / "data"
    (folder / pictures).mkdir(parents=True)
    (folder / file).parent.mkdir(parents=True, exist_ok=True)
    (made / "annotations" / "instances_train.json").rename(folder / file)
    for name in ("a.png", "b.png"):
        (made / "train" / name).rename(folder / pictures / name)
    assert all(picture.file.is_file() for picture in open_coco(folder, split).pictures)


def test_files_that_are_named(tmp_path: Path):
    made = write_coco(tmp_path)
    moved = tmp_path / "elsewhere"
    (made / "train").rename(moved)
    file = made / "annotations" / "instances_train.json"
    with pytest.raises(DataError, match=r"the picture a.png of .* is not in .*train"):
        open_coco(made, "train")
    assert len(open_coco(made, annotations=file, images=moved)) == 2


def test_no_data(tmp_path: Path):
    with pytest.raises(DataError, match="there is no such folder") as caught:
        open_coco(tmp_path / "nowhere")
    assert caught.value.exit_code == ABSENT_EXIT_CODE
    with pytest.raises(DataError, match="has no annotations for 'train'"):
        open_coco(tmp_path)
    (tmp_path / "annotations").mkdir()
    for year in (2014, 2017):
        (tmp_path / "annotations" / f"instances_train{year}.json").write_text("{}", encoding="utf-8")
    with pytest.raises(DataError, match=r"several files for 'train': instances_train2014.json, instances_train2017"):
        open_coco(tmp_path)


def _box(**changes: Any) -> list[dict[str, Any]]:
    return [{"id": 1, "image_id": 7, "category_id": 9, "bbox": [1, 2, 3, 4], **changes}]


def _images(**changes: Any) -> list[dict[str, Any]]:
    return [{"id": 7, "file_name": "a.png", **changes}]


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("{ not", "is damaged: it cannot be read as JSON"),
        ('{"images": [', "is damaged: it cannot be read as JSON"),
        ("", "is damaged"),
        ([1], "lists are no annotations"),
        ({}, "categories: missing"),
        (annotations(categories=[]), "categories: there is none"),
        (annotations(categories={}), "categories: a dict is no list"),
        (annotations(categories=[{"id": 1}]), r"categories\[0\].name: missing"),
        (annotations(categories=[{"id": 1, "name": ""}]), r"categories\[0\].name: '' is no text"),
        (annotations(categories=[{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]), r"categories\[1\].id: 1 is another"),
        (annotations(categories=[{"id": 1, "name": "a"}, {"id": 2, "name": "a"}]), r"categories\[1\].name: 'a' is"),
        (annotations(images=[]), "images: there is none"),
        (annotations(images=[3]), r"images\[0\]: 3 is no object"),
        (annotations(images=_images(id="7")), r"images\[0\].id: '7' is no integer"),
        (annotations(images=_images(id=True)), r"images\[0\].id: True is no integer"),
        (annotations(images=_images(width=0), annotations=[]), r"images\[0\].width: 0 is no number of px"),
        (annotations(images=_images() * 2, annotations=[]), r"images\[1\].id: 7 is another image's too"),
        (annotations(annotations=_box(bbox=[1, 2, 3])), r"annotations\[0\].bbox: \[1, 2, 3\] is no box"),
        (annotations(annotations=_box(bbox=[1, 2, float("nan"), 4])), r"annotations\[0\].bbox: .* is no box"),
        (annotations(annotations=_box(bbox=[1, 2, -3, 4])), r"annotations\[0\].bbox: .* has a side below 0"),
        (annotations(annotations=_box(bbox="1 2 3 4")), r"annotations\[0\].bbox: '1 2 3 4' is no box"),
        (annotations(annotations=_box(category_id=1)), r"annotations\[0\].category_id: 1 is no category's id"),
        (annotations(annotations=_box(image_id=99)), "annotations: 99 is no image's id"),
        (annotations(annotations=_box(area=-1)), r"annotations\[0\].area: -1 is no area"),
        (annotations(annotations=_box(iscrowd=2)), r"annotations\[0\].iscrowd: 2 is neither 0 nor 1"),
        ({key: value for key, value in annotations().items() if key != "annotations"}, "annotations: missing"),
    ],
)
def test_what_breaks_the_format(tmp_path: Path, said: Any, message: str):
    with pytest.raises(DataError, match=message) as caught:
        open_coco(write_coco(tmp_path, said))
    assert "instances_train.json" in caught.value.message
    assert caught.value.exit_code == FAILED_EXIT_CODE


def test_crowds_and_boxes_outside(tmp_path: Path):
    rows = [
        {"bbox": [-10, -10, 30, 30]}, {"bbox": [70, 50, 30, 30]}, {"bbox": [200, 10, 5, 5]}, {"bbox": [5, 5, 0, 9]},
        {"bbox": [0, 0, 80, 60], "iscrowd": 1},
    ]  # fmt: skip
    said = annotations(annotations=[{"id": k, "image_id": 7, "category_id": 9, **row} for k, row in enumerate(rows)])
    data = open_coco(write_coco(tmp_path, said))
    boxes, labels = data.learnable(0, 80, 60)
    assert boxes.tolist() == [[0, 0, 20, 20], [70, 50, 80, 60]]
    assert labels.tolist() == [2, 2]
    nothing = data.learnable(1, 60, 60)
    assert (nothing[0].shape, nothing[1].shape) == ((0, 4), (0,))
    assert data.about() == (
        "2 pictures, 5 boxes of 2 classes; 1 pictures without a box; 1 crowds, not learned from; 2 boxes that reach "
        "outside their picture, cut there; 2 boxes without an area in their picture, left out"
    )


def test_classes_of_a_detector(tmp_path: Path):
    data = open_coco(write_coco(tmp_path))
    turned = data.for_classes(("dog", "bird", "cat"))
    assert turned.classes == ("dog", "bird", "cat")
    assert turned.learnable(0, 80, 60)[1].tolist() == [1, 3]
    assert data.for_classes(data.classes) is data
    with pytest.raises(DataError, match="has the class 'cat', which the detector does not know"):
        data.for_classes(("dog",))


def test_a_made_data_set_is_the_same_again(tmp_path: Path):
    from make_shapes import make_shapes

    made = [make_shapes(tmp_path / name, train=3, validation=1, side_px=64) for name in "ab"]
    one, other = ([path.read_bytes() for path in sorted(folder.rglob("*.*"))] for folder in made)
    assert one == other
    data = open_coco(made[0], "train")
    assert data.classes == ("disc", "box", "triangle")
    assert "outside" not in data.about()
    said = json.loads((made[0] / "annotations" / "instances_train.json").read_text(encoding="utf-8"))
    assert all(row["bbox"][2] > 3 and row["bbox"][3] > 3 for row in said["annotations"])
