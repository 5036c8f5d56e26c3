"""Where weights are from holds as long as they are those weights."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from helpers.own_entry import CLASSES, NAME, make_entry
from helpers.trained_digits import SPEC, WEIGHTS
from safetensors import safe_open
from safetensors.torch import load, load_file

import gpunet
from gpunet.errors import CheckpointError, WeightsError
from gpunet.model.classes import classes_of
from gpunet.model.network import GPUNet
from gpunet.model.origin import WeightsOrigin, classes_of_weights, origin_of, weights_bytes
from gpunet.model.spec import NetworkSpec
from gpunet.zoo.named import network_named


def test_the_zoo_says_it(tmp_path: Path) -> None:
    zoo = make_entry(tmp_path / "zoo")
    trained = gpunet.load(NAME, zoo=zoo)
    source = f"the weights of {NAME} (model.safetensors)"
    assert origin_of(trained) == WeightsOrigin("trained", source, "not stated")
    assert origin_of(copy.deepcopy(trained).train()) == origin_of(trained)
    assert origin_of(gpunet.load(NAME, zoo=zoo, pretrained=False)).state == "untrained"
    fresh = origin_of(gpunet.load(NAME, zoo=zoo, num_classes=4))
    assert (fresh.state, fresh.source) == ("untrained", f"{source}, but for its classifier, which is drawn at random")
    given = origin_of(gpunet.load(NAME, zoo=zoo, weights=WEIGHTS))
    assert given == WeightsOrigin("trained", "digits.safetensors", "not stated")


def test_what_learns_on_is_other_weights(tmp_path: Path) -> None:
    model = gpunet.load(NAME, zoo=make_entry(tmp_path / "zoo"), pretrained=False)
    with torch.no_grad():
        next(model.parameters()).mul_(1.5)
    assert origin_of(model) == WeightsOrigin(source="drawn at random, and changed since")


def test_what_a_later_version_adds_is_passed_over() -> None:
    said = WeightsOrigin("trained", "a", "MIT")
    assert WeightsOrigin.from_dict({**said.to_dict(), "sha256": "c", "more": 1}) == said
    assert WeightsOrigin.from_dict(None) == WeightsOrigin()


def test_a_module_of_ones_own_says_nothing() -> None:
    assert origin_of(GPUNet(SPEC)).state == "not stated"


def test_a_file_of_weights_names_its_classes(tmp_path: Path) -> None:
    state = load_file(WEIGHTS)
    data = weights_bytes(state, ("zéro", *CLASSES[1:]))
    assert data == weights_bytes(state, ("zéro", *CLASSES[1:]))
    assert all(torch.equal(value, state[name]) for name, value in load(data).items())
    (tmp_path / "w.safetensors").write_bytes(data)
    with safe_open(tmp_path / "w.safetensors", framework="pt") as opened:
        assert opened.metadata()["format"] == "pt"
    assert classes_of_weights(tmp_path / "w.safetensors") == ("zéro", *CLASSES[1:])
    assert classes_of_weights(WEIGHTS) == classes_of_weights(tmp_path / "w.zip") == ()
    assert load(weights_bytes(state)).keys() == state.keys()
    (tmp_path / "spec.json").write_text(NetworkSpec.parse(SPEC).to_json())
    model = network_named(str(tmp_path / "spec.json"), weights=tmp_path / "w.safetensors", num_classes=10)
    assert classes_of(model) == ("zéro", *CLASSES[1:])
    assert origin_of(model).source == "w.safetensors"
    assert origin_of(network_named(str(tmp_path / "spec.json"), pretrained=False)).state == "untrained"


def test_a_file_of_weights_in_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "w.safetensors").write_bytes(weights_bytes(load_file(WEIGHTS), CLASSES[::-1]))
    zoo = make_entry(tmp_path / "zoo")
    assert classes_of(gpunet.load(NAME, zoo=zoo, weights="~/w.safetensors")) == CLASSES[::-1]


def test_a_file_that_is_no_weights_is_said(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    with pytest.raises(WeightsError, match=r"there is no such file\.[^$]*Give a safetensors file"):
        classes_of_weights(path)
    path.write_bytes(WEIGHTS.read_bytes()[:100])
    with pytest.raises(CheckpointError, match=r"is not a safetensors file, or is damaged: .*\nFetch it again"):
        classes_of_weights(path)


@pytest.mark.parametrize(("how", "state"), [({"pretrained": False}, "untrained")])
def test_timms_networks_by_name(how: dict[str, bool], state: str) -> None:
    assert origin_of(network_named("test_resnet", timm_too=True, **how)).state == state  # type: ignore[arg-type]
