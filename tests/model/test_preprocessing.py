"""One function says how a network takes images: an entry's own say counts in all that is done with it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import timm
from PIL import Image

import gpunet
from gpunet.exporters.deployment import deploy
from gpunet.exporters.int8.calibration import calibration_images
from gpunet.model.preprocessing import evaluation_transform, image_config, says_its_images
from gpunet.runtime.sidecar import read_sidecar
from gpunet.zoo.prediction import load_exported

SIDE_PX, MEAN, STD = 96, [0.5, 0.4, 0.3], [0.25, 0.2, 0.15]


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An entry of timm's test_resnet (160 px, ImageNet's mean) with its own say."""
    folder = tmp_path_factory.mktemp("zoo")
    entry = {
        "format": "gpunet-entry", "format_version": 1, "name": "own_resnet", "role": "own",
        "architecture": "test_resnet", "accuracy": None, "licence": "MIT",
        "preprocessing": {"input_px": SIDE_PX, "crop_pct": 0.9, "interpolation": "bilinear", "mean": MEAN, "std": STD},
    }  # fmt: skip
    (folder / "own_resnet.json").write_text(json.dumps(entry), encoding="utf-8")
    return folder


def test_an_entrys_own_say_counts_everywhere(zoo: Path, tmp_path: Path) -> None:
    model = gpunet.load("own_resnet", zoo=zoo, pretrained=False)
    config = image_config(model)
    assert (config["input_size"], config["interpolation"], config["crop_pct"]) == ((3, 96, 96), "bilinear", 0.9)
    assert (list(config["mean"]), list(config["std"])) == (MEAN, STD)
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (120, 140, 3), dtype=np.uint8))
    picture.save(tmp_path / "0.png")
    prepared = np.asarray(evaluation_transform(config)(picture))
    np.testing.assert_array_equal(np.asarray(model.transforms()(picture)), prepared)
    calibrated = calibration_images(model, (3, SIDE_PX, SIDE_PX), tmp_path)
    np.testing.assert_array_equal(next(iter(calibrated)), prepared)
    deploy(model, tmp_path / "a.onnx")
    side = read_sidecar(tmp_path / "a.onnx")
    assert side.preprocessing == {"input_size": [3, 96, 96], "mean": MEAN, "std": STD, "interpolation": "bilinear",
                                  "crop_pct": 0.9, "crop_mode": "center"}  # fmt: skip
    assert (side.inputs[0]["shape"], side.inputs[0]["mean"]) == ([1, 3, 96, 96], MEAN)
    np.testing.assert_array_equal(load_exported(tmp_path / "a.onnx").prepared(picture), prepared)
    how = {"runtime": "pytorch", "threads": 1, "min_repeats": 1, "min_time_s": 0, "warmup_s": 0}
    for measured in (model, "own_resnet"):
        found = gpunet.benchmark(measured, zoo=zoo, **how)  # type: ignore[arg-type]
        assert found.conditions["input_shape"] == [1, 3, 96, 96]


def test_a_caller_may_still_say_otherwise(zoo: Path) -> None:
    model = gpunet.load("own_resnet", zoo=zoo, pretrained=False, pretrained_cfg_overlay={"input_size": (3, 64, 64)})
    assert image_config(model)["input_size"] == (3, 64, 64)
    assert image_config(model, 80)["input_size"] == (3, 80, 80)


def test_channels_are_the_networks_and_silence_is_imagenets() -> None:
    network = timm.create_model("test_resnet", in_chans=1)
    assert image_config(network)["input_size"] == (1, 160, 160)
    assert says_its_images(network)
    assert image_config({})["input_size"] == (3, 224, 224)
    assert image_config({"mean": (0.5,) * 3})["mean"] == (0.5,) * 3
