from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import gpunet
from gpunet.errors import InvalidArgumentError
from gpunet.latency.layers.convolutional import CONV_KINDS, ConvLayerKey, keys_from_spec
from gpunet.latency.layers.keys import LayerKey, key_from_text

SEVEN = gpunet.list_models()


@pytest.mark.parametrize("name", SEVEN)
def test_the_work_of_the_keys_is_the_work_of_the_network(name: str):
    spec = _spec(name)
    work = [key.work() for key in keys_from_spec(spec)]
    assert sum(each.multiply_adds + each.depthwise_multiply_adds for each in work) == spec.count_multiply_adds()


def _spec(name: str) -> gpunet.NetworkSpec:
    from gpunet.zoo.catalog import entry_named

    spec = entry_named(name, None).spec
    assert spec is not None
    return spec


def test_a_network_is_its_run_its_layers_in_order_and_its_head():
    spec = _spec("gpunet_0")
    keys = keys_from_spec(spec)
    assert [key.kind for key in keys] == ["input", *["conv"] * 3, *["fused_irb"] * 5, *["irb"] * 5, "head"]
    assert [key.follows for key in keys] == [False, False, *[True] * 13]
    assert [before.output_shape for before in keys[:-1]] == [after.input_shape for after in keys[1:]]
    assert keys[-1].output_shape == (1000,)


def test_equal_layers_have_one_key():
    keys = keys_from_spec(_spec("gpunet_2"))
    assert len(keys) == 35
    assert len(set(keys)) == 15


def test_another_resolution_and_class_count_change_the_keys():
    spec = _spec("gpunet_0")
    smaller = keys_from_spec(spec, resolution_px=224, num_classes=10)
    assert smaller[0].input_shape == (3, 224, 224)
    assert smaller[-1].output_shape == (10,)


counts = st.integers(1, 9999)
conv_keys = st.builds(
    ConvLayerKey, st.sampled_from(CONV_KINDS), counts, counts, counts, counts, counts, counts, counts, counts,
    st.sampled_from(["relu", "swish", ""]), st.booleans(),
)  # fmt: skip


@given(conv_keys)
def test_a_text_gives_its_key_back(key: LayerKey):
    again = key_from_text(key.text)
    assert again == key
    assert again.text == key.text


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("lstm in_px=4", "there is no kind 'lstm'"),
        ("conv in_channels=3 in_px=8", "out_channels is missing"),
        ("conv in_channels=3 in_px=8 out_channels=4 width=3", "'width=3' is not a field"),
        ("conv in_channels=3 in_px=8 in_px=8 out_channels=4", "'in_px=8' is not a field"),
        ("conv in_channels=3 in_px=-8 out_channels=4", "'in_px=-8' is not an integer"),
        ("conv in_channels=3 in_px= out_channels=4", "'in_px=' is not an integer"),
        ("conv in_channels=3 in_px=³ out_channels=4", "'in_px=³' is not an integer"),
        ("conv in_channels=3 in_px=٣ out_channels=4", "'in_px=٣' is not an integer"),
        (
            "conv in_channels=3 in_px=8 out_channels=4 activation=zzz",
            "activation must be one of relu, swish, or '', but got 'zzz'",
        ),
        ("", "there is no kind ''"),
    ],
)
def test_what_is_no_keys_text_is_refused(text: str, fault: str):
    with pytest.raises(InvalidArgumentError, match=fault):
        key_from_text(text)


def test_a_key_of_no_kind_is_refused():
    with pytest.raises(InvalidArgumentError, match="kind must be one of input, conv, fused_irb, irb, head"):
        ConvLayerKey("lstm", 3, 8, 4)
