"""create, load, list_models, list_devices: from a budget to a model."""

from __future__ import annotations

import json
import logging

import pytest
import torch
from safetensors.torch import save_file

import gpunet
from gpunet.errors import NothingFitsError, UnknownModelError, WeightsError

TINY = {"resolution_px": 64, "stem": {"filters": 8}, "stages": [{"type": "conv", "filters": 8}], "head": {"filters": 8}}


@pytest.fixture
def zoo(tmp_path):
    """A user's zoo of two networks: one GPUNet with weights, one of timm's."""
    for name, body in {
        "tiny": {"architecture": "gpunet", "spec": TINY, "num_classes": 3, "in_chans": 1,
                 "weights": {"file": "model.safetensors"},
                 "preprocessing": {"input_px": 64, "crop_pct": 1.0, "mean": [0.5], "std": [0.5]}},
        "small_mobilenet": {"architecture": "mobilenetv3_small_050", "preprocessing": {"input_px": 96}},
    }.items():  # fmt: skip
        folder = tmp_path / "zoo" / name
        folder.mkdir(parents=True)
        accuracy = {"top1_percent": 90.0 if name == "tiny" else 60.0, "dataset": "mine", "source": "me"}
        entry = {"format": "gpunet-entry", "format_version": 1, "name": name, "accuracy": accuracy, **body}
        (folder / "entry.json").write_text(json.dumps(entry))
        (folder / "latency.csv").write_text(
            "model,chip,board,batch_size,precision,runtime,runtime_version,statistic,latency_ms,kind,source\n"
            f"{name},gv100,V100 32GB,1,fp16,tensorrt,8.6,median,{0.2 if name == 'tiny' else 0.1},measured,me\n"
        )
    save_file(gpunet.GPUNet(TINY, num_classes=3, in_chans=1).state_dict(), tmp_path / "zoo/tiny/model.safetensors")
    return tmp_path / "zoo"


def test_create_picks_the_most_accurate_that_fits_and_says_so_once(caplog) -> None:
    with caplog.at_level(logging.INFO, logger="gpunet"):
        model = gpunet.create("gv100", max_ms=0.8, pretrained=False, num_classes=10)
    assert (model.entry.name, model.match.latency_ms) == ("gpunet_p0", 0.63)
    assert model.entry.top1_percent == 80.3
    assert model(torch.randn(1, 3, 224, 224)).shape == (1, 10)
    assert not model.training
    chosen = [record.getMessage() for record in caplog.records if "chose" in record.getMessage()]
    assert len(chosen) == 1
    assert "gpunet_p0: top-1 80.3 %; 0.63 ms measured" in chosen[0]
    assert len(model.entry.records) > 10
    assert "NGC" in model.entry.licence


def test_create_from_ones_own_zoo_with_weights(zoo) -> None:
    model = gpunet.create("V100", max_ms=0.3, dataset="mine", zoo=zoo)
    assert model.entry.name == "tiny"
    expected = gpunet.load("tiny", zoo=zoo, weights=zoo / "tiny" / "model.safetensors").state_dict()
    torch.testing.assert_close(dict(model.state_dict()), dict(expected))
    assert model.transforms()(__import__("PIL.Image").Image.new("L", (80, 80))).shape == (1, 64, 64)


def test_an_architecture_of_timms_is_an_entry_too(zoo) -> None:
    model = gpunet.create("gv100", max_ms=0.15, dataset="mine", zoo=zoo, pretrained=False, num_classes=5)
    assert type(model).__name__ == "MobileNetV3"
    assert model.entry.name == model.match.name == "small_mobilenet"
    assert model(torch.randn(1, 3, 96, 96)).shape == (1, 5)
    assert callable(model.transforms(training=True))


def test_weights_of_ones_own_for_an_architecture_of_timms(zoo, tmp_path) -> None:
    model = gpunet.load("small_mobilenet", zoo=zoo, pretrained=False)
    save_file(model.state_dict(), tmp_path / "mine.safetensors")
    again = gpunet.load("small_mobilenet", zoo=zoo, weights=tmp_path / "mine.safetensors")
    torch.testing.assert_close(dict(again.state_dict()), dict(model.state_dict()))
    features = gpunet.load("small_mobilenet", zoo=zoo, weights=tmp_path / "mine.safetensors", features_only=True)
    torch.testing.assert_close(features.conv_stem.weight, model.conv_stem.weight)
    assert len(features(torch.randn(1, 3, 64, 64))) == 5


def test_nothing_fits() -> None:
    with pytest.raises(NothingFitsError, match="The nearest:\n  gpunet_p0"):
        gpunet.create("gv100", max_ms=0.1)


def test_load_by_name_and_features() -> None:
    model = gpunet.load("gpunet_0", pretrained=False, features_only=True, out_indices=(1, 2))
    assert model.entry.name == "gpunet_0"
    assert [m.shape[1] for m in model(torch.randn(1, 3, 96, 96))] == [32, 64]


def test_load_refuses_what_it_does_not_have(zoo) -> None:
    with pytest.raises(UnknownModelError, match="the zoo has no model 'gpunet_7'"):
        gpunet.load("gpunet_7")
    with pytest.raises(UnknownModelError, match=r"gpunet_d0 cannot be built: only its published figures are known"):
        gpunet.load("gpunet_d0")
    (zoo / "tiny" / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"model.safetensors"):
        gpunet.load("tiny", zoo=zoo)
    entry = json.loads((zoo / "small_mobilenet" / "entry.json").read_text())
    (zoo / "small_mobilenet" / "entry.json").write_text(json.dumps({**entry, "architecture": "nonet"}))
    with pytest.raises(UnknownModelError, match="entry small_mobilenet names the architecture 'nonet', which timm"):
        gpunet.load("small_mobilenet", zoo=zoo, pretrained=False)


def test_weights_that_timm_does_not_have(zoo) -> None:
    entry = json.loads((zoo / "small_mobilenet" / "entry.json").read_text())
    (zoo / "small_mobilenet" / "entry.json").write_text(json.dumps({**entry, "architecture": "mobilenetv2_035"}))
    with pytest.raises(WeightsError) as caught:
        gpunet.load("small_mobilenet", zoo=zoo)
    assert "timm could not load the weights of mobilenetv2_035: RuntimeError: No pretrained" in str(caught.value)
    assert "Pass pretrained=False for an untrained network" in caught.value.hint


def test_list_models(zoo) -> None:
    assert len(gpunet.list_models()) == 7
    assert gpunet.list_models(zoo=zoo)[-2:] == ["small_mobilenet", "tiny"]
    assert len(gpunet.list_models(include_baselines=True)) == 18


def test_devices_that_can_be_estimated_are_listed_when_asked_for() -> None:
    devices = gpunet.list_devices(estimates=True)
    assert devices[: len(gpunet.list_devices())] == gpunet.list_devices()
    assert {"l4", "rtx4090", "agx-orin-30w", "a100-3g"} <= set(devices)
    for each in devices[len(gpunet.list_devices()) :]:
        assert gpunet.find(each, estimates=True)


def test_list_devices_can_all_be_asked() -> None:
    devices = gpunet.list_devices()
    assert devices[0] == "a100"
    assert devices[-1] == "local"
    for device in devices[:-1]:
        assert gpunet.find(device)
