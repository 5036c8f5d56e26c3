"""Layouts of public training scripts: each loads, strictly, into the network that it is of."""

from __future__ import annotations

import argparse
import collections
import warnings
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

import gpunet
from gpunet.errors import CheckpointError
from gpunet.model import SMALL, GPUNet
from gpunet.zoo.weights.checkpoint import read_checkpoint
from gpunet.zoo.weights.loading import load_weights
from gpunet.zoo.weights.unwrap import unwrapped


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return GPUNet(SMALL, num_classes=10).state_dict()


def _under(prefix: str, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {f"{prefix}{name}": value for name, value in state.items()}


def _without_counters(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value for name, value in state.items() if "num_batches" not in name}


LAYOUTS: dict[str, Any] = {
    "bare": lambda state: state,
    "timm, EMA": lambda state: {"state_dict": _zeros(state), "state_dict_ema": state, "epoch": 3},
    "model, model_ema": lambda state: {"model": _zeros(state), "model_ema": state, "epoch": 3},
    "ema": lambda state: {"ema": state, "model": _zeros(state)},
    "model alone": lambda state: {"model": state, "args": None},
    "model_state_dict": lambda state: {"model_state_dict": state, "loss": 0.1},
    "Lightning": lambda state: {"state_dict": _under("model.", state)},
    "compiled and distributed": lambda state: {"model": _under("module._orig_mod.", state)},
    "compiled inside Lightning": lambda state: {"state_dict": _under("model._orig_mod.", state)},
    "a part that is compiled": lambda state: {
        name.replace("blocks.", "blocks._orig_mod.").replace("classifier.", "classifier.module."): value
        for name, value in state.items()
    },
    "AveragedModel": lambda state: {**_under("module.", state), "n_averaged": torch.tensor(7)},
    "numpy": lambda state: {"state_dict": state, "top1": np.float64(80.1), "epoch": np.int64(3), "x": np.ones(2)},
    "paths": lambda state: {"state_dict": state, "out": Path("runs/x"), "log": PureWindowsPath("C:/x")},
    "a Namespace": lambda state: {"state_dict": state, "args": argparse.Namespace(lr=0.1, out=Path("x"))},
    "a name of one's own": lambda state: {"net": state, "optimizer": {"state": {}, "param_groups": []}, "epoch": 3},
    "BasicSR": lambda state: {"params": _zeros(state), "params_ema": state},
    "a dictionary with a default": lambda state: {"state_dict": state, "seen": collections.defaultdict(int)},
    "without counters": lambda state: {"state_dict": _without_counters(state)},
}  # fmt: skip


def _zeros(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: torch.zeros_like(value) for name, value in state.items()}


def _save(state: dict[str, torch.Tensor], path: Path) -> Path:
    safetensors.torch.save_file({name: value.contiguous().clone() for name, value in state.items()}, path)
    return path


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "old format"])
def test_a_layout_is_read(layout: str, zipped: bool, state: dict[str, torch.Tensor], tmp_path: Path):
    torch.save(LAYOUTS[layout](state), tmp_path / "c.pth", _use_new_zipfile_serialization=zipped)
    read = _save(read_checkpoint(tmp_path / "c.pth"), tmp_path / "c.safetensors")
    model = GPUNet(SMALL, num_classes=10)
    load_weights(model, read)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("prefix", ["_orig_mod.", "module.", "model.", "model.module._orig_mod.", "backbone.net."])
def test_safetensors_of_a_wrapper_are_read(prefix: str, state: dict[str, torch.Tensor], tmp_path: Path):
    model = GPUNet(SMALL, num_classes=10)
    load_weights(model, _save(_under(prefix, state), tmp_path / "p.safetensors"))
    assert torch.equal(model.conv_stem.weight, state["conv_stem.weight"])


def test_the_shapes_stay_strict(state: dict[str, torch.Tensor], tmp_path: Path):
    lacking = {name: value for name, value in state.items() if name != "conv_head.weight"}
    with pytest.raises(CheckpointError, match=r"conv_head\.weight"):
        load_weights(GPUNet(SMALL, num_classes=10), _save(_under("module.", lacking), tmp_path / "p.safetensors"))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(state: dict[str, torch.Tensor], tmp_path: Path, value: float):
    broken = {**state, "bn2.bias": torch.full_like(state["bn2.bias"], value)}
    with pytest.raises(CheckpointError, match=r"no numbers \(NaN, or infinite\) in bn2\.bias"):
        load_weights(GPUNet(SMALL, num_classes=10), _save(broken, tmp_path / "p.safetensors"))


class _Harmless:
    pass


def test_a_class_that_is_not_known_is_named_and_not_called_hostile(state: dict[str, torch.Tensor], tmp_path: Path):
    torch.save({"state_dict": state, "config": _Harmless()}, tmp_path / "c.pth")
    with pytest.raises(CheckpointError, match=r"an object of the class \S+_Harmless, and only tensors") as error:
        read_checkpoint(tmp_path / "c.pth")
    assert "save the weights alone" in error.value.hint
    assert "Do not use" not in str(error.value)


def test_two_tensors_of_one_name_are_refused():
    with pytest.raises(KeyError, match="a"):
        unwrapped({"a": 1, "module.a": 2})


def test_a_network_can_be_scripted():
    model = gpunet.load("gpunet_0", pretrained=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, of TorchScript's age
        scripted = torch.jit.script(model)
    image = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(scripted(image), model(image))


def test_features_by_a_configuration_of_ones_own():
    model: Any = gpunet.load("gpunet_0", pretrained=False, features_only=True, feature_cfg={"out_indices": (1, 3)})
    assert len(model(torch.rand(1, 3, 64, 64))) == 2
