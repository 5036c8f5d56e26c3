"""`gpunet detect`: train, eval, predict, on shapes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from helpers.coco import PLAIN, annotations, write_coco
from make_shapes import make_shapes
from PIL import Image, ImageChops

from gpunet.cli.main import main
from gpunet.errors import DataError, InvalidArgumentError, SpecError, UnknownModelError, UsageError

QUICK = ["--no-pretrained", "--recipe", "detection-quick", "--epochs", "1", "--short-px", "64", "--long-px", "64",
         "--detector", "pyramid_channels=16", "head_features=32", "anchor_strides=4", "proposals=50",
         "sampled_boxes=32", "--quiet"]  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run, and its data."""
    folder = tmp_path_factory.mktemp("detect")
    torch.set_num_threads(1)
    (folder / "little.json").write_text(json.dumps(PLAIN), encoding="utf-8")
    shapes = make_shapes(folder / "shapes", train=4, validation=2, side_px=64, classes=2, most=2)
    main(["detect", "train", str(folder / "little.json"), "--data", str(shapes), *QUICK, "-o", str(folder / "run")])
    return folder / "run", shapes


def test_train_says_what_it_does(tmp_path: Path, trained: tuple[Path, Path], capsys: pytest.CaptureFixture[str]):
    run, shapes = trained
    command = ["detect", "train", str(run.parent / "little.json"), "--data", str(shapes), *QUICK]
    main([*command, "-o", str(tmp_path / "run")])
    said = capsys.readouterr()
    assert "training in" in said.err
    assert "from an untrained backbone, cascade on little: 4 pictures" in said.err
    assert "the backbone's maps are padded: " in said.err
    assert "AP75 %" in said.out
    assert "kept: epoch 1 of 1, AP " in said.out
    main([*command, "-o", str(run), "--json"])
    said = capsys.readouterr()
    assert "has finished already" in said.err
    assert len(json.loads(said.out)["best"]["coco"]) == 12


