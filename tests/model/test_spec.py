"""NetworkSpec: construction, faults with their paths, JSON both ways."""

from __future__ import annotations

import dataclasses
import json

import pytest
from helpers.specs import SMALL, specs
from hypothesis import given

from gpunet import HeadSpec, NetworkSpec, StageSpec, StemSpec
from gpunet.errors import SpecError


def changed(path: str, value: object) -> dict:
    """SMALL with the value at a path such as 'stages.1.filters' replaced."""
    data = json.loads(json.dumps(SMALL))
    *parents, last = path.split(".")
    place = data
    for key in parents:
        place = place[int(key) if key.isdigit() else key]
    place[int(last) if last.isdigit() else last] = value
    return data


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("stages.2.kernel_size", 4, "stages[2].kernel_size: 4 is even; kernels are odd"),
        ("stages.2.kernel_size", 33, "stages[2].kernel_size: 33 is out of range"),
        ("stages.2.kernel_size", 3.0, "stages[2].kernel_size: 3.0 is not an integer"),
        ("stem.kernel_size", 2, "stem.kernel_size: 2 is even; kernels are odd"),
        ("stages.1.filters", 0, "stages[1].filters: 0 is out of range; channels are integers from 1"),
        ("stem.filters", 0, "stem.filters: 0 is out of range"),
        ("head.filters", 0, "head.filters: 0 is out of range"),
        ("head.hidden_features", 0, "head.hidden_features: 0 is out of range"),
        ("stages.1.stride", 3, "stages[1].stride: 3 is out of range; strides are 1 or 2"),
        ("stages.1.stride", True, "stages[1].stride: True is not an integer"),
        ("stages.1.layers", 0, "stages[1].layers: 0 is allowed only for an irb stage of stride 1"),
        ("stages.2.layers", 0, "stages[2].layers: 0 is allowed only for an irb stage of stride 1"),
        ("stages.0.layers", 0, "stages[0].layers: 0 is allowed only for an irb stage of stride 1"),
        ("stages.2.layers", -1, "stages[2].layers: -1 is out of range"),
        ("stages.2.expansion", 0, "stages[2].expansion: 0 is out of range"),
        ("stages.2.expansion", float("nan"), "stages[2].expansion: nan is not a finite number"),
        ("stages.2.expansion", "4", "stages[2].expansion: '4' is not a finite number"),
        ("stages.0.expansion", 2, "stages[0].expansion: a conv stage has neither expansion nor squeeze-excitation"),
        ("stages.0.squeeze_excitation", True, "stages[0].squeeze_excitation: a conv stage has neither"),
        ("stages.2.squeeze_excitation", 1, "stages[2].squeeze_excitation: 1 is not true or false"),
        ("stages.2.activation", "gelu", "stages[2].activation: 'gelu' is not one of relu, swish"),
        ("stem.activation", "gelu", "stem.activation: 'gelu' is not one of relu, swish"),
        ("stages.2.type", "mbconv", "stages[2].type: 'mbconv' is not one of conv, fused_irb, irb"),
        ("stages.2.pad_strided", False, "stages[2].pad_strided: only a fused_irb stage of stride 2"),
        ("stages.2.colour", 1, "stages[2].colour: unknown key"),
        ("stages.2", {"type": "irb"}, "stages[2].filters: missing"),
        ("stages.2", 7, "stages[2]: 7 is not an object"),
        ("stages", {}, "stages: {} is not a list of stages"),
        ("stages", [], "stages: no stage has a layer"),
        ("stem", None, "stem: None is not an object"),
        ("resolution_px", 4, "resolution_px: 4 is out of range"),
        ("resolution_px", "224", "resolution_px: '224' is not an integer"),
        ("hidden_divisor", 0, "hidden_divisor: 0 is out of range"),
        ("batch_norm_eps", 0, "batch_norm_eps: 0 is out of range"),
        ("width", 1, "width: unknown key"),
        ("spec_version", 2, "spec_version: 2 is not 1"),
    ],
)
def test_a_fault_is_refused_with_its_path(path: str, value: object, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        NetworkSpec.from_dict(changed(path, value))
    assert str(caught.value).startswith(message)


def test_a_fault_is_a_value_error_and_checked_at_construction() -> None:
    spec = NetworkSpec.from_dict(SMALL)
    with pytest.raises(ValueError, match=r"stages\[0\].kernel_size: 4 is even"):
        dataclasses.replace(spec, stages=(StageSpec("conv", 8, kernel_size=4),))
    with pytest.raises(ValueError, match="head: None is not a HeadSpec"):
        dataclasses.replace(spec, head=None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"stages\[0\]: 3 is not a StageSpec"):
        dataclasses.replace(spec, stages=(3,))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="stages: 'x' is not a list of stages"):
        dataclasses.replace(spec, stages="x")  # type: ignore[arg-type]


