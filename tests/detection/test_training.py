"""Training by the engine: metrics of every epoch, leaving and going on to the same weights, what is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.coco import QUICK, annotations, write_coco
from make_shapes import make_shapes
from PIL import Image
from safetensors.torch import load_file

from gpunet.detection import CocoData, Detector, cascade_rcnn, load_detector, open_coco, train_detector
from gpunet.detection.data.prepared import PreparedPictures, scaled_size
from gpunet.detection.metrics import METRICS
from gpunet.detection.task import check_recipe, evaluated
from gpunet.errors import CheckpointError, DataError, PreemptedError, SpecError, TrainingError, UnknownModelError
from gpunet.train.recipe import Augmentation, Recipe
from gpunet.train.recipes import changed_recipe, recipe_named


def recipe(*changes: str) -> Recipe:
    return changed_recipe(recipe_named("detection-quick"), ["epochs=2", *changes])


def detector(little: str, data: CocoData, seed: int = 0) -> Detector:
    torch.manual_seed(seed)
    return cascade_rcnn(little, data.classes, **QUICK)


@pytest.fixture
def data(shapes: Path) -> CocoData:
    return open_coco(shapes, "train")


def test_a_run_scores_every_epoch_and_keeps_a_detector(tmp_path: Path, little: str, shapes: Path, data: CocoData):
    validation = open_coco(shapes, "val")
    seen: list[Any] = []
    model = detector(little, data)
    result = train_detector(
        model, recipe(), data, tmp_path / "run", validation=validation, on_epoch=seen.append, log_every_steps=1
    )
    assert [each.epoch for each in seen] == [1, 2]
    for each in result.scores:
        assert tuple(each.coco) == METRICS
        assert each.ap_percent == each.coco["AP"]
        assert each.raw_ap_percent is not None
        assert each.top1_percent is None
    assert result.best.ap_percent == max(each.ap_percent for each in result.scores)
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [line["kind"] for line in lines] == ["step", "step", "epoch"] * 2
    assert lines[-1]["coco"] == dict(result.scores[-1].coco)
    loaded = load_detector(tmp_path / "run")
    assert loaded.classes == data.classes
    score, unreadable = evaluated(loaded, validation, device=torch.device("cpu"), batch_size=3)
    assert score.metrics == dict(result.best.coco)
    assert unreadable == ()
    with pytest.raises(TrainingError, match="holds another run: its seed is 0, but now it is 1"):
        train_detector(model, recipe(), data, tmp_path / "run", validation=validation, seed=1)
    again = train_detector(detector(little, data), recipe(), data, tmp_path / "run", validation=validation)
    assert again.to_dict() == result.to_dict()


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Sums over boxes are in the order in which threads come to them: bits are the same with one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.filterwarnings("ignore:This DataLoader will create 2 worker processes:UserWarning")  # on a single core
@pytest.mark.usefixtures("one_thread")
def test_a_run_that_was_left_ends_with_the_same_weights(tmp_path: Path, little: str, data: CocoData, workers: int):
    how = recipe("augmentation.vertical_flip=0.5", "augmentation.color_jitter=0.3", "batch_size=2")
    whole = tmp_path / "whole"
    train_detector(detector(little, data), how, data, whole, workers=0)
    for seed, steps in enumerate((1, 4)):
        asked = iter([False] * (steps - 1))
        with pytest.raises(PreemptedError, match="asked to leave"):
            train_detector(
                detector(little, data, seed), how, data, tmp_path / "left", workers=workers,
                should_stop=lambda asked=asked: next(asked, True),
            )  # fmt: skip
    train_detector(detector(little, data, 9), how, data, tmp_path / "left", workers=workers)
    one, other = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "left"))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_bfloat16_and_accumulation(tmp_path: Path, little: str, data: CocoData):
    how = recipe("precision=bf16", "batch_size=2", "accumulation_steps=2", "epochs=1")
    result = train_detector(detector(little, data), how, data, tmp_path / "run", validation=data)
    assert result.best.train_loss > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("augmentation.policy=rand-m9-mstd0.5", "augmentation.policy: 'rand-m9-mstd0.5' is nothing"),
        ("augmentation.scale=[0.5,1]", r"augmentation.scale: \(0.5, 1.0\) is nothing .* must be \[1.0, 1.0\]"),
        ("augmentation.mixup=0.2", "augmentation.mixup: 0.2"),
        ("label_smoothing=0.1", "label_smoothing: 0.1"),
        ("compiled=true", "compiled: True"),
    ],
)
def test_a_recipe_that_would_be_carried_out_in_part_is_refused(change: str, message: str):
    with pytest.raises(SpecError, match=message):
        check_recipe(recipe(change))
    check_recipe(recipe())
    check_recipe(recipe_named("detection"))
    check_recipe(Recipe("own", 1, 1, augmentation=Augmentation(enabled=False), label_smoothing=0))


def test_data_without_a_box_to_learn_from(tmp_path: Path, little: str):
    crowd = [{"id": 1, "image_id": 7, "category_id": 9, "bbox": [1, 1, 9, 9], "iscrowd": 1}]
    for number, rows in enumerate(([], crowd)):
        data = open_coco(write_coco(tmp_path / str(number), annotations(annotations=rows)))
        with pytest.raises(DataError, match="has no box to learn from"):
            train_detector(detector(little, data), recipe(), data, tmp_path / "run")


def test_crowds_boxes_outside_and_pictures_without_boxes_are_learned_from(tmp_path: Path, little: str):
    rows = [
        {"id": 1, "image_id": 7, "category_id": 9, "bbox": [-20, -20, 60, 60]},
        {"id": 2, "image_id": 7, "category_id": 2, "bbox": [500, 10, 5, 5]},
        {"id": 3, "image_id": 7, "category_id": 2, "bbox": [0, 0, 80, 60], "iscrowd": 1},
    ]
    data = open_coco(write_coco(tmp_path, annotations(annotations=rows)))
    result = train_detector(detector(little, data), recipe("batch_size=2"), data, tmp_path / "run", validation=data)
    assert all(torch.isfinite(each).all() for each in load_file(result.weights).values())


def test_a_picture_of_another_size_than_annotated(tmp_path: Path, little: str):
    folder = write_coco(tmp_path)
    Image.new("RGB", (60, 80)).save(folder / "train" / "a.png")
    data = open_coco(folder)
    with pytest.raises(DataError, match=r"a.png is 60 x 80 px, but .* has it as 80 x 60: its boxes are of another"):
        train_detector(detector(little, data), recipe(), data, tmp_path / "run")


def test_pictures_that_cannot_be_read(tmp_path: Path, little: str):
    folder = write_coco(tmp_path)
    (folder / "train" / "b.png").write_bytes(b"no picture")
    data = open_coco(folder)
    result = train_detector(detector(little, data), recipe("batch_size=1"), data, tmp_path / "run")
    assert [Path(name).name for name in result.unreadable] == ["b.png"]
    score, unreadable = evaluated(load_detector(tmp_path / "run"), data, device=torch.device("cpu"))
    assert score.pictures == 1
    assert Path(unreadable[0][0]).name == "b.png"
    with pytest.raises(DataError, match="more than 0 images cannot be read"):
        evaluated(load_detector(tmp_path / "run"), data, device=torch.device("cpu"), max_unreadable=0)
    (folder / "train" / "a.png").write_bytes(b"")
    with pytest.raises(DataError, match="2 pictures one after the other cannot be read"):
        train_detector(detector(little, data), recipe("batch_size=1"), data, tmp_path / "other")


def test_boxes_go_with_their_picture(tmp_path: Path):
    data = open_coco(write_coco(tmp_path))
    spec = cascade_rcnn("lcnet_050", data.classes, **QUICK).spec
    both = Augmentation(scale=(1, 1), ratio=(1, 1), horizontal_flip=1.0, vertical_flip=1.0, color_jitter=0)
    plain, turned = (PreparedPictures(data, spec, how, 0)[0, 0] for how in (None, both))
    assert plain.image.shape == (3, 64, 85)
    torch.testing.assert_close(
        plain.target["boxes"][0], torch.tensor([10, 10, 30, 40]) * torch.tensor([85 / 80, 64 / 60] * 2)
    )
    torch.testing.assert_close(
        turned.target["boxes"][0], torch.tensor([50, 20, 70, 50]) * torch.tensor([85 / 80, 64 / 60] * 2)
    )
    assert turned.target["labels"].tolist() == plain.target["labels"].tolist() == [2, 1]


@pytest.mark.parametrize("size", [(640, 480), (480, 640), (4000, 500), (333, 500), (1, 1), (1066, 800)])
def test_a_scaled_picture_is_not_scaled_again(size: tuple[int, int]):
    spec = cascade_rcnn("lcnet_050", ["cat"], **{**QUICK, "short_px": 800, "long_px": 1333}).spec
    width, height = scaled_size(*size, spec)
    assert scaled_size(width, height, spec) == (width, height)
    assert min(width, height) <= 800
    assert max(width, height) <= 1333
    assert min(width, height) == 800 or max(width, height) == 1333


def test_a_folder_without_a_detector(tmp_path: Path, little: str, data: CocoData):
    with pytest.raises(UnknownModelError, match=r"holds no detector: it has no detector.json"):
        load_detector(tmp_path)
    (tmp_path / "detector.json").write_text(json.dumps(detector(little, data).spec.to_dict()), encoding="utf-8")
    with pytest.raises(UnknownModelError, match=r"it has no model.safetensors"):
        load_detector(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match=r"cannot be loaded into what detector.json describes"):
        load_detector(tmp_path)


@pytest.mark.slow
def test_eight_pictures_are_learned_by_heart(tmp_path: Path):
    """A minute: 200 steps on the same eight pictures, and all of their boxes are found where they are."""
    made = make_shapes(
        tmp_path / "shapes", train=8, validation=1, side_px=64, classes=2, most=2, least_part=0.25, most_part=0.6
    )
    data = open_coco(made, "train")
    torch.manual_seed(0)
    model = cascade_rcnn(
        "resnet10t", data.classes, False, short_px=64, long_px=64, anchor_strides=4, pyramid_channels=32,
        head_features=64, proposals=60, sampled_boxes=32,
    )  # fmt: skip
    how = recipe(
        "epochs=5", "batch_size=8", "augmentation.enabled=false", "ema_decay=0.98", "optimization.learning_rate=0.003",
        "optimization.batch_of_learning_rate=null", "schedule.warmup_epochs=0.1",
    )  # fmt: skip
    forty_times = CocoData(data.name, data.classes, data.pictures * 40)
    train_detector(model, how, forty_times, tmp_path / "run")
    score, _ = evaluated(model, data, device=torch.device("cpu"))
    assert score.metrics["AP"] is not None
    assert score.metrics["AP"] >= 95


@pytest.mark.slow
def test_two_processes_train_and_score_together(tmp_path: Path, little: str, shapes: Path):
    """By torchrun, gloo on loopback: one detector, every picture scored once, and a run that goes on."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "gpunet",
               "detect", "train", little, "--data", str(shapes), "--no-pretrained", "--recipe", "detection-quick",
               "--epochs", "1", "--batch-size", "2", "--short-px", "64", "--long-px", "64", "--quiet", "--on", "cpu",
               "-o", str(tmp_path / "run"), "--detector", "pyramid_channels=16", "head_features=32",
               "anchor_strides=4", "proposals=50", "sampled_boxes=32"]  # fmt: skip
    for _ in range(2):  # the second finds that it has ended
        done = subprocess.run(
            command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    assert "has finished already" in done.stderr
    result = json.loads((tmp_path / "run" / "result.json").read_text(encoding="utf-8"))
    validation = open_coco(shapes, "val")
    score, _ = evaluated(load_detector(tmp_path / "run"), validation, device=torch.device("cpu"))
    assert result["best"]["coco"] == pytest.approx(score.metrics, abs=1e-4)
