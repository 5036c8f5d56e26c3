from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
import torch
from helpers.checkpoints import DATA, TINY_LAYOUT, TINY_SPEC, filled, layout

from gpunet.errors import CheckpointError
from gpunet.model.network import GPUNet
from gpunet.model.spec import NetworkSpec
from gpunet.zoo.catalog import entry_named
from gpunet.zoo.weights.nvidia import convert_state_dict, expected_shapes, faults, is_nvidia

SEVEN = ["gpunet_0", "gpunet_1", "gpunet_2", "gpunet_p0", "gpunet_p1", "gpunet_d1", "gpunet_d2"]
TINY = NetworkSpec.from_dict(TINY_SPEC)
State = dict[str, torch.Tensor]


def _spec(name: str) -> NetworkSpec:
    spec = entry_named(name).spec
    assert spec is not None
    return spec


@pytest.mark.parametrize("name", SEVEN)
def test_the_seven_convert_completely(name: str) -> None:
    """No tensor is left over on either side, none is used twice, and the order of the network is kept."""
    shapes = layout(name)
    state = {key: torch.empty(shape, dtype=torch.int64 if "tracked" in key else None) for key, shape in shapes.items()}
    converted = convert_state_dict(state, _spec(name))
    with torch.device("meta"):
        expected = GPUNet(_spec(name)).state_dict()
    assert list(converted) == list(expected)
    assert {tensor.data_ptr() for tensor in converted.values()} == {tensor.data_ptr() for tensor in state.values()}
    pairs = zip(converted.values(), state.values(), strict=True)
    assert all(ours.data_ptr() == theirs.data_ptr() for ours, theirs in pairs)


@pytest.mark.parametrize("name", ["gpunet_0", "gpunet_p0", "gpunet_d1"])
def test_golden_logits(name: str) -> None:
    """What NVIDIA's implementation computed for the same checkpoint and input."""
    entry = entry_named(name)
    model = GPUNet(_spec(name)).eval()
    model.load_state_dict(convert_state_dict(filled(layout(name)), _spec(name)))
    side = entry.input_px
    images = np.random.Generator(np.random.PCG64(0)).standard_normal((2, 3, side, side)).astype(np.float32)
    with torch.inference_mode():
        logits = model(torch.from_numpy(images)).numpy()
    with np.load(DATA / "golden_logits.npz") as golden:
        np.testing.assert_allclose(logits, golden[name], rtol=0, atol=1e-4)


def test_values_go_where_they_belong() -> None:
    state = filled(TINY_LAYOUT)
    converted = convert_state_dict(state, TINY)
    pairs = {
        "conv_stem.weight": "network.head: 2.net.0.weight",
        "bn1.running_mean": "network.head: 2.net.1.running_mean",
        "blocks.0.0.conv.weight": "network.stage: 1 layer3.conv.weight",
        "blocks.1.0.bn2.bias": "network.stage: 2 layer4.bn2.bias",
        "blocks.2.0.se.fc1.weight": "network.stage: 3 layer5.se.conv_reduce.weight",
        "blocks.2.1.se.fc2.bias": "network.stage: 3 layer6.se.conv_expand.bias",
        "blocks.2.1.conv_dw.weight": "network.stage: 3 layer6.conv_dw.weight",
        "bn2.running_var": "network. layer7.net.1.running_var",
        "classifier.bias": "network. layer7.net.6.bias",
    }
    for ours, theirs in pairs.items():
        assert torch.equal(converted[ours], state[theirs]), ours


def test_the_order_of_the_file_does_not_matter() -> None:
    state = filled(TINY_LAYOUT)
    converted = convert_state_dict(state, TINY)
    turned = convert_state_dict(dict(reversed(state.items())), TINY)
    assert list(turned) == list(converted)
    assert all(torch.equal(turned[name], converted[name]) for name in converted)


def test_types_and_memory() -> None:
    state = {
        name: tensor.half() if tensor.is_floating_point() else tensor.int()
        for name, tensor in filled(TINY_LAYOUT).items()
    }
    state["network. layer7.net.6.weight"] = state["network. layer7.net.6.weight"].T.contiguous().T
    for name, tensor in convert_state_dict(state, TINY).items():
        assert tensor.dtype == (torch.int64 if name.endswith("num_batches_tracked") else torch.float32)
        assert tensor.is_contiguous()


def test_a_fine_tuned_network_keeps_its_classes_and_channels() -> None:
    changed = {
        "network.head: 2.net.0.weight": (8, 1, 3, 3),
        "network. layer7.net.6.weight": (7, 16),
        "network. layer7.net.6.bias": (7,),
    }
    converted = convert_state_dict(filled({**TINY_LAYOUT, **changed}), TINY)
    assert converted["classifier.weight"].shape == (7, 16)
    assert converted["conv_stem.weight"].shape == (8, 1, 3, 3)


