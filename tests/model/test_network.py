"""GPUNet: timm's model interface, every quirk of the release, initialisation."""

from __future__ import annotations

import copy
import math
import pickle

import pytest
import timm
import torch
from helpers.specs import SMALL
from PIL import Image
from torch import nn

import gpunet.registry  # noqa: F401  (registers the models with timm)
from gpunet import GPUNet, NetworkSpec
from gpunet.errors import InvalidArgumentError
from gpunet.zoo.catalog import entry_named

HIDDEN = {**SMALL, "head": {"filters": 32, "hidden_features": 48}}
BOTH = pytest.mark.parametrize("data", [SMALL, HIDDEN], ids=["plain", "hidden"])


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def build(data: dict, **kwargs: object) -> GPUNet:
    torch.manual_seed(0)
    return GPUNet(data, **kwargs).eval()


@BOTH
def test_forward_is_features_then_head(data, images) -> None:
    model = build(data, num_classes=5)
    features = model.forward_features(images)
    assert features.shape == (2, model.num_features, 8, 8)
    assert model.forward_head(features, pre_logits=True).shape == (2, model.head_hidden_size)
    torch.testing.assert_close(model.forward_head(features), model(images))
    assert model(images).shape == (2, 5)


@BOTH
def test_reset_classifier(data, images) -> None:
    model = build(data)
    before = model.forward_features(images)
    model.reset_classifier(3)
    assert model.get_classifier().out_features == model.num_classes == 3
    assert model(images).shape == (2, 3)
    torch.testing.assert_close(model.forward_features(images), before)
    model.reset_classifier(4, "catavgmax")
    assert model(images).shape == (2, 4)
    model.reset_classifier(0)
    assert isinstance(model.get_classifier(), nn.Identity)
    assert model(images).shape == (2, model.head_hidden_size)
    model.reset_classifier(0, "")
    assert model(images).shape == (2, model.head_hidden_size, 8, 8) if data is HIDDEN else (2, 32, 8, 8)


def test_reset_classifier_keeps_type_and_mode() -> None:
    model = build(SMALL).double().train()
    model.reset_classifier(3)
    assert model.classifier.weight.dtype == torch.float64
    assert model.classifier.training
    model.eval().reset_classifier(4)
    assert not model.classifier.training


@pytest.mark.parametrize("pool", ["avg", "max", "avgmax", "catavgmax"])
@BOTH
def test_global_pool(data, pool, images) -> None:
    model = build(data, num_classes=3, global_pool=pool)
    assert model(images).shape == (2, 3)
    assert model.num_features == 32


def test_no_classes_and_other_channels(images) -> None:
    assert build(SMALL, num_classes=0)(images).shape == (2, 32)
    assert build(SMALL, in_chans=1)(images[:, :1]).shape == (2, 1000)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"in_chans": 0}, "in_chans must be an integer of 1 or more, but got 0"),
        ({"num_classes": -1}, "num_classes must be an integer of 0 or more, but got -1"),
        ({"drop_rate": 1.0}, "0 <= drop_rate < 1 must hold, but got 1.0"),
        ({"drop_path_rate": -0.1}, "0 <= drop_path_rate < 1 must hold, but got -0.1"),
        ({"global_pool": "mean"}, "global_pool must be 'avg', 'max', 'avgmax', 'catavgmax' or '', but got 'mean'"),
        ({"global_pool": ""}, "global_pool='' leaves no vector to classify, but num_classes is 1000"),
    ],
)
def test_bad_arguments(kwargs, message) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        GPUNet(SMALL, **kwargs)
    assert message in str(caught.value)


def test_feature_info_names_the_end_of_each_level(images) -> None:
    model = build(SMALL)
    assert [info["reduction"] for info in model.feature_info] == [2, 4, 8]
    assert [info["num_chs"] for info in model.feature_info] == [8, 16, 24]
    final, maps = model.forward_intermediates(images)
    assert [tuple(m.shape[1:]) for m in maps] == [(8, 32, 32), (16, 16, 16), (24, 8, 8)]
    torch.testing.assert_close(final, model.forward_features(images))
    for info, feature in zip(model.feature_info, maps, strict=True):
        got = {}
        handle = model.get_submodule(info["module"]).register_forward_hook(lambda m, i, o, got=got: got.update(out=o))
        model(images)
        handle.remove()
        torch.testing.assert_close(got["out"], feature)