def test_eval(trained: tuple[Path, Path], capsys: pytest.CaptureFixture[str]):
    run, shapes = trained
    main(["detect", "eval", str(run), "--data", str(shapes)])
    told = capsys.readouterr().out
    assert "AP, IoU 0.50 to 0.95" in told
    assert "disc" in told
    assert "2 pictures of" in told
    main(["detect", "eval", str(run), "--data", str(shapes), "--split", "train", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["pictures"] == 4
    assert list(found["ap_by_class"]) == ["disc", "box"]
    with pytest.raises(DataError, match="has the class 'cat', which the detector does not know"):
        main(["detect", "eval", str(run), "--data", str(write_coco(run.parent / "other", split="val"))])


def test_predict(tmp_path: Path, trained: tuple[Path, Path], capsys: pytest.CaptureFixture[str]):
    run, shapes = trained
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"")
    pictures = sorted((shapes / "val").iterdir())
    twin = tmp_path / "000000.png"
    Image.open(pictures[0]).save(twin)
    asked = [*map(str, pictures), str(twin), str(bad)]
    main(["detect", "predict", str(run), *asked, "--min-score", "0", "--draw", str(tmp_path / "out"), "--json"])
    said = capsys.readouterr()
    assert "passed over: " in said.err
    found = json.loads(said.out)
    assert [Path(each["image"]).name for each in found["images"]] == ["000000.jpg", "000001.jpg", "000000.png"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["000000-2.png", "000000.png", "000001.png"]
    for each in found["images"]:
        for one in each["objects"]:
            assert one["class_name"] in ("disc", "box")
            assert 0 <= one["score"] <= 1
            assert all(-0.01 <= side <= 64.01 for side in one["box_px"])
        same = Image.open(each["image"]).convert("RGB")
        changed = ImageChops.difference(same, Image.open(each["drawn"])).getbbox()
        assert (changed is not None) == bool(each["objects"])
    main(["detect", "predict", str(run), str(pictures[0]), "--min-score", "1"])
    assert "nothing" in capsys.readouterr().out
    with pytest.raises(DataError, match="none of the 1 pictures can be read"):
        main(["detect", "predict", str(run), str(bad)])


def test_print_recipe(capsys: pytest.CaptureFixture[str]):
    main(["detect", "train", "--print-recipe", "--set", "optimization.learning_rate=0.1"])
    assert json.loads(capsys.readouterr().out)["optimization"]["learning_rate"] == 0.1


def test_wrong_calls(tmp_path: Path, trained: tuple[Path, Path]):
    run, shapes = trained
    with pytest.raises(InvalidArgumentError, match="there is nothing to train on"):
        main(["detect", "train"])
    with pytest.raises(InvalidArgumentError, match="there is nothing to score on"):
        main(["detect", "eval", str(run)])
    with pytest.raises(InvalidArgumentError, match="--detector takes KEY=VALUE, but got 'x'"):
        main(["detect", "train", "lcnet_050", "--data", str(shapes), "--no-pretrained", "--detector", "x"])
    with pytest.raises(SpecError, match="is nothing that detectors are trained with here"):
        main(["detect", "train", "lcnet_050", "--data", str(shapes), "--recipe", "quick"])
    with pytest.raises(UnknownModelError, match="holds no detector"):
        main(["detect", "predict", str(tmp_path), str(shapes)])
    with pytest.raises(InvalidArgumentError, match="there is no such picture or folder"):
        main(["detect", "predict", str(run), str(tmp_path / "nothing.png")])
    with pytest.raises(DataError, match=r"is damaged: it cannot be read as JSON"):
        main(["detect", "train", "lcnet_050", "--no-pretrained", "--data", str(write_coco(tmp_path, "{"))])
    both = ["--annotations", str(shapes / "annotations" / "instances_train.json"), "--images", str(shapes / "train")]
    with pytest.raises(DataError, match="has no annotations for 'validation'"):
        main(["detect", "train", "lcnet_050", "--no-pretrained", *both, "--data", str(tmp_path / "train")])
    empty = write_coco(tmp_path / "empty", annotations(annotations=[]))
    with pytest.raises(DataError, match="has no box to learn from"):
        main(
            ["detect", "train", "lcnet_050", "--data", str(empty), "--no-validation", *QUICK, "-o", str(tmp_path / "r")]
        )


def test_export(tmp_path: Path, trained: tuple[Path, Path], capsys: pytest.CaptureFixture[str]):
    pytest.importorskip("tensorrt_rtx")
    run, _ = trained
    main(["detect", "export", str(run), "--input", "3x64x96", "-o", str(tmp_path / "d.onnx")])
    assert "boxes match" in capsys.readouterr().out
    little = str(run.parent / "little.json")
    named = [little, "--no-pretrained", "--input", "64x96"]
    main(["detect", "export", *named, "--part", "pyramid", "--trt-rtx", "-p", "fp16", "-o", str(tmp_path / "p.engine"),
          "--json"])  # fmt: skip
    said = capsys.readouterr()
    assert "is untrained" in said.err
    assert json.loads(said.out)["engine"]["precision"] == "fp16"
    assert {path.name for path in tmp_path.iterdir()} >= {"p.engine", "p.engine.json", "p.onnx", "d.onnx"}
    for wrong, message in (
        ([str(run)], "--out is missing"),
        ([str(run), "--trt-rtx", "-o", "d.engine"], "a whole detector is no TensorRT-RTX engine"),
        ([str(run), "-p", "fp16", "-o", "d.onnx"], "--precision fp16 is of an engine"),
        ([little, "-o", "d.onnx"], "is no folder of a detector"),
        ([str(run), "--input", "64", "-o", "d.onnx"], "--input '64' is no size of an image"),
        ([str(run), "--input", "1x64x64", "-o", "d.onnx"], "--input 1x64x64 has 1 channels"),
    ):
        with pytest.raises(InvalidArgumentError, match=message):
            main(["detect", "export", *wrong])


def test_the_front_tells_published_from_own(trained: tuple[Path, Path], capsys: pytest.CaptureFixture[str]):
    run, _ = trained
    main(["pareto", "--detection"])
    rows = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if " published " in line}
    assert list(rows) == ["gpunet_2", "resnet50", "fbnetv3_f", "efficientnet_b3"]
    assert [row.endswith("yes") for row in rows.values()] == [True, True, False, False]
    main(["pareto", "--detection", "--zoo", str(run.parent), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert {row["kind"] for row in found["published"]} == {"published"}
    (own,) = found["own"]
    assert own["backbone"] == "little"
    assert own["data"].endswith("instances_val.json")
    main(["pareto", "--detection", "--zoo", str(run)])
    assert "Trained here, on other pictures" in capsys.readouterr().out
    for wrong in (["-d", "gv100"], ["--baselines"], ["--plot", "a.png"]):
        with pytest.raises(UsageError, match="is of classifiers, and --detection of detectors"):
            main(["pareto", "--detection", *wrong])
    with pytest.raises(UsageError, match="Missing option '--device' / '-d'"):
        main(["pareto"])
