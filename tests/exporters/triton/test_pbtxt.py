"""Protobuf's text format: written, and read back by the definitions that a Triton client ships."""

from __future__ import annotations

import doctest

import pytest

from gpunet.errors import ExportError
from gpunet.exporters.triton import pbtxt
from gpunet.exporters.triton.pbtxt import Enum, config_text, parsed


def test_the_example_in_the_docstring():
    assert doctest.testmod(pbtxt).failed == 0


def test_every_kind_of_value_comes_back():
    config = {
        "name": 'a "quoted" \\ name, ünïcode',
        "max_batch_size": 8,
        "input": [
            {"name": "a", "data_type": Enum("TYPE_FP32"), "dims": [3, 224, 224]},
            {"name": "b", "data_type": Enum("TYPE_FP16"), "dims": [-1]},
        ],
        "instance_group": [{"count": 2, "kind": Enum("KIND_CPU")}],
        "optimization": {"cuda": {"graphs": True, "busy_wait_events": False}},
        "parameters": [{"key": "NUM_STREAMS", "value": {"string_value": "1"}}],
        "dynamic_batching": {},
    }
    message = parsed(config_text(config))
    assert message.name == config["name"]
    assert message.max_batch_size == 8
    assert [list(port.dims) for port in message.input] == [[3, 224, 224], [-1]]
    assert [port.data_type for port in message.input] == [11, 10]
    assert message.instance_group[0].count == 2
    assert message.optimization.cuda.graphs
    assert not message.optimization.cuda.busy_wait_events
    assert message.parameters["NUM_STREAMS"].string_value == "1"
    assert message.HasField("dynamic_batching")


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"max_batchsize": 8}, 'no field named "max_batchsize"'),
        ({"input": [{"data_type": Enum("TYPE_FLOAT")}]}, 'no value named "?TYPE_FLOAT'),
        ({"name": 7}, "1:7"),
    ],
)
def test_what_triton_would_refuse_is_refused(config, said):
    with pytest.raises(ExportError, match=f"Triton's definitions do not accept the configuration.*{said}"):
        parsed(config_text(config))