def test_a_network_too_deep_for_its_resolution_is_refused() -> None:
    stages = tuple(StageSpec("fused_irb", 8, kernel_size=7, stride=2, pad_strided=False) for _ in range(4))
    with pytest.raises(SpecError, match=r"stages\[\d\]\[0\]: its input of \d px is too small for a 7 x 7 kernel"):
        NetworkSpec(32, StemSpec(8), stages, HeadSpec(8))


def test_missing_top_level_key() -> None:
    with pytest.raises(SpecError, match=r"^head: missing"):
        NetworkSpec.from_dict({key: value for key, value in SMALL.items() if key != "head"})


def test_parse_takes_a_spec_a_dict_a_text_and_a_path(tmp_path) -> None:
    spec = NetworkSpec.from_dict(SMALL)
    path = tmp_path / "network.json"
    path.write_text(spec.to_json(indent=2))
    assert NetworkSpec.parse(spec) is spec
    assert NetworkSpec.parse(SMALL) == NetworkSpec.parse(spec.to_json()) == spec
    assert NetworkSpec.parse(path) == NetworkSpec.parse(str(path)) == spec


def test_parse_refuses_what_holds_no_spec(tmp_path) -> None:
    with pytest.raises(SpecError, match=r"neither a spec, a dict, JSON text nor a path"):
        NetworkSpec.parse(3)  # type: ignore[arg-type]
    with pytest.raises(SpecError, match=r"spec: cannot read .*nothing.json"):
        NetworkSpec.parse(tmp_path / "nothing.json")
    with pytest.raises(SpecError, match="spec: not JSON"):
        NetworkSpec.from_json("{")
    with pytest.raises(SpecError, match="spec: 3 is not an object"):
        NetworkSpec.from_json("3")


@given(specs)
def test_json_both_ways_gives_the_same_spec_and_hash(spec: NetworkSpec) -> None:
    again = NetworkSpec.from_json(spec.to_json())
    assert again == spec
    assert again.sha256 == spec.sha256


def test_the_hash_changes_with_any_field() -> None:
    spec = NetworkSpec.from_dict(SMALL)
    values = {"resolution_px": 65, "hidden_divisor": 1, "batch_norm_eps": 1e-5, "stem": StemSpec(9)}
    others = [dataclasses.replace(spec, **{name: value}) for name, value in values.items()]
    assert len({spec.sha256, *(other.sha256 for other in others)}) == 5


@pytest.mark.parametrize(
    ("in_channels", "expansion", "divisor", "hidden"),
    [(33, 3, 1, 99), (96, 7.67, 8, 736), (704, 5.73, 8, 4032), (3, 1, 8, 8), (10, 1.9, 8, 24), (67, 6, 1, 402)],
)
def test_hidden_width_is_rounded_as_the_release_does(in_channels, expansion, divisor, hidden) -> None:
    spec = dataclasses.replace(NetworkSpec.from_dict(SMALL), hidden_divisor=divisor)
    assert spec.hidden_channels(in_channels, expansion) == hidden
    assert hidden >= 0.9 * in_channels * expansion
