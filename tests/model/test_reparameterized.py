"""Networks with branches that fuse: what is exported and measured is fused, and equals what was trained."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest
import timm
import torch
from torch import nn

import gpunet
from gpunet.exporters.deployment import deploy
from gpunet.exporters.metadata import weights_sha256
from gpunet.model.reparameterized import reparameterized
from gpunet.runtime.sidecar import read_sidecar

SIDE_PX = 64


def network(name: str) -> nn.Module:
    torch.manual_seed(0)
    return timm.create_model(name, num_classes=10, pretrained_cfg_overlay={"input_size": (3, SIDE_PX, SIDE_PX)}).eval()


@pytest.mark.parametrize(
    "name",
    [
        "repvgg_a0",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("mobileone_s1", "repvit_m0_9", "fastvit_t8")),
    ],
)
def test_the_fused_network_computes_what_the_branches_did(name: str) -> None:
    whole = network(name)
    tensors = len(whole.state_dict())
    fused, changed = reparameterized(whole)
    assert changed
    assert len(fused.state_dict()) < tensors == len(whole.state_dict())
    images = torch.randn(1, 3, SIDE_PX, SIDE_PX)
    with torch.inference_mode():
        expected, found = whole(images), fused(images)
    assert (found - expected).abs().max() < 1e-3 * expected.abs().max()


def test_other_networks_are_left_as_they_are() -> None:
    for whole in (timm.create_model("test_resnet").eval(), gpunet.load("gpunet_p0", pretrained=False)):
        assert reparameterized(whole) == (whole, False)


def test_the_artefact_is_fused_and_compared_with_the_branches(tmp_path: Path) -> None:
    whole = network("repvgg_a0")
    report = deploy(whole, tmp_path / "a.onnx")
    assert report.verification.outcome == "verified"
    graph = onnx.load(tmp_path / "a.onnx")
    assert {each.op_type for each in graph.graph.node} == {"Conv", "Relu", "GlobalAveragePool", "Flatten", "Gemm"}
    assert {each.key: each.value for each in graph.metadata_props}["gpunet.reparameterized"] == "true"
    side = read_sidecar(tmp_path / "a.onnx")
    assert side.reparameterized
    assert side.weights_sha256 == weights_sha256(whole)  # of the branches: they are what was trained
    assert "pytorch" in report.verification.reference


@pytest.mark.parametrize("runtime", ["pytorch", "onnxruntime"])
def test_the_fused_network_is_measured_and_the_figure_says_so(runtime: str) -> None:
    how = {"runtime": runtime, "threads": 1, "min_repeats": 1, "min_time_s": 0, "warmup_s": 0}
    measured = gpunet.benchmark(network("repvgg_a0"), **how)  # type: ignore[arg-type]
    assert measured.conditions["reparameterized"] is True
    assert json.loads(measured.to_json())["conditions"]["reparameterized"] is True
    plain = gpunet.benchmark(timm.create_model("test_resnet"), **how)  # type: ignore[arg-type]
    assert "reparameterized" not in plain.conditions
