"""A table of the V100 from layer records: the kernels are the graph's, the seven come out near, the marks are there."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpunet.errors import InvalidArgumentError, TableError
from gpunet.latency.gpu.kernels import KernelTable
from gpunet.latency.gpu.networks import kernels_of_onnx
from gpunet.latency.gpu.table_from_records import PROCESSOR, conditions, fill, kernels_of_key, layer_ms, margin_factor
from gpunet.latency.layers.convolutional import ConvLayerKey, keys_from_spec
from gpunet.latency.layers.graphs import lone_graph
from gpunet.latency.layers.transformer import TransformerLayerKey
from gpunet.latency.records import TableConditions
from gpunet.latency.table import LatencyTable
from gpunet.latency.worth import MARGIN, worth_of
from gpunet.zoo.catalog import catalog

KEYS = [
    ConvLayerKey("conv", 3, 32, 24, 3, 2, 1, activation="swish"),
    ConvLayerKey("fused_irb", 24, 16, 24, 3, 1, 1, 96, 8, "relu", True),
    ConvLayerKey("irb", 24, 16, 40, 5, 2, 2, 144, 6, "swish"),
    ConvLayerKey("irb", 24, 16, 24, 3, 1, 1, 144, 0, "relu", True),
    ConvLayerKey("head", 40, 8, 10, hidden_channels=64, activation="relu"),
]


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.text)
def test_kernels_of_a_key_are_those_of_its_graph(key: ConvLayerKey):
    graph = kernels_of_onnx(lone_graph(key, batch_size=2))
    assert sorted(KernelTable.of(kernels_of_key(key)).matrix().tolist()) == sorted(graph.matrix().tolist())


def test_the_seven_are_the_sum_of_their_layers():
    measured_ms = {"gpunet_0": 0.63, "gpunet_1": 0.82, "gpunet_2": 1.68, "gpunet_p0": 0.63, "gpunet_p1": 0.96,
                   "gpunet_d1": 1.24, "gpunet_d2": 2.17}  # fmt: skip
    for name, ms in measured_ms.items():
        spec = catalog()[name].spec
        assert spec is not None
        assert layer_ms(keys_from_spec(spec)).sum() == pytest.approx(ms, rel=0.22)


def test_a_table_says_that_nobody_measured_it_and_takes_nothing_measured(tmp_path: Path):
    path = tmp_path / "gv100.sqlite"
    assert fill(path, KEYS) == len(KEYS)
    assert fill(path, KEYS) == 0
    with LatencyTable(path) as table:
        assert table.conditions.fingerprint.processor == PROCESSOR
        assert "estimated" in table.conditions.method
        assert not table.check()
        worth = worth_of(table)
    assert worth.margin_factor == margin_factor()
    assert str(worth).startswith("holds estimates, none measured: a network's holds within a factor of 1.")
    assert worth.error_percent is None
    low_ms, high_ms = 1.0, 1.0 + 0.9 * (margin_factor() - 1.0)
    with pytest.raises(InvalidArgumentError, match="either way, 4 times in 5: chance would decide"):
        worth.check_tier(low_ms, high_ms)
    worth.check_tier(low_ms, 1.1 * margin_factor())
    with LatencyTable(path, conditions()) as table:  # open for writing
        for damaged in ("much", "nan", "0.5"):
            table.note(MARGIN, damaged)
            with pytest.raises(TableError, match="its margin is no factor of 1 or more"):
                worth_of(table)
    measured = TableConditions(conditions().fingerprint)
    with pytest.raises(TableError, match="other conditions"):
        LatencyTable(path, measured)


def test_other_layers_and_batches_are_refused():
    with pytest.raises(InvalidArgumentError, match="is of another kind than the layer records"):
        kernels_of_key(TransformerLayerKey("transformer_block", 192, 197, heads=3, hidden_width=768))
    with pytest.raises(InvalidArgumentError, match="batches of 1 to 128"):
        conditions(256)
