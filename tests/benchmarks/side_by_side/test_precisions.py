from __future__ import annotations

import numpy as np
import pytest
import torch
from side_by_side import precisions

from gpunet.runtime.timing import Measurement


def block(fp32_ms: float, int8_ms: float) -> dict[str, Measurement]:
    return {
        kind: Measurement(p25, p25, p25, p25, p25, p25, 0.0, 9, 3)
        for kind, p25 in (("fp32", fp32_ms), ("int8", int8_ms))
    }


def test_ratios_above_one_say_that_int8_is_faster():
    facts = {
        "openvino int8": {"verification": {"outcome": "failed"}},
        "onnxruntime int8": {"verification": {"outcome": "verified"}},
    }
    result = precisions.result_of("net", "openvino", [block(30, 10), block(40, 20), block(25, 10)], facts)
    assert result["ratios"] == {"int8": pytest.approx(2.5)}
    assert result["uncertainties"] == {"int8": pytest.approx((2.75 - 2.25) / 2)}
    assert result["p25_ms"] == {"fp32": 25, "int8": 10}
    assert result["failed"] == ["int8"]
    assert precisions.result_of("net", "onnxruntime", [block(3, 1)], facts)["failed"] == []


def test_statistics_are_those_of_the_images():
    """After settling, what BatchNorm puts out has the mean and the spread that its own weights ask for."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    images = 5 + 3 * np.random.default_rng(0).standard_normal((8, 3, 16, 16)).astype(np.float32)
    precisions.settle(network, images)
    assert not network.training
    out = network(torch.from_numpy(images)).detach()
    assert out.mean((0, 2, 3)).numpy() == pytest.approx(0, abs=0.01)
    assert out.std((0, 2, 3)).numpy() == pytest.approx(1, abs=0.01)
