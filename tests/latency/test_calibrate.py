from __future__ import annotations

import numpy as np
import pytest
from helpers.spaces import SMALL_SPACE

from gpunet.errors import InvalidArgumentError
from gpunet.latency.calibrate import FEWEST, NONE, calibrate, group_of
from gpunet.latency.layers.convolutional import ConvLayerKey
from gpunet.latency.layers.keys import LayerKey

DRAW = np.random.default_rng(0)
NETWORKS = [SMALL_SPACE.keys(vector, num_classes=10) for vector in SMALL_SPACE.lattice().draw(60, DRAW)]


def raw_ms(key: LayerKey) -> float:
    work = key.work()
    return 0.01 + (work.multiply_adds + 5 * work.depthwise_multiply_adds) / 1e6


TRUE = {"irb": 1.3, "irb+se": 0.8, "fused_irb": 0.9, "conv": 1.1, "ends": 1.0}


def truth(keys: list[LayerKey], noise: float = 0.0) -> float:
    exact = sum(raw_ms(key) * TRUE[group_of(key)] for key in keys)
    return exact * (1 + noise * DRAW.standard_normal())


def test_factors_of_groups_are_found():
    found = calibrate([(keys, truth(keys)) for keys in NETWORKS[:30]], raw_ms)
    errors = [sum(raw_ms(k) * found.factor(k) for k in keys) / truth(keys) - 1 for keys in NETWORKS[30:]]
    assert np.abs(errors).max() < 0.02
    assert found.networks == 30
    assert found.error_percent is not None
    assert found.error_percent < 2
    assert found.corrects
    assert str(found).startswith("calibrated on 30 networks, which it estimates within")


def test_noise_is_answered_by_one_common_factor():
    noisy = [(keys, 1.25 * sum(map(raw_ms, keys)) * (1 + 0.1 * DRAW.standard_normal())) for keys in NETWORKS[:6]]
    found = calibrate(noisy, raw_ms)
    assert all(1.0 < factor < 1.5 for factor in found.factors.values())
    assert 1.1 < found.common < 1.4


def test_a_group_that_no_network_had_gets_the_common_factor():
    found = calibrate([(keys, 2 * sum(map(raw_ms, keys))) for keys in NETWORKS[:10]], raw_ms)
    other = ConvLayerKey("conv", 8, 8, 8)
    assert found.factor(other) == pytest.approx(2.0, rel=0.01)
    assert calibrate([([other], 1.0)] * FEWEST, lambda key: 0.5).factor(NETWORKS[0][-1]) == pytest.approx(2.0)


def test_what_is_right_already_is_not_corrected():
    draw = np.random.default_rng(5)
    networks = [(keys, sum(map(raw_ms, keys)) * (1 + 0.02 * draw.standard_normal())) for keys in NETWORKS[:12]]
    found = calibrate(networks, raw_ms)
    assert found.factors == {}
    assert not found.corrects
    assert str(found) == "not calibrated: it did not help on 12 networks"
    assert found.networks == 12
    assert found.error_percent == pytest.approx(1.6, abs=1)


def test_too_few_networks_are_no_calibration():
    assert calibrate([(keys, 1.0) for keys in NETWORKS[: FEWEST - 1]], raw_ms) is NONE
    assert NONE.factor(NETWORKS[0][0]) == 1.0
    assert "fewer than four networks" in str(NONE)


def test_a_latency_of_nothing_is_refused():
    with pytest.raises(InvalidArgumentError, match="must be above 0 ms"):
        calibrate([(keys, 0.0) for keys in NETWORKS[:5]], raw_ms)


def test_json_holds_what_was_fitted():
    found = calibrate([(keys, truth(keys)) for keys in NETWORKS[:10]], raw_ms).to_dict()
    assert set(found) == {"factors", "common", "networks", "error_percent"}
    assert set(found["factors"]) <= set(TRUE)
