from __future__ import annotations

import copy
import logging

import numpy as np
import onnx
import pytest
import timm
import torch
from torch import nn

from gpunet.errors import ExportError, InvalidArgumentError
from gpunet.exporters.graph.trace import detached_copy, in_float64, quiet, trace
from gpunet.exporters.onnx import onnx_from_network
from gpunet.runtime.batch import BatchProfile

ONE = BatchProfile.parse(1)


class Refusing(nn.Module):
    """A classifier that refuses to be traced, and if so wanted to be exported by torch.export too."""

    def __init__(self, *, exported: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.exported = exported

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if torch.jit.is_tracing():
            raise RuntimeError("no tracing here\nand a second line")
        if torch.compiler.is_exporting() and not self.exported:
            raise RuntimeError("no exporting either")
        return self.conv(x).mean((2, 3))


def state_of(model):
    return {
        "training": {name: part.training for name, part in model.named_modules()},
        "gradients": {name: value.requires_grad for name, value in model.named_parameters()},
        "tensors": {name: value.clone() for name, value in model.state_dict().items()},
        "types": {name: value.dtype for name, value in model.state_dict().items()},
        "hooks": {name: list(part._forward_hooks) for name, part in model.named_modules()},
        "random": torch.get_rng_state(),
        "levels": {name: logging.getLogger(name).level for name in ("torch.onnx", "onnxscript", "onnx_ir")},
        "autograd": torch.is_grad_enabled(),
    }


def assert_unchanged(model, before):
    after = state_of(model)
    for name in before:
        if name in ("tensors", "random"):
            continue
        assert after[name] == before[name], name
    assert torch.equal(after["random"], before["random"])
    for name, value in before["tensors"].items():
        assert torch.equal(value, after["tensors"][name]), name


def test_the_copy_is_detached(model):
    model.half().train()
    model.set_grad_checkpointing()
    twin = detached_copy(model)
    assert not twin.training
    assert not twin.grad_checkpointing
    assert {value.dtype for value in twin.parameters()} == {torch.float32}
    assert not any(value.requires_grad for value in twin.parameters())
    assert model.training
    assert model.grad_checkpointing
    assert model.conv_stem.weight.dtype == torch.float16
    assert model.conv_stem.weight.requires_grad


@pytest.mark.slow
def test_a_compiled_model_is_unwrapped(model):
    assert type(detached_copy(torch.compile(model))).__name__ == "GPUNet"


@pytest.mark.parametrize("given", ["gpunet_1", None, lambda x: x])
def test_only_modules_are_taken(given):
    with pytest.raises(InvalidArgumentError, match=r"model must be an nn.Module, but got a") as caught:
        detached_copy(given)
    assert "gpunet.load(name)" in caught.value.hint


def test_weights_beyond_two_gigabytes_are_refused():
    huge = nn.Module()
    huge.weight = nn.Parameter(torch.zeros(1).expand(600_000_000), requires_grad=False)
    with pytest.raises(InvalidArgumentError, match=r"one ONNX file of 2 GiB, but are 2\.2 GiB in float32"):
        detached_copy(huge)


def test_models_that_cannot_be_copied_are_named(model):
    model.kept = model(torch.zeros(1, 3, 32, 32))  # as a hook would store it, with its gradient
    with pytest.raises(ExportError, match="the GPUNet cannot be copied, as exporting needs: ") as caught:
        detached_copy(model)
    assert "hooks" in caught.value.hint


def test_models_without_values_are_named():
    with pytest.raises(ExportError, match="the Conv2d cannot be copied"):
        detached_copy(nn.Conv2d(3, 4, 1, device="meta"))


def test_the_model_comes_back_unchanged(model):
    model.train()
    model.bn1.eval()  # frozen, as in fine-tuning
    model.conv_stem.weight.requires_grad_(False)
    seen = []
    model.blocks.register_forward_hook(lambda *arguments: seen.append(1))
    before = state_of(model)
    onnx_from_network(model)
    assert_unchanged(model, before)
    assert seen  # the hook belongs to the model: the copy has run it


def test_the_model_comes_back_unchanged_from_a_failure():
    network = nn.Sequential(nn.Conv2d(3, 4, 7), nn.BatchNorm2d(4)).train()
    before = state_of(network)
    with pytest.raises(InvalidArgumentError):
        onnx_from_network(network, input_px=4)
    assert_unchanged(network, before)


def test_settings_of_other_libraries_are_put_back():
    logger = logging.getLogger("onnxscript")
    logger.setLevel(logging.INFO)
    try:
        with quiet():
            assert not logger.isEnabledFor(logging.ERROR)
        with pytest.raises(ZeroDivisionError), quiet():
            raise ZeroDivisionError
        assert logger.level == logging.INFO
    finally:
        logger.setLevel(logging.NOTSET)


def test_names_and_a_symbolic_batch(model):
    traced = trace(detached_copy(model), (3, 32, 32), BatchProfile(1, 2, 4), 17)
    (source,), (result,) = traced.graph.input, traced.graph.output
    assert (source.name, result.name) == ("input", "logits")
    for value, rest in ((source, [3, 32, 32]), (result, [10])):
        first, *others = value.type.tensor_type.shape.dim
        assert first.dim_param == "batch"
        assert [each.dim_value for each in others] == rest
    assert [each.version for each in traced.opset_import] == [17]


def test_a_fixed_batch(model):
    traced = trace(detached_copy(model), (3, 32, 32), BatchProfile.parse(3), 17)
    assert [each.dim_value for each in traced.graph.input[0].type.tensor_type.shape.dim] == [3, 3, 32, 32]


@pytest.mark.parametrize("opset", [13, 15, 18, 20, 21, 22])
def test_opsets(model, opset, run):
    twin = detached_copy(model)
    traced = trace(twin, (3, 32, 32), ONE, opset)
    assert [each.version for each in traced.opset_import] == [opset]
    assert traced.ir_version >= onnx.helper.find_min_ir_version_for(traced.opset_import)
    images = np.random.default_rng(1).standard_normal((1, 3, 32, 32)).astype(np.float32)
    np.testing.assert_allclose(run(traced), in_float64(twin, images), rtol=1e-3, atol=1e-5)


def test_float64_is_what_the_network_computes(model):
    images = np.random.default_rng(0).standard_normal((2, 3, 32, 32)).astype(np.float32)
    with torch.inference_mode():
        expected = copy.deepcopy(model).double()(torch.from_numpy(images).double()).numpy()
    np.testing.assert_array_equal(in_float64(detached_copy(model), images), expected)


@pytest.mark.slow
@pytest.mark.parametrize("opset", [17, 20])
def test_both_exporters_compute_the_same(model, opset, run):
    traced, exported = (
        trace(detached_copy(model), (3, 32, 32), ONE, opset, exporter=name) for name in ("torchscript", "dynamo")
    )
    assert not any(node.metadata_props for node in exported.graph.node)  # they would hold paths of this machine
    np.testing.assert_allclose(run(exported), run(traced), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_the_second_exporter_takes_what_the_first_refuses(run):
    model = onnx_from_network(Refusing(), input_px=16, batch_size=(1, 2, 4), opset=18)
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    assert "Conv" in [node.op_type for node in model.graph.node]


@pytest.mark.slow
def test_a_model_that_both_refuse_names_both_reasons():
    with pytest.raises(
        ExportError, match="cannot export the Refusing at opset 17: torchscript: RuntimeError"
    ) as caught:
        onnx_from_network(Refusing(exported=False), input_px=16)
    assert "RuntimeError: no tracing here; dynamo: " in caught.value.message
    assert "no tracing here" in str(caught.value.__cause__)


class Unwritable(nn.Module):
    """Traced, but of no ONNX operator."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.special.bessel_j0(x).mean((2, 3))


def test_a_graph_that_cannot_be_written_is_not_printed(capfd):
    with pytest.raises(ExportError, match="torchscript: "):
        trace(detached_copy(Unwritable()), (3, 8, 8), ONE, 17, exporter="torchscript")
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("exporter", ["torchscript", pytest.param("dynamo", marks=pytest.mark.slow)])
def test_models_that_return_features_are_refused(exporter):
    features = timm.create_model("test_efficientnet", features_only=True)
    with pytest.raises(
        InvalidArgumentError, match=r"must return one tensor of logits, but the .*Features? returns a list"
    ) as caught:
        trace(detached_copy(features), (3, 64, 64), ONE, 17, exporter=exporter)
    assert "features_only" in caught.value.hint


def test_images_that_the_model_cannot_take_are_named():
    with pytest.raises(InvalidArgumentError, match="the model cannot run on images of 1 x 3 x 4 x 4: ") as caught:
        trace(detached_copy(nn.Conv2d(3, 4, 7)), (3, 4, 4), ONE, 17)
    assert "input_px" in caught.value.hint


class Folding(nn.Module):
    """Its fold has an ONNX operator from opset 18 on."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        columns = nn.functional.unfold(images, 3, padding=1)
        return nn.functional.fold(columns, images.shape[-2:], 3, padding=1).mean(dim=(2, 3))


def test_what_the_default_opset_lacks_is_said_with_the_one_that_has_it():
    with pytest.raises(ExportError) as caught:
        trace(Folding(), (3, 8, 8), BatchProfile.parse(1), 17)
    assert "--opset 18" in caught.value.hint
    assert "Col2Im" in {node.op_type for node in trace(Folding(), (3, 8, 8), BatchProfile.parse(1), 18).graph.node}
