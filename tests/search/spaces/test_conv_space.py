from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from helpers.spaces import SMALL_SPACE, conv_spaces, drawn
from helpers.training import losses_of_training
from hypothesis import given, settings
from hypothesis import strategies as st

from gpunet.errors import InvalidArgumentError, SpecError
from gpunet.search.spaces.conv_space import ConvSpace
from gpunet.search.spaces.space import space_from_dict
from gpunet.search.spaces.stage_choices import StageChoices
from gpunet.search.spaces.vit_space import VitSpec
from gpunet.testing.spaces import check_vectors


@settings(deadline=None, max_examples=100)
@given(conv_spaces(), st.integers(0, 2**32), st.sampled_from([10, 1000]))
def test_vectors_specs_keys_and_plan_agree_in_any_space(space: ConvSpace, seed: int, num_classes: int):
    check_vectors(space, 8, seed, num_classes)


@settings(deadline=None, max_examples=50)
@given(conv_spaces(), st.integers(0, 2**32))
def test_canonical_vectors_are_equal_where_networks_are(space: ConvSpace, seed: int):
    vectors = drawn(space, 8, seed)
    canonical = space.canonical(vectors)
    for vector, other in zip(vectors, canonical, strict=True):
        spec, same = space.decode(vector), space.decode(other)
        assert [stage for stage in spec.stages if stage.layers] == [stage for stage in same.stages if stage.layers]
        # Whatever an empty stage's other digits are, the vector is the same.
        for number, stage in enumerate(spec.stages):
            if not stage.layers:
                changed = vector.copy()
                for column, digit in enumerate(space.digits):
                    if digit.name.startswith(f"stages[{number}].") and not digit.name.endswith("layers"):
                        changed[column] = len(digit.values) - 1
                assert np.array_equal(space.canonical([changed])[0], other)


@settings(deadline=None, max_examples=50)
@given(conv_spaces())
def test_json_gives_the_space_back(space: ConvSpace):
    assert space_from_dict(json.loads(json.dumps(space.to_dict()))) == space


def test_a_network_of_the_space_trains():
    vector = SMALL_SPACE.lattice().draw(1, np.random.default_rng(0))[0]
    torch.manual_seed(0)
    model = SMALL_SPACE.build(vector, num_classes=10, drop_rate=0.1)
    assert model.spec == SMALL_SPACE.decode(vector)
    losses = losses_of_training(model, model.spec.resolution_px, learning_rate=1e-2)
    assert losses[-1] < losses[0]


def _changed(**changes: object) -> ConvSpace:
    return dataclasses.replace(SMALL_SPACE, **changes)


def _stage(**changes: object) -> ConvSpace:
    body = {"expansions": (2,), "squeeze_excitations": (False,), **changes}
    kind = body.pop("type", "irb")
    return _changed(
        stages=(SMALL_SPACE.stages[0], StageChoices(kind, body.pop("stride", 1), body.pop("filters", (8,)), **body))
    )


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: _changed(resolutions_px=(32, 28)), "^resolutions_px: choices must rise, but are 32, 28"),
        (lambda: _changed(resolutions_px=(4, 28)), "^resolution_px: 4 is out of range"),
        (lambda: _changed(resolutions_px=(28, 5000)), "^resolution_px: 5000 is out of range"),
        (lambda: _changed(stem_filters=(0, 8)), "^stem.filters: 0 is out of range"),
        (lambda: _changed(stem_activation="gelu"), "^stem.activation: 'gelu' is not one of"),
        (lambda: _changed(head_filters=0), "^head.filters: 0 is out of range"),
        (lambda: _changed(hidden_divisor=0), "^hidden_divisor: 0 is out of range"),
        (lambda: _changed(stages=()), "^stages: every stage may be empty"),
        (lambda: _changed(stages=SMALL_SPACE.stages[1:2]), "^stages: .* a network has a layer"),
        (lambda: _changed(stages=("irb",)), r"^stages: \('irb',\) is not a list of StageChoices"),
        (lambda: _stage(type="mlp"), r"^stages\[1\].type: 'mlp' is not one of conv"),
        (lambda: _stage(stride=3), r"^stages\[1\].stride: 3 is out of range"),
        (lambda: _stage(filters=(16, 8)), r"^stages\[1\].filters: choices must rise, but are 16, 8"),
        (lambda: _stage(kernel_sizes=(3, 4)), r"^stages\[1\].kernel_size: 4 is even; kernels are odd"),
        (lambda: _stage(layers=()), r"^stages\[1\].layers: \(\) is not a list of one or more"),
        (lambda: _stage(layers=(0, 1), stride=2), r"^stages\[1\].layers: 0 is allowed only for an irb"),
        (lambda: _stage(activations=("relu", "gelu")), r"^stages\[1\].activation: 'gelu' is not one of"),
        (lambda: _stage(expansions=()), r"^stages\[1\].expansions: \(\) is not a list"),
        (lambda: _stage(squeeze_excitations=(0, 1)), r"^stages\[1\].squeeze_excitation: 0 is not true or false"),
        (lambda: _stage(type="conv"), r"^stages\[1\].expansions: a conv stage has neither"),
        (
            lambda: _changed(
                pad_strided=False, resolutions_px=(8,),
                stages=(StageChoices("fused_irb", 2, (8,), (3, 5), expansions=(2,), squeeze_excitations=(False,)),),
            ),
            r"^stages\[0\]\[0\]: its input of 4 px is too small for a 5 x 5 kernel",
        ),
    ],
)  # fmt: skip
def test_a_space_that_breaks_a_rule_is_refused_with_its_path(make, text: str):
    with pytest.raises(SpecError, match=text):
        make()


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"space": "vit"}, "^space: 'vit' is not 'conv'"),
        ({"space_version": 2}, "^space_version: 2 is not 1"),
        ({"width": 3}, "^width: unknown key"),
        ({"stages": [{"type": "irb", "stride": 1}]}, r"^stages\[0\].filters: missing"),
        (
            {"stages": [{"type": "irb", "stride": 1, "filters": [8], "kernels": [3]}]},
            r"^stages\[0\].kernels: unknown key",
        ),
        ({"stages": 3}, "^stages: 3 is not a list"),
    ],
)
def test_a_dict_that_is_no_space_is_refused(change: dict[str, object], text: str):
    with pytest.raises(SpecError, match=text):
        ConvSpace.from_dict({**SMALL_SPACE.to_dict(), **change})
    with pytest.raises(SpecError, match=r"^space: 3 is not an object"):
        ConvSpace.from_dict(3)