def test_forward_intermediates_selects_and_stops_early(images) -> None:
    model = build(SMALL)
    everything = model.forward_intermediates(images, intermediates_only=True)
    last_two = model.forward_intermediates(images, indices=2, intermediates_only=True)
    chosen = model.forward_intermediates(images, indices=[0, -1], intermediates_only=True)
    early, maps = model.forward_intermediates(images, indices=[1], stop_early=True)
    torch.testing.assert_close(last_two, everything[1:])
    torch.testing.assert_close(chosen, [everything[0], everything[2]])
    torch.testing.assert_close(early, maps[0])
    torch.testing.assert_close(maps[0], everything[1])


def test_forward_intermediates_refuses(images) -> None:
    model = build(SMALL)
    with pytest.raises(InvalidArgumentError, match="output_fmt must be 'NCHW', but got 'NLC'"):
        model.forward_intermediates(images, output_fmt="NLC")
    with pytest.raises(InvalidArgumentError, match="indices must name some of the 3 feature levels, but got 4"):
        model.forward_intermediates(images, indices=4)


@pytest.mark.parametrize("name", ["gpunet_1", "gpunet_p0", "gpunet_d2"])
def test_features_only_through_timm(name) -> None:
    with torch.device("meta"):
        model = timm.create_model(name, features_only=True)
        maps = model(torch.empty(1, 3, 256, 256))
    assert model.feature_info.channels() == [m.shape[1] for m in maps]
    strides = [2, 4, 8, 16, 32, 64] if name == "gpunet_p0" else [2, 4, 8, 16, 32]
    assert model.feature_info.reduction() == strides


def test_features_only_out_indices_prunes() -> None:
    whole = timm.create_model("gpunet", spec=SMALL)
    model = timm.create_model("gpunet", spec=SMALL, features_only=True, out_indices=(0, 1))
    assert [m.shape[1] for m in model(torch.randn(1, 3, 64, 64))] == [8, 16]
    assert sum(p.numel() for p in model.parameters()) < sum(p.numel() for p in whole.parameters()) / 2


def test_prune_intermediate_layers_keeps_the_levels(images) -> None:
    model = build(SMALL)
    before = model.forward_intermediates(images, indices=[0, 1], intermediates_only=True)
    assert model.prune_intermediate_layers([0, 1]) == [0, 1]
    after = model.forward_intermediates(images, indices=[0, 1], intermediates_only=True)
    torch.testing.assert_close(after, before)
    assert model(images).shape[1] == 16


def test_grad_checkpointing_changes_nothing_but_memory(images) -> None:
    model = build(SMALL, num_classes=3)
    model(images).sum().backward()
    plain = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    model.set_grad_checkpointing(True)
    model(images).sum().backward()
    torch.testing.assert_close([p.grad for p in model.parameters()], plain)
    torch.testing.assert_close(model.forward_intermediates(images)[0], model.forward_features(images))


@pytest.mark.parametrize("coarse", [False, True])
def test_group_matcher_orders_every_parameter_by_depth(coarse) -> None:
    model = build(HIDDEN)
    groups = timm.models.group_parameters(model, model.group_matcher(coarse))
    names = [name for group in groups.values() for name in group]
    assert sorted(names) == sorted(name for name, _ in model.named_parameters())
    assert len(groups) == (5 if coarse else 6)  # stem, stages or layers (the last with the head), classifier


def test_drop_path_grows_linearly_with_depth() -> None:
    spec = NetworkSpec.from_dict({**SMALL, "stages": [{"type": "irb", "filters": 8, "layers": 5}]})
    model = GPUNet(spec, drop_path_rate=0.2)
    rates = [getattr(block.drop_path, "drop_prob", 0.0) for block in model.blocks[0]]
    assert rates == pytest.approx([0.0, 0.05, 0.1, 0.15, 0.2])


