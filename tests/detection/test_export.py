"""Export: the parts of a detector as ONNX, on two runtimes; engines of backbones; what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from helpers.coco import QUICK
from PIL import Image

from gpunet.detection import Detector, cascade_rcnn, faster_rcnn, open_coco, train_detector
from gpunet.detection.backbone import AveragedMaps
from gpunet.detection.engine import export_engine
from gpunet.detection.export import export_detector, fitted
from gpunet.detection.matching import matched
from gpunet.errors import InvalidArgumentError, VerificationError
from gpunet.train.recipes import changed_recipe, recipe_named


@pytest.fixture(scope="module")
def trained(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Detector:
    """A detector that has learned a little: its boxes are of some sizes, and its scores not all alike."""
    data = open_coco(shapes, "train")
    torch.manual_seed(0)
    model = cascade_rcnn("lcnet_050", data.classes, **QUICK)
    recipe = changed_recipe(recipe_named("detection-quick"), ["epochs=6", "optimization.learning_rate=0.003"])
    train_detector(model, recipe, data, tmp_path_factory.mktemp("run") / "run")
    return model


def _pictures(shapes: Path) -> list[Image.Image]:
    return [Image.open(path).convert("RGB") for path in sorted((shapes / "val").iterdir())]


def test_a_whole_detector_finds_the_same_boxes(tmp_path: Path, trained: Detector, shapes: Path):
    pictures = _pictures(shapes)
    report = export_detector(trained, tmp_path / "d.onnx", input_px=(64, 80), images=pictures)
    assert [each.partition(" ")[0] for each in report.verified_by] == ["ONNX", "OpenVINO"]
    assert report.boxes is not None
    assert report.boxes > 0
    assert report.worst < 1e-3
    assert "boxes match" in str(report)
    model = onnx.load(str(tmp_path / "d.onnx"))
    said = {each.key: each.value for each in model.metadata_props}
    assert json.loads(said["gpunet.classes"]) == list(trained.classes)
    # And they are those of the detector itself, on pictures that need no padding.
    session = onnxruntime.InferenceSession(str(tmp_path / "d.onnx"), providers=["CPUExecutionProvider"])
    image, scale = fitted(pictures[0].resize((80, 64)), trained.spec, (64, 80))
    assert scale == 1
    boxes, labels, scores = session.run(None, {"input": image})
    with torch.inference_mode():
        (own,) = trained.eval()([torch.from_numpy(image[0])])
    pairs, worst, alone = matched(
        [own["boxes"].numpy(), own["labels"].numpy(), own["scores"].numpy()], [boxes, labels, scores], least_iou=0.98,
        most_score=1e-3,
    )  # fmt: skip
    assert pairs == len(scores) > 0
    assert worst < 1e-4
    assert alone == []


def test_plain_faster_r_cnn_too(tmp_path: Path, little: str):
    torch.manual_seed(0)
    model = faster_rcnn(little, ["cat"], **QUICK)
    report = export_detector(model, tmp_path / "d.onnx", input_px=(64, 64))
    assert report.boxes


@pytest.mark.parametrize("part", ["pyramid", "backbone"])
def test_maps_of_any_size_and_engines_of_them(tmp_path: Path, little: str, part: str):
    pytest.importorskip("tensorrt_rtx")
    torch.manual_seed(0)
    model = cascade_rcnn(little, ["cat"], **QUICK)
    report = export_detector(model, tmp_path / "maps.onnx", part=part, input_px=(100, 140))
    outputs = onnx.load(str(tmp_path / "maps.onnx")).graph.output
    shapes = {each.name: tuple(size.dim_value for size in each.type.tensor_type.shape.dim) for each in outputs}
    channels = dict(zip((4, 8, 16, 32), (12, 16, 24, 32), strict=True)) if part == "backbone" else dict.fromkeys(
        (4, 8, 16, 32, 64), 16
    )  # fmt: skip
    sides = {4: (25, 35), 8: (13, 18), 16: (7, 9), 32: (4, 5), 64: (2, 3)}
    assert shapes == {f"map_{stride}": (1, count, *sides[stride]) for stride, count in channels.items()}
    assert report.worst < 1e-4
    for precision in ("fp32", "fp16"):
        engine = export_engine(tmp_path / "maps.onnx", tmp_path / f"{precision}.engine", precision=precision)
        assert engine.report.precision.precision == precision
        assert engine.report.precision.compute_nodes > 10
        assert (tmp_path / f"{precision}.engine").read_bytes()[1:4] == b"trt"
        beside = json.loads((tmp_path / f"{precision}.engine.json").read_text(encoding="utf-8"))
        assert beside["onnx_sha256"] == report.sha256
        assert beside["network"]["gpunet.part"] == part
        assert (engine.half_difference is None) == (precision == "fp32")


def test_a_file_that_finds_other_boxes_is_not_left(tmp_path: Path, trained: Detector, monkeypatch: pytest.MonkeyPatch):
    import gpunet.detection.export as module

    def damaged(path: Path, names: list[str]) -> list:
        ((title, run), *_) = runners(path, names)

        def off(images: np.ndarray) -> list[np.ndarray]:
            boxes, labels, scores = run(images)
            return [boxes + np.float32(8), labels, scores]

        return [(title, off)]

    runners = module.runners
    monkeypatch.setattr(module, "runners", damaged)
    with pytest.raises(VerificationError, match="does not find the boxes that torch finds"):
        export_detector(trained, tmp_path / "d.onnx", input_px=(64, 64))
    assert list(tmp_path.iterdir()) == []


def test_what_is_refused(tmp_path: Path, trained: Detector):
    with pytest.raises(InvalidArgumentError, match=r"path must end in .onnx"):
        export_detector(trained, tmp_path / "d.engine")
    with pytest.raises(InvalidArgumentError, match="part must be one of detector, pyramid, backbone, but got 'head'"):
        export_detector(trained, tmp_path / "d.onnx", part="head")
    with pytest.raises(InvalidArgumentError, match=r"both of 32 or more, but got \(16, 64\)"):
        export_detector(trained, tmp_path / "d.onnx", input_px=(16, 64))
    export_detector(trained, tmp_path / "d.onnx", input_px=(64, 64))
    with pytest.raises(InvalidArgumentError, match="a whole detector is no TensorRT-RTX engine"):
        export_engine(tmp_path / "d.onnx", tmp_path / "d.engine")
    with pytest.raises(InvalidArgumentError, match="precision must be one of fp32, fp16, but got 'int8'"):
        export_engine(tmp_path / "d.onnx", tmp_path / "d.engine", precision="int8")


def test_averages_of_all_maps(little: str):
    pyramid = cascade_rcnn(little, ["cat"], **QUICK).backbone.eval()
    images = torch.rand(2, 3, 64, 96)
    with torch.inference_mode():
        averaged = AveragedMaps(pyramid)(images)
        expected = torch.cat([each.mean(dim=(2, 3)) for each in pyramid.maps(images)], dim=1)
    torch.testing.assert_close(averaged, expected)


def test_boxes_are_matched_one_to_one():
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 10.05], [20, 20, 30, 30]], np.float32)
    one = (boxes, np.array([1, 1, 2]), np.array([0.9, 0.9, 0.5]))
    assert matched(one, one, least_iou=0.99, most_score=1e-3)[::2] == (3, [])
    fewer = tuple(each[[0, 2]] for each in one)
    assert matched(one, fewer, least_iou=0.99, most_score=1e-3)[::2] == (2, [0.9])
    other_label = (boxes, np.array([1, 1, 1]), one[2])
    assert matched(one, other_label, least_iou=0.99, most_score=1e-3)[2] == [0.5, 0.5]
    moved = (boxes + 5, *one[1:])
    assert matched(one, moved, least_iou=0.99, most_score=1e-3)[0] == 0
