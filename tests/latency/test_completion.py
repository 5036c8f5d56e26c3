from __future__ import annotations

import numpy as np
import pytest
from helpers.spaces import SMALL_SPACE
from helpers.tables import PAPER_KEYS as KEYS
from helpers.tables import law_ms

from gpunet.errors import InvalidArgumentError
from gpunet.latency.completion import FEWEST, complete_from
from gpunet.latency.layers.convolutional import ConvLayerKey
from gpunet.latency.layers.keys import LayerKey

MEASURED, HELD_OUT = KEYS[: len(KEYS) // 2], KEYS[len(KEYS) // 2 :]


@pytest.fixture(scope="module")
def noisy() -> dict[LayerKey, float]:
    draw = np.random.default_rng(1)
    found = {key: law_ms(key) * float(np.exp(0.02 * abs(draw.standard_normal()))) for key in MEASURED}
    for key in MEASURED[::50]:
        found[key] *= 1.5  # a bad moment
    return found


def test_layers_that_were_not_measured_are_predicted_as_well_as_the_error_says(noisy: dict[LayerKey, float]):
    completion = complete_from(noisy)
    errors = np.abs(completion.predict(HELD_OUT) / [law_ms(key) for key in HELD_OUT] - 1)
    assert errors.mean() < 0.04
    assert completion.error.median_percent == pytest.approx(100 * np.median(errors), abs=1.5)
    assert completion.error.layers == len(MEASURED)
    assert set(completion.by_kind) == {"input", "conv", "fused_irb", "irb", "head"}
    assert "held-out error" in str(completion)


def test_bad_moments_are_the_suspects(noisy: dict[LayerKey, float]):
    bad = set(MEASURED[::50])
    suspects = complete_from(noisy).suspects(25.0)
    assert len(bad & set(suspects)) >= 0.9 * len(bad)
    assert len(set(suspects) - bad) <= 0.3 * len(bad)
    assert set(suspects[:3]) <= bad


def test_the_trend_holds_outside_the_measured_resolutions():
    inside = {key: law_ms(key) for key in KEYS if key.input_shape[-1] <= 128}
    outside = [key for key in KEYS if key.input_shape[-1] > 128 and key.kind != "input"]
    errors = np.abs(complete_from(inside).predict(outside) / [law_ms(key) for key in outside] - 1)
    assert errors.mean() < 0.15


def test_a_kind_that_was_hardly_measured_is_still_predicted():
    few = {key: law_ms(key) for key in MEASURED if key.kind == "irb"}
    few[ConvLayerKey("head", 256, 7, 1000, hidden_channels=1792, activation="relu")] = 1.0
    assert complete_from(few).predict([key for key in HELD_OUT if key.kind == "fused_irb"]).min() > 0


def test_the_same_measurements_teach_the_same(noisy: dict[LayerKey, float]):
    assert (complete_from(noisy).predict(HELD_OUT) == complete_from(noisy).predict(HELD_OUT)).all()


def test_layers_outside_what_was_measured_are_told(noisy: dict[LayerKey, float]):
    completion = complete_from(noisy)
    huge = ConvLayerKey("conv", 24, 2048, 24, 3, 1, 1, activation="relu")
    other = ConvLayerKey("conv", 24, 112, 24, 3, 1, 1)  # none was measured without an activation but the run itself
    assert completion.outside([*MEASURED[:9], huge]) == [huge]
    assert complete_from({k: v for k, v in noisy.items() if k.kind == "irb"}).outside([other]) == [other]


def test_what_teaches_nothing_is_refused():
    with pytest.raises(InvalidArgumentError, match=f"needs {FEWEST} measured layers or more, but got 3"):
        complete_from(dict.fromkeys(KEYS[:3], 1.0))
    with pytest.raises(InvalidArgumentError, match="must be above 0 ms"):
        complete_from(dict.fromkeys(KEYS[:FEWEST], 0.0))


def test_a_small_space_is_completed_too():
    keys = SMALL_SPACE.lookup_plan(num_classes=10).keys()
    order = [keys[place] for place in np.random.default_rng(0).permutation(len(keys))]
    half = len(order) // 2
    completion = complete_from({key: law_ms(key) for key in order[:half]})
    errors = np.abs(completion.predict(order[half:]) / [law_ms(key) for key in order[half:]] - 1)
    assert np.median(errors) < 0.1
