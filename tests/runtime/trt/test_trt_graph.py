from __future__ import annotations

import hashlib
from pathlib import Path

import onnx
import pytest
from helpers.small_onnx import make_onnx
from onnx import TensorProto, helper

from gpunet.errors import InvalidArgumentError
from gpunet.runtime.trt.graph import Graph, fit_batch, read_graph


def _model(nodes: list[onnx.NodeProto], inputs: list[str], outputs: list[str], shape: list[int | str]) -> bytes:
    def ports(names: list[str]) -> list[onnx.ValueInfoProto]:
        return [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in names]

    graph = helper.make_graph(nodes, "g", ports(inputs), ports(outputs))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


def test_it_knows_ports_nodes_and_hash() -> None:
    source = make_onnx(precision="int8", batch="N")
    graph = read_graph(source)
    assert graph.data == source
    assert graph.sha256 == hashlib.sha256(source).hexdigest()
    assert graph.ports == ("input", "logits")
    assert graph.input_shape == (None, 3, 32, 32)
    assert graph.compute_nodes == graph.quantised_nodes == ("conv1", "conv2", "line")
    assert graph.constant_nodes == 3  # the weights' DequantizeLinear
    assert len(graph.data_nodes) == 13


def test_a_float_graph_has_no_quantised_nodes() -> None:
    assert read_graph(make_onnx()).quantised_nodes == ()


def test_nodes_get_names_of_their_own() -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["a"]),
        helper.make_node("Relu", ["a"], ["b"], name="same"),
        helper.make_node("Relu", ["b"], ["c"], name="same"),
        helper.make_node("Relu", ["c"], ["y"], name="layers[0]/relu"),
    ]
    source = _model(nodes, ["x"], ["y"], [1, 3, 4, 4])
    graph = read_graph(source)
    assert graph.data_nodes == ("Relu_0", "same", "Relu_2", "Relu_3")
    assert graph.sha256 == hashlib.sha256(source).hexdigest()
    assert [node.name for node in onnx.load_model_from_string(graph.data).graph.node] == list(graph.data_nodes)


@pytest.mark.parametrize("kind", ["input", "output"])
def test_two_ports_are_refused(kind: str) -> None:
    nodes = [helper.make_node("Add", ["x", "z"], ["y"]), helper.make_node("Relu", ["y"], ["w"])]
    source = _model(nodes, ["x", "z"], ["w"], [1, 3, 4, 4])
    if kind == "output":
        nodes[0] = helper.make_node("Relu", ["x"], ["y"])
        source = _model(nodes, ["x"], ["y", "w"], [1, 3, 4, 4])
    with pytest.raises(InvalidArgumentError, match=f"a network of one {kind}, but this one has 2"):
        read_graph(source)


def test_a_file_that_breaks_onnx_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "odd.onnx"
    path.write_bytes(_model([helper.make_node("Relu", ["nowhere"], ["y"])], ["x"], ["y"], [1, 3, 4, 4]))
    with pytest.raises(InvalidArgumentError, match=r"odd\.onnx is not a whole ONNX file: .*nowhere") as caught:
        read_graph(path)
    assert "gpunet.export" in caught.value.hint


def test_a_file_that_is_cut_short_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "cut.onnx"
    path.write_bytes(make_onnx()[:-50])
    with pytest.raises(
        InvalidArgumentError, match=r"cut\.onnx is not a whole ONNX file: \d+ bytes that cannot be decoded"
    ):
        read_graph(path)


@pytest.mark.parametrize(
    ("held", "asked", "fitted"),
    [(1, None, (1, 1, 1)), (8, 8, (8, 8, 8)), ("N", 4, (4, 4, 4)), ("N", (1, 8, 64), (1, 8, 64))],
)
def test_a_batch_that_fits(held: int | str, asked: int | None, fitted: tuple[int, int, int]) -> None:
    assert fit_batch(asked, read_graph(make_onnx(batch=held))) == fitted


@pytest.mark.parametrize(
    ("held", "asked", "message"),
    [
        (1, 8, "the ONNX file has a fixed batch of 1, but 8:8:8 was asked for"),
        (2, (1, 2, 4), "the ONNX file has a fixed batch of 2, but 1:2:4 was asked for"),
        ("N", None, "the ONNX file takes any batch, but none was asked for"),
        ("N", 0, "batch_size must be an integer of 1 or more, but got 0"),
        ("N", (8, 4, 64), "min <= opt <= max must hold for batch_size, but got 8, 4, 64"),
    ],
)
def test_a_batch_that_does_not_fit(held: int | str, asked: int | None, message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        fit_batch(asked, read_graph(make_onnx(batch=held)))


def test_only_the_batch_may_vary() -> None:
    graph = read_graph(_model([helper.make_node("Relu", ["x"], ["y"])], ["x"], ["y"], ["N", 3, "H", "W"]))
    assert isinstance(graph, Graph)
    with pytest.raises(InvalidArgumentError, match="fixed but for the batch, but 'x' is any x 3 x any x any"):
        fit_batch(1, graph)
