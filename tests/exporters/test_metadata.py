from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest
import timm
import torch

import gpunet
from gpunet.errors import InvalidArgumentError
from gpunet.exporters.metadata import facts_of_file, properties_of
from gpunet.runtime.batch import BatchProfile
from gpunet.testing.networks import tiny_module, tiny_onnx

SHAPE = (3, 32, 32)


def test_a_spec_is_written_whole(model):
    properties = properties_of(model, BatchProfile(1, 2, 3), SHAPE, None)
    assert gpunet.NetworkSpec.from_json(properties["gpunet.spec"]) == model.spec
    assert properties["gpunet.spec_sha256"] == model.spec.sha256
    assert json.loads(properties["gpunet.batch"]) == {"min": 1, "opt": 2, "max": 3}
    assert properties["gpunet.model"] == "GPUNet"
    assert properties["gpunet.version"]
    assert "gpunet.entry" not in properties


def test_an_entry_gives_its_name_and_its_preprocessing():
    loaded = gpunet.load("gpunet_p0", pretrained=False)
    properties = properties_of(loaded, BatchProfile.parse(1), (3, 224, 224), None)
    assert properties["gpunet.entry"] == properties["gpunet.model"] == "gpunet_p0"
    said = json.loads(properties["gpunet.preprocessing"])
    known = loaded.entry.preprocessing
    assert said == {
        "input_size": [3, 224, 224],
        "mean": list(known.mean),
        "std": list(known.std),
        "interpolation": known.interpolation,
        "crop_pct": known.crop_pct,
        "crop_mode": "center",
    }


def test_timm_models_have_timms_preprocessing():
    network = timm.create_model("test_efficientnet", pretrained_cfg_overlay={"mean": (0.5, 0.4, 0.3), "crop_pct": 0.9})
    properties = properties_of(network, BatchProfile.parse(1), (3, 160, 160), None)
    assert properties["gpunet.model"] == "test_efficientnet"
    said = json.loads(properties["gpunet.preprocessing"])
    assert said["mean"] == [0.5, 0.4, 0.3]
    assert said["crop_pct"] == 0.9
    assert "gpunet.spec" not in properties


def test_a_plain_module_claims_no_preprocessing():
    properties = properties_of(torch.nn.Conv2d(3, 4, 1), BatchProfile.parse(1), SHAPE, None)
    assert properties["gpunet.model"] == "Conv2d"
    assert "gpunet.preprocessing" not in properties


def test_given_metadata_is_added_and_wins():
    given = {"licence": "CC-BY-4.0", "labels": ["a", "b"], "gpunet.model": "mine"}
    properties = properties_of(torch.nn.Conv2d(3, 4, 1), BatchProfile.parse(1), SHAPE, given)
    assert properties["licence"] == "CC-BY-4.0"
    assert properties["labels"] == '["a", "b"]'
    assert properties["gpunet.model"] == "mine"


def test_metadata_is_plain(model):
    with pytest.raises(InvalidArgumentError, match="metadata must be text or plain JSON types, but 'when' is a object"):
        properties_of(model, BatchProfile.parse(1), SHAPE, {"when": object()})


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("batch", '{"least": 1}', "unexpected keyword argument 'least'"),
        ("batch", '{"min": 2, "opt": 1, "max": 1}', "min <= opt <= max must hold"),
        ("batch", "[1]", "must be a mapping"),
        ("classes", "3", "it is 3, not a list of names"),
        ("classes", "[3]", "it is [3], not a list of names"),
        ("preprocessing", "[]", "it is [], not an object"),
        ("weights", "{", "Expecting property name"),
    ],
)
def test_what_others_wrote_is_refused(tmp_path: Path, name: str, value: str, said: str):
    path = tmp_path / "foreign.onnx"
    network = tiny_onnx(tiny_module())
    network.metadata_props.add(key=f"gpunet.{name}", value=value)
    onnx.save(network, path)
    with pytest.raises(InvalidArgumentError) as caught:
        facts_of_file(path)
    assert caught.value.message.startswith(f"{path}: its gpunet.{name} metadata cannot be read: ")
    assert said in caught.value.message
    assert (caught.value.hint, caught.value.exit_code) == ("Export it again.", 6)
