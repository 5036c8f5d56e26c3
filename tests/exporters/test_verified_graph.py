"""A graph at a precision, and what it was compared with."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gpunet.exporters.deployment import deploy
from gpunet.exporters.verified_graph import verified_graph
from gpunet.runtime.batch import BatchProfile
from gpunet.testing.networks import SIDE_PX, tiny_module

ONE = BatchProfile.parse(1)
PICTURES = np.random.default_rng(0).standard_normal((4, 3, SIDE_PX, SIDE_PX)).astype(np.float32)


class Network(nn.Module):
    """It counts its copies, and the batches that it runs on outside an export; `off` is added within one alone."""

    def __init__(self, off: float = 0.0) -> None:
        super().__init__()
        self.layers, self.off = tiny_module(), off
        self.pretrained_cfg = {"input_size": (3, SIDE_PX, SIDE_PX)}
        self.counts: dict[str, int] = {"copies": 0, "runs": 0}

    def forward(self, images: Tensor) -> Tensor:
        traced = torch.onnx.is_in_onnx_export()
        self.counts["runs"] += not traced
        logits: Tensor = self.layers(images)
        return logits + self.off if traced and self.off else logits

    def __deepcopy__(self, memo: Any) -> Network:
        self.counts["copies"] += 1
        copied = Network(self.off).eval()
        copied.counts = self.counts
        return copied


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_the_network_runs_once_on_each_image(precision: str) -> None:
    network = Network().eval()
    calibration = PICTURES if precision == "int8" else None
    made = verified_graph(network, precision=precision, batch=ONE, opset=17, images=PICTURES, calibration=calibration)
    assert made.verification.passed
    assert network.counts == {"copies": 2, "runs": len(made.images)}  # one copy is traced, one is run


def test_float64_is_another_copy_run_once_on_each_image() -> None:
    network = Network(off=1.0).eval()
    made = verified_graph(network, precision="fp32", batch=ONE, opset=17, images=PICTURES, keep=True)
    assert made.verification.reference_error is not None
    assert network.counts == {"copies": 3, "runs": 2 * len(made.images)}


def test_an_outlier_among_the_calibration_is_no_fault(tmp_path) -> None:
    """The network's mean is a tenth of what one picture of the calibration makes it, in the graph and in its IR."""
    pytest.importorskip("openvino", reason="the openvino extra is not installed")
    calibration = PICTURES.copy()
    calibration[3] *= 10
    made = deploy(
        Network().eval(), tmp_path / "net.xml", target="openvino", precision="int8", images=PICTURES[:3],
        calibration=calibration,
    )  # fmt: skip
    assert made.graph.passed
    assert made.verification.passed


def test_every_fault_that_was_found_is_said() -> None:
    """The float32 graph is another network's; and the images are beyond what was calibrated on."""
    made = verified_graph(
        Network(off=1.0).eval(), precision="int8", batch=ONE, opset=17, images=50 * PICTURES, calibration=PICTURES,
        keep=True,
    )  # fmt: skip
    first, *others = made.verification.reason.split("; ")
    assert first.startswith("the float32 graph that it was made of failed: ")
    assert any(each.startswith("input: it is shifted by") for each in others)
