"""Networks become the kernels that TensorRT would start, whether they come as a module or as an ONNX file."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from gpunet.errors import InvalidArgumentError
from gpunet.latency.gpu.kernels import KERNEL_KINDS, KernelTable
from gpunet.latency.gpu.networks import kernels_of_module, kernels_of_onnx, kernels_of_spec
from gpunet.zoo.catalog import catalog


class Residual(nn.Module):
    """Convolution, BatchNorm, ReLU; a second whose sum with the input ends in a ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.second = nn.Conv2d(8, 8, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        made = torch.relu(self.norm(self.first(x)))
        return torch.relu(self.second(made) + x)


class Excited(nn.Module):
    """A depthwise convolution with a swish, squeezed and excited, and a grouped one."""

    def __init__(self) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(8, 8, 5, padding=2, stride=2, groups=8)
        self.squeeze, self.grouped = nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 3, padding=1, groups=2)

    def forward(self, x: Tensor) -> Tensor:
        made = functional.silu(self.depthwise(x))
        gate = torch.sigmoid(self.squeeze(made.mean((2, 3), keepdim=True)))
        return self.grouped(made * gate)


class Attentive(nn.Module):
    """Patches, one attention, a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.linear = nn.Conv2d(8, 16, 4, stride=4), nn.Linear(16, 16)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        return self.linear(functional.scaled_dot_product_attention(tokens, tokens, tokens))


def counts(table: KernelTable) -> dict[str, int]:
    return {kind: int(table.count[table.of_kind(kind)].sum()) for kind in KERNEL_KINDS if table.of_kind(kind).any()}


def traced(module: type[nn.Module]) -> KernelTable:
    return kernels_of_module(module, (8, 16, 16))


def test_batchnorm_activation_and_residual_belong_to_the_convolution():
    table = traced(Residual)
    assert counts(table) == {"conv": 2}
    assert table.added.sum() == 8 * 16 * 16
    assert set(table.multiply_adds) == {8 * 8 * 9 * 16 * 16}


def test_a_swish_and_an_excitation_are_kernels_of_their_own():
    table = traced(Excited)
    assert counts(table) == {
        "conv": 1, "grouped": 1, "depthwise": 1, "swish": 1, "reduce": 1, "pointwise": 1
    }  # fmt: skip
    depthwise, grouped = table.of_kind("depthwise"), table.of_kind("grouped")
    assert table.multiply_adds[depthwise] == 8 * 25 * 8 * 8
    assert (table.groups[grouped], table.columns[grouped], table.depth[grouped]) == (2, 4, 36)


def test_attention_multiplies_activations_of_each_image():
    table = traced(Attentive)
    assert {"attention": 2, "norm": 1, "linear": 1, "conv": 1}.items() <= counts(table).items()
    attention = table.of_kind("attention")
    assert table.multiply_adds[attention].tolist() == [16 * 16 * 16] * int(attention.sum())


@pytest.mark.parametrize("module", [Residual, Excited])
@pytest.mark.parametrize("batch_size", [1, 3])
def test_an_export_has_the_kernels_of_its_module(module: type[nn.Module], batch_size: int, tmp_path):
    path = tmp_path / "network.onnx"
    with torch.no_grad():
        torch.onnx.export(module().eval(), (torch.zeros(batch_size, 8, 16, 16),), str(path), verbose=False)
    assert sorted(kernels_of_onnx(path).matrix().tolist()) == sorted(traced(module).matrix().tolist())


def test_a_gpunet_has_the_multiply_adds_of_its_spec():
    entry = catalog()["gpunet_0"]
    assert entry.spec is not None
    table = kernels_of_spec(entry.spec)
    assert (table.multiply_adds * table.count).sum() == pytest.approx(entry.multiply_adds, rel=1e-3)


def test_tracing_leaves_the_models_that_follow_alone():
    traced(Residual)
    assert torch.zeros(1).device.type == "cpu"


def test_a_network_that_does_not_take_the_input_is_an_error():
    with pytest.raises(InvalidArgumentError, match="cannot be traced at an input of 3x16x16"):
        kernels_of_module(Residual, (3, 16, 16))


@pytest.mark.parametrize(("shape", "said"), [((1, 8), "one input, of images"), ((1, 8, None, 4), "must be fixed")])
def test_a_graph_without_a_fixed_image_is_an_error(shape: tuple[int | None, ...], said: str):
    from onnx import TensorProto, helper

    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [value],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)])  # fmt: skip
    with pytest.raises(InvalidArgumentError, match=said):
        kernels_of_onnx(helper.make_model(graph))