def test_drop_path_over_the_items_of_a_description_counts_image_stem_and_head() -> None:
    spec = NetworkSpec.from_dict({**SMALL, "stages": [{"type": "irb", "filters": 8, "layers": 5}]})
    model = GPUNet(spec)
    model.set_drop_rates(0.0, 0.7, "items")
    assert [block.drop_path.drop_prob for block in model.blocks[0]] == pytest.approx([0.2, 0.3, 0.4, 0.5, 0.6])
    with pytest.raises(InvalidArgumentError, match="over must be one of layers, items, but got 'blocks'"):
        model.set_drop_rates(0.0, 0.7, "blocks")


def test_torchs_initialisation_is_that_of_its_modules() -> None:
    model = GPUNet(SMALL)
    torch.manual_seed(3)
    model.initialize("torch")
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d):
            bound = 1 / math.sqrt(module.weight[0].numel())
            assert 0.8 * bound < module.weight.abs().max() <= bound * (1 + 1e-6)
    model.initialize("timm")
    assert model.classifier.bias.abs().max() == 0
    with pytest.raises(InvalidArgumentError, match="how must be one of timm, torch, but got 'zeros'"):
        model.initialize("zeros")


def test_dropout_only_in_training(images) -> None:
    model = build(SMALL, drop_rate=0.9)
    torch.testing.assert_close(model(images), model(images))
    assert not torch.equal(model.train()(images), model(images))


def test_initialisation_is_that_of_timms_efficientnets() -> None:
    torch.manual_seed(1)
    model = GPUNet(entry_named("gpunet_p0").spec)
    conv = model.blocks[3][0].conv_pw.weight
    assert conv.std().item() == pytest.approx(math.sqrt(2 / conv.shape[0]), rel=0.02)
    depthwise = model.blocks[8][0].conv_dw.weight
    assert depthwise.std().item() == pytest.approx(math.sqrt(2 / 25), rel=0.05)
    assert model.classifier.weight.abs().max().item() == pytest.approx(1 / math.sqrt(1000), rel=0.01)
    assert not model.classifier.bias.any()


def test_quirks_of_the_release() -> None:
    models = {name: timm.create_model(name) for name in ("gpunet_0", "gpunet_p0", "gpunet_d1")}
    plain, p0, d1 = models.values()
    assert plain.blocks[1][0].conv_exp.padding == (0, 0)
    assert plain.blocks[1][1].conv_exp.padding == (1, 1)
    assert p0.feature_info[-1]["reduction"] == 64
    assert all(m.dilation == (1, 1) for m in p0.modules() if isinstance(m, nn.Conv2d))
    assert isinstance(plain.bn1.act, nn.SiLU)
    assert isinstance(p0.bn1.act, nn.ReLU)
    assert isinstance(d1.bn1.act, nn.ReLU)
    assert {m.eps for m in plain.modules() if isinstance(m, nn.BatchNorm2d)} == {1e-3}
    assert {m.eps for m in d1.modules() if isinstance(m, nn.BatchNorm2d)} == {1e-5}
    assert d1.blocks[1][0].conv_pw.out_channels == 99
    assert d1.blocks[0][0].conv_pw.out_channels == 33
    assert plain.blocks[4][1].se.fc1.out_channels == 176
    assert d1.conv_hidden.weight.shape == (1984, 1152, 1, 1)
    assert not any(m.bias is not None for n, m in d1.named_modules() if isinstance(m, nn.Conv2d))


def test_copies_and_pickles(images) -> None:
    model = timm.create_model("gpunet_0", num_classes=2)
    assert copy.deepcopy(model).entry == model.entry
    again = pickle.loads(pickle.dumps(build(SMALL)))
    torch.testing.assert_close(again(images), build(SMALL)(images))


def test_transforms_use_the_networks_own_preprocessing() -> None:
    model = timm.create_model("gpunet_p0")
    picture = Image.new("RGB", (500, 300), (120, 60, 30))
    assert model.transforms()(picture).shape == (3, 224, 224)
    assert model.transforms(training=True)(picture).shape == (3, 224, 224)
    assert "Resize(size=256" in repr(model.transforms())


def test_transforms_of_a_network_built_directly_use_its_specs_resolution() -> None:
    picture = Image.new("RGB", (100, 80))
    assert build(SMALL).transforms()(picture).shape == (3, 64, 64)
