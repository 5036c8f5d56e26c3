"""timm.create_model for the seven and for any spec; scripts written for timm."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import timm
import torch
from helpers.specs import SMALL
from safetensors.torch import save_file

import gpunet.registry
from gpunet import GPUNet, NetworkSpec
from gpunet.errors import InvalidArgumentError
from gpunet.zoo.catalog import catalog

SEVEN = [entry.name for entry in catalog().values() if entry.role == "released"]


@pytest.mark.parametrize("name", SEVEN)
def test_the_seven_are_timm_models_with_their_own_data_config(name) -> None:
    entry = catalog()[name]
    with torch.device("meta"):
        model = timm.create_model(name)
    assert isinstance(model, GPUNet)
    assert model.entry == entry
    assert model.training
    config = timm.data.resolve_model_data_config(model)
    assert config["input_size"] == (3, entry.input_px, entry.input_px)
    assert config["crop_pct"] == entry.preprocessing.crop_pct
    assert config["interpolation"] == "bicubic"
    assert config["mean"] == (0.485, 0.456, 0.406)
    assert config["std"] == (0.229, 0.224, 0.225)


def test_timm_lists_them_as_pretrained() -> None:
    assert timm.list_models("gpunet_*") == SEVEN
    assert timm.list_models("gpunet_*", pretrained=True) == SEVEN
    assert timm.is_model("gpunet")


def test_model_arguments() -> None:
    model = timm.create_model("gpunet_0", num_classes=10, in_chans=1, drop_rate=0.3, drop_path_rate=0.2)
    assert model.classifier.out_features == 10
    assert model.conv_stem.in_channels == 1
    assert model.drop_rate == 0.3
    assert model.blocks[4][1].drop_path.drop_prob == pytest.approx(0.2)


@pytest.mark.parametrize("form", ["spec", "dict", "text", "path"])
def test_any_spec_by_name(tmp_path, form) -> None:
    spec = NetworkSpec.from_dict(SMALL)
    path = tmp_path / "net.json"
    path.write_text(spec.to_json())
    model = timm.create_model(
        "gpunet", spec={"spec": spec, "dict": SMALL, "text": spec.to_json(), "path": str(path)}[form]
    )
    assert model.spec == spec
    assert timm.data.resolve_model_data_config(model)["input_size"] == (3, 64, 64)
    assert timm.data.resolve_model_data_config(model)["crop_pct"] == 1.0


def test_refusals() -> None:
    with pytest.raises(InvalidArgumentError, match=r"timm.create_model\('gpunet'\) needs spec="):
        timm.create_model("gpunet")
    with pytest.raises(InvalidArgumentError, match=r"a spec has no weights of its own, but pretrained=True was given"):
        timm.create_model("gpunet", spec=SMALL, pretrained=True)
    with pytest.raises(InvalidArgumentError, match="unknown model argument 'width_mult'"):
        timm.create_model("gpunet_0", width_mult=2)


def test_a_checkpoint_of_timms_train_script_loads(tmp_path) -> None:
    model = timm.create_model("gpunet", spec=SMALL, num_classes=3)
    torch.save({"state_dict": model.state_dict(), "epoch": 1}, tmp_path / "last.pth.tar")
    again = timm.create_model("gpunet", spec=SMALL, num_classes=3, checkpoint_path=str(tmp_path / "last.pth.tar"))
    torch.testing.assert_close(dict(again.state_dict()), dict(model.state_dict()))


@pytest.mark.parametrize("architecture", ["gpunet", "gpunet_0"])
def test_a_folder_in_the_hub_layout_loads_by_local_dir(tmp_path, architecture) -> None:
    extra = {"spec": SMALL} if architecture == "gpunet" else {}
    model = timm.create_model(architecture, num_classes=4, **extra)
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    cfg = {"input_size": [3, 48, 48], "num_classes": 4, "first_conv": "conv_stem", "classifier": "classifier"}
    config = {
        "architecture": architecture,
        "num_classes": 4,
        "num_features": model.num_features,
        "model_args": extra,
        "pretrained_cfg": cfg,
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    again = timm.create_model(f"local-dir:{tmp_path}", pretrained=True)
    torch.testing.assert_close(dict(again.state_dict()), dict(model.state_dict()))
    assert tuple(timm.data.resolve_model_data_config(again)["input_size"]) == (3, 48, 48)
    other = timm.create_model(f"local-dir:{tmp_path}", pretrained=True, num_classes=2)
    torch.testing.assert_close(other.conv_stem.weight, model.conv_stem.weight)
    assert other.classifier.out_features == 2


def test_a_script_written_for_timm_runs_with_the_models(tmp_path) -> None:
    (tmp_path / "net.json").write_text(json.dumps(SMALL))
    (tmp_path / "helper_of_the_script.py").write_text("NAME = 'gpunet'\n")
    (tmp_path / "validate.py").write_text(
        "import sys, timm, helper_of_the_script\n"
        "if __name__ == '__main__':\n"
        "    model = timm.create_model(helper_of_the_script.NAME, spec=sys.argv[1])\n"
        "    print(type(model).__name__, model.num_classes)\n"
    )
    script = [sys.executable, "-m", "gpunet.timm_script"]
    done = subprocess.run([*script, tmp_path / "validate.py", tmp_path / "net.json"], capture_output=True, text=True)
    assert done.stdout.strip() == "GPUNet 1000", done.stderr
    done = subprocess.run([*script, tmp_path / "nothing.py"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "nothing.py is not a script" in done.stderr


def test_the_module_names_what_it_registers() -> None:
    assert set(SEVEN) < set(gpunet.registry.__all__)
