"""Counted shapes, parameters and multiply-adds against the published table and against built networks."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from helpers.specs import specs
from hypothesis import given, settings
from torch import nn

from gpunet import GPUNet, NetworkSpec
from gpunet.zoo.catalog import entry_named

# Facts of the release: parameters from NVIDIA's checkpoints (10.59 M for D1, where the release's table says 10.60),
# multiply-adds of the convolutions and linear layers at the network's own resolution.
PUBLISHED = {
    "gpunet_0": (11_885_432, "11.89", "3.25"),
    "gpunet_1": (12_704_192, "12.70", "3.31"),
    "gpunet_2": (25_798_704, "25.80", "8.39"),
    "gpunet_p0": (22_815_080, "22.82", "1.87"),
    "gpunet_p1": (39_905_672, "39.91", "3.24"),
    "gpunet_d1": (10_589_859, "10.59", "4.29"),
    "gpunet_d2": (19_036_728, "19.04", "15.74"),
}


def multiply_adds_of(model: nn.Module, x: torch.Tensor) -> tuple[int, list[tuple[int, int]]]:
    """Multiply-adds by hooks on every convolution and linear layer, and the (channels, side) each block put out."""
    total = 0
    sides = []

    def count(module: nn.Module, _: object, out: torch.Tensor) -> None:
        nonlocal total
        per_output = module.weight[0].numel()
        total += per_output * out.numel()

    def note(_: nn.Module, __: object, out: torch.Tensor) -> None:
        sides.append((out.shape[1], out.shape[2]))

    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            module.register_forward_hook(count)
    for stage in model.blocks:
        for block in stage:
            block.register_forward_hook(note)
    with torch.inference_mode():
        model(x)
    return total, sides


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_seven_equal_the_published_counts(name: str) -> None:
    spec = entry_named(name).spec
    parameters, millions, billions = PUBLISHED[name]
    assert spec.count_parameters() == parameters
    assert f"{spec.count_parameters() / 1e6:.2f}" == millions
    assert f"{spec.count_multiply_adds() / 1e9:.2f}" == billions


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_seven_built_equal_the_published_counts(name: str) -> None:
    spec = entry_named(name).spec
    with torch.device("meta"):
        model = GPUNet(spec).eval()
        total, _ = multiply_adds_of(model, torch.empty(1, 3, spec.resolution_px, spec.resolution_px))
    assert sum(p.numel() for p in model.parameters()) == PUBLISHED[name][0]
    assert total == spec.count_multiply_adds()


@settings(max_examples=25, deadline=None)
@given(specs)
def test_counted_equals_built_for_any_spec(spec: NetworkSpec) -> None:
    with torch.device("meta"):
        model = GPUNet(spec, num_classes=7, in_chans=2).eval()
        total, sides = multiply_adds_of(model, torch.empty(1, 2, spec.resolution_px, spec.resolution_px))
    assert spec.count_parameters(in_channels=2, num_classes=7) == sum(p.numel() for p in model.parameters())
    assert spec.count_multiply_adds(in_channels=2, num_classes=7) == total
    shapes = spec.layer_shapes(in_channels=2, num_classes=7)
    assert [(s.out_channels, s.out_px) for s in shapes if s.name.startswith("stages")] == sides


def test_an_unpadded_strided_fused_irb_is_one_pixel_smaller() -> None:
    spec = entry_named("gpunet_0").spec
    first = next(s for s in spec.layer_shapes() if s.kind == "fused_irb")
    assert (first.in_px, first.out_px, first.padding) == (160, 79, 0)
    padded = dataclasses.replace(spec, stages=tuple(dataclasses.replace(s, pad_strided=True) for s in spec.stages))
    assert next(s for s in padded.layer_shapes() if s.kind == "fused_irb").out_px == 80


def test_another_resolution_changes_the_multiply_adds_alone() -> None:
    spec = entry_named("gpunet_p0").spec
    assert spec.count_multiply_adds(resolution_px=448) > 3.5 * spec.count_multiply_adds()
    assert math.isclose(spec.count_parameters(num_classes=0), spec.count_parameters() - 1985 * 1000)