def _drop(state: State) -> None:
    del state["network.stage: 2 layer4.conv_exp.weight"]


def _add(state: State) -> None:
    state["network.stage: 4 layer9.conv.weight"] = torch.zeros(8, 8, 3, 3)


def _add_foreign(state: State) -> None:
    state["fc.weight"] = torch.zeros(8)


def _double(state: State) -> None:
    state["network.stage: 7 layer3.conv.weight"] = torch.zeros(8, 8, 3, 3)


def _misplace_tail(state: State) -> None:
    state["network. layer8.net.6.bias"] = state.pop("network. layer7.net.6.bias")


def _reshape(state: State) -> None:
    state["network.stage: 3 layer5.conv_dw.weight"] = torch.zeros(16, 1, 5, 5)


def _scalar(state: State) -> None:
    state["network.head: 2.net.1.num_batches_tracked"] = torch.zeros(1)
    state["network.head: 2.net.1.weight"] = torch.tensor(1.0)


def _classes_disagree(state: State) -> None:
    state["network. layer7.net.6.bias"] = torch.zeros(9)


def _classifier_is_odd(state: State) -> None:
    state["network. layer7.net.6.weight"] = torch.zeros(10)


def _stem_is_odd(state: State) -> None:
    state["network.head: 2.net.0.weight"] = torch.zeros(8, 0, 3, 3)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_drop, "1 missing (blocks.1.0.conv_exp.weight)"),
        (_add, "1 unexpected (network.stage: 4 layer9.conv.weight)"),
        (_add_foreign, "1 unexpected (fc.weight)"),
        (_double, "1 unexpected (network.stage: 7 layer3.conv.weight)"),
        (_misplace_tail, "1 missing (classifier.bias); 1 unexpected (network. layer8.net.6.bias)"),
        (_reshape, "1 of another shape (blocks.2.0.conv_dw.weight is 16 x 1 x 5 x 5, not 16 x 1 x 3 x 3)"),
        (_scalar, "2 of another shape (bn1.weight is a scalar, not 8, bn1.num_batches_tracked is 1, not a scalar)"),
        (_classes_disagree, "1 of another shape (classifier.bias is 9, not 10)"),
        (_classifier_is_odd, "(classifier.weight is 10, not 1000 x 16, classifier.bias is 10, not 1000)"),
        (_stem_is_odd, "(conv_stem.weight is 8 x 0 x 3 x 3, not 8 x 3 x 3 x 3)"),
    ],
)
def test_faults_are_named(change: Callable[[State], None], said: str) -> None:
    state = filled(TINY_LAYOUT)
    change(state)
    with pytest.raises(CheckpointError, match="the checkpoint is not of this network: ") as caught:
        convert_state_dict(state, TINY)
    assert said in caught.value.message
    assert caught.value.hint == "Is it the checkpoint of another model of the family?"


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("gpunet_0", "gpunet_1"),
        ("gpunet_p0", "gpunet_p1"),
        ("gpunet_d1", "gpunet_d2"),
        ("gpunet_d1", "gpunet_p0"),
        ("gpunet_0", "gpunet_d1"),
    ],
)
def test_another_model_of_the_family(theirs: str, ours: str) -> None:
    state = {name: torch.empty(shape) for name, shape in layout(theirs).items()}
    with pytest.raises(CheckpointError, match=r"and \d+ more") as caught:
        convert_state_dict(state, _spec(ours))
    assert len(str(caught.value)) < 2000


@pytest.mark.parametrize(
    "name",
    [
        "network.head: 2.net.2.weight", "network.head:.net.9.weight", "network.stage: 1 layer2.conv.weight",
        "network.stage: 1 layer99999999999999999999.conv.weight", "network.tail:.net.3.weight", "network.x",
        "network.stage: 0 irb3.body.2.weight", "network.stage: 1 layer3.conv.weight\n", "network. layer7.net.2.weight",
    ],
)  # fmt: skip
def test_names_without_a_place(name: str) -> None:
    with pytest.raises(CheckpointError, match=re.escape(name)):
        convert_state_dict({**filled(TINY_LAYOUT), name: torch.zeros(1)}, TINY)


def test_is_nvidia() -> None:
    assert is_nvidia(TINY_LAYOUT)
    assert not is_nvidia(expected_shapes(TINY))


def test_faults() -> None:
    assert faults({"a": (1,)}, {"a": (1,)}) == ""
    assert faults({}, {str(index): () for index in range(8)}) == "8 missing (0, 1, 2, 3, 4, 5 and 2 more)"
    assert faults({"a": (2, 3)}, {"a": (3,)}, ["b"]) == "1 unexpected (b); 1 of another shape (a is 2 x 3, not 3)"