def test_what_the_space_cannot_express_is_named_fault_by_fault():
    vector = np.zeros(len(SMALL_SPACE.digits), int)
    spec = SMALL_SPACE.decode(vector)
    stages = (
        dataclasses.replace(spec.stages[0], filters=12),
        dataclasses.replace(spec.stages[1], filters=20, kernel_size=7),
        dataclasses.replace(spec.stages[2], pad_strided=False, stride=2),
        dataclasses.replace(spec.stages[3], type="fused_irb", layers=1, expansion=3),
    )
    other = dataclasses.replace(
        spec, resolution_px=64, stages=stages, batch_norm_eps=1e-5,
        stem=dataclasses.replace(spec.stem, kernel_size=5),
        head=dataclasses.replace(spec.head, hidden_features=9),
    )  # fmt: skip
    with pytest.raises(SpecError) as raised:
        SMALL_SPACE.encode(other)
    assert raised.value.message.splitlines() == [
        "stem.kernel_size: 5 is not 3",
        "head.hidden_features: 9 is not None",
        "batch_norm_eps: 1e-05 is not 0.001",
        "stages[0].filters: 12 is not 8",
        "stages[2].pad_strided: False is not True",
        "stages[3].type: 'fused_irb' is not 'irb'",
        "resolution_px: 64 is not one of 28, 32, 40",
        "stages[1].filters: 20 is not one of 8, 16",
        "stages[1].kernel_size: 7 is not one of 3, 5",
        "stages[3].expansion: 3 is not one of 2, 4",
    ]


def test_a_bad_vector_is_refused_with_its_digit():
    vector = np.zeros((2, len(SMALL_SPACE.digits)), int)
    vector[1, 5] = 7
    assert SMALL_SPACE.contains(vector).tolist() == [True, False]
    with pytest.raises(
        InvalidArgumentError, match=r"digit 5 \(stages\[1\].filters\): 7 is not a choice index from 0 to 1"
    ):
        SMALL_SPACE.decode(vector[1])
    with pytest.raises(InvalidArgumentError, match=r"vectors\[1\]: digit 5 \(stages\[1\].filters\)"):
        SMALL_SPACE.canonical(vector)


def test_of_stages_that_a_network_lacks_only_their_number_is_a_fault():
    spec = SMALL_SPACE.decode([0] * len(SMALL_SPACE.digits))
    with pytest.raises(SpecError) as raised:
        SMALL_SPACE.encode(dataclasses.replace(spec, stages=spec.stages[:1]))
    assert raised.value.message == "stages: 1 is not 4"
    with pytest.raises(SpecError) as raised:
        SMALL_SPACE.encode(dataclasses.replace(spec, stages=(*spec.stages, spec.stages[-1])))
    assert raised.value.message == "stages: 5 is not 4"


@pytest.mark.parametrize("other", [VitSpec(48, 8, 48, 2, 3, 4), {"width": 24}, "gpunet_0", None])
def test_what_is_no_network_spec_is_refused(other: object):
    with pytest.raises(
        SpecError, match=rf"^architecture: .* is of type {type(other).__name__}, not NetworkSpec\n.*NetworkSpec.parse"
    ):
        SMALL_SPACE.encode(other)
