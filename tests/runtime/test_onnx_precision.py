from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import helper

from gpunet.errors import InvalidArgumentError
from gpunet.runtime.onnx_precision import graph_precision, quantized_layers


def test_a_graph_says_what_its_layers_compute_in(
    network: onnx.ModelProto, half_network: onnx.ModelProto, int8_network: onnx.ModelProto, tmp_path: Path
) -> None:
    for precision, model in {"fp32": network, "fp16": half_network, "int8": int8_network}.items():
        assert graph_precision(model.SerializeToString()) == precision
        path = tmp_path / f"{precision}.onnx"
        onnx.save(model, str(path))
        assert graph_precision(path) == precision


def test_layers_between_qdq_nodes(network: onnx.ModelProto, int8_network: onnx.ModelProto) -> None:
    assert [node.op_type for node in quantized_layers(int8_network)] == ["Conv", "Gemm"]
    assert [*quantized_layers(network)] == []


def test_weights_alone_in_integers_are_no_int8(int8_network: onnx.ModelProto) -> None:
    model = onnx.ModelProto()
    model.CopyFrom(int8_network)
    for node in model.graph.node:
        if node.op_type in ("Conv", "Gemm"):
            node.input[0] = {"Conv": "in", "Gemm": "f"}[node.op_type]
    assert [*quantized_layers(model)] == []
    assert graph_precision(model.SerializeToString()) == "fp32"


def test_operators_on_integers_are_int8(network: onnx.ModelProto) -> None:
    model = onnx.ModelProto()
    model.CopyFrom(network)
    model.graph.node.append(helper.make_node("MatMulInteger", ["a", "b"], ["c"]))
    assert graph_precision(model.SerializeToString()) == "int8"


def test_half_a_file_is_refused(network: onnx.ModelProto, tmp_path: Path) -> None:
    data = network.SerializeToString()[:-40]
    (tmp_path / "half.onnx").write_bytes(data)
    with pytest.raises(InvalidArgumentError, match=r"half\.onnx is not a whole ONNX file: .*\nWrite it anew"):
        graph_precision(tmp_path / "half.onnx")
    with pytest.raises(InvalidArgumentError, match="the network is not a whole ONNX file"):
        graph_precision(data)
