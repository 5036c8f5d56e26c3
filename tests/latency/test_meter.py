"""The meter on the real runtimes, with small layers."""

from __future__ import annotations

import pytest

from gpunet import HeadSpec, NetworkSpec, StageSpec, StemSpec
from gpunet import runtime as runtimes
from gpunet.errors import InvalidArgumentError, RuntimeUnavailableError
from gpunet.latency.layers.convolutional import ConvLayerKey, keys_from_spec
from gpunet.latency.meter import LayerMeter, MeterSettings
from gpunet.latency.records import LEAST_MS, TableConditions
from gpunet.runtime.onnxruntime.arithmetic import computes_half

QUICK = MeterSettings(min_repeats=3, min_time_s=0.0, agreeing=2, within_percent=20.0, max_time_s=0.05)
KEY = ConvLayerKey("irb", 16, 28, 24, 5, 2, 2, hidden_channels=64, reduced_channels=4, activation="swish")
SPEC = NetworkSpec(
    32, StemSpec(8), (StageSpec("fused_irb", 16, 2, 3, 2, 2), StageSpec("irb", 24, 2, 3, 2, 3)), HeadSpec(32)
)


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("key", [KEY, *dict.fromkeys(keys_from_spec(SPEC, num_classes=10))], ids=lambda key: key.text)
def test_a_layer_is_worth_what_its_graph_takes_more_than_its_borders(runtime: str, key: ConvLayerKey):
    meter = LayerMeter(runtimes.get(runtime), threads=1, settings=QUICK)
    found = meter.layer(key, lone=True)
    assert found.latency_ms == max(LEAST_MS, found.context_ms - found.border_ms)
    assert (found.border_ms == 0) == (key.kind == "input")
    assert found.lone_ms is not None
    assert found.lone_ms > 0
    assert found.repeats >= 3
    assert found.spread_percent >= 0
    assert meter.layer(key).lone_ms is None


def test_a_larger_layer_takes_longer():
    meter = LayerMeter(runtimes.get("onnxruntime"), threads=1, settings=QUICK)
    small = ConvLayerKey("conv", 16, 32, 16, 3, 1, 1, activation="relu")
    large = ConvLayerKey("conv", 64, 64, 64, 3, 1, 1, activation="relu")  # 64 times the multiply-adds
    assert meter.layer(large).latency_ms > 10 * meter.layer(small).latency_ms


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("batch_size", [1, 2])
def test_layers_are_measured_in_int8_too(runtime: str, batch_size: int):
    meter = LayerMeter(runtimes.get(runtime), threads=1, precision="int8", batch_size=batch_size, settings=QUICK)
    assert meter.conditions.fingerprint.precision == "int8"
    for key in (KEY, keys_from_spec(SPEC)[0], keys_from_spec(SPEC)[-1]):
        assert meter.layer(key, lone=True).latency_ms > 0


def test_effort_multiplies_repeats_and_a_layer_of_microseconds_gets_many():
    settings = MeterSettings()
    assert settings.times(1.0) == settings
    assert (settings.times(4.0).min_repeats, settings.times(4.0).min_time_s) == (20, 4 * settings.min_time_s)
    assert settings.times(0.1).min_repeats == settings.agreeing
    meter = LayerMeter(runtimes.get("onnxruntime"), threads=1)
    assert meter.layer(ConvLayerKey("conv", 4, 4, 4)).repeats > settings.min_repeats


def test_networks_are_measured_whole_in_turn():
    meter = LayerMeter(runtimes.get("onnxruntime"), threads=1, settings=QUICK)
    keys = keys_from_spec(SPEC, num_classes=10)
    found = meter.networks([keys, keys_from_spec(SPEC, resolution_px=96)], rounds=4)
    assert all(each.repeats >= 4 for each in found)
    assert 0 < found[0].latency_ms <= found[0].median_ms
    assert found[0].latency_ms < found[1].latency_ms
    assert all(each.beside_ms is not None and each.beside_ms > 0 for each in found)


def test_conditions_say_what_was_measured_how_and_survive_json():
    meter = LayerMeter(runtimes.get("onnxruntime"), threads=1, batch_size=2, clock="cpu")
    found = meter.conditions
    assert (found.fingerprint.runtime, found.fingerprint.threads, found.batch_size) == ("onnxruntime", 1, 2)
    assert found.fingerprint.runtime_version == runtimes.get("onnxruntime").version()
    assert TableConditions.from_dict(found.to_dict()) == found


def test_the_processor_clock_is_for_one_thread():
    ort = runtimes.get("onnxruntime")
    assert LayerMeter(ort, threads=1, clock="cpu", settings=QUICK).layer(KEY).latency_ms > 0
    with pytest.raises(InvalidArgumentError, match=r"counts the time of all threads together, but there are 2"):
        LayerMeter(ort, threads=2, clock="cpu")
    with pytest.raises(InvalidArgumentError, match="clock must be one of wall, cpu"):
        LayerMeter(ort, clock="sun")


def test_what_cannot_be_measured_is_refused():
    with pytest.raises(InvalidArgumentError, match="batch_size must be an integer of 1 or more"):
        LayerMeter(runtimes.get("onnxruntime"), batch_size=0)
    with pytest.raises(InvalidArgumentError, match="threads must be an integer of 1 or more"):
        LayerMeter(runtimes.get("onnxruntime"), threads=0)
    with pytest.raises(RuntimeUnavailableError, match="cannot run at fp16"):
        LayerMeter(runtimes.get("pytorch"), precision="fp16")
    if not computes_half():
        with pytest.raises(RuntimeUnavailableError, match="computes in fp32 on this processor, not in fp16"):
            LayerMeter(runtimes.get("onnxruntime"), precision="fp16")
    with pytest.raises(InvalidArgumentError, match=r"nn\.Module"):
        LayerMeter(runtimes.get("pytorch"))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"agreeing": 0}, "1 <= agreeing <= min_repeats"),
        ({"agreeing": 6}, "1 <= agreeing <= min_repeats"),
        ({"max_time_s": 0}, "max_time_s above 0"),
        ({"within_percent": -1}, "within_percent and min_time_s must be 0 or more"),
    ],
)
def test_settings_are_checked(settings: dict[str, float], said: str):
    with pytest.raises(InvalidArgumentError, match=said):
        MeterSettings(**settings)  # type: ignore[arg-type]
