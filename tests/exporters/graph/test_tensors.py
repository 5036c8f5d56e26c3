from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper

from gpunet.exporters.graph.tensors import element_types, infer_shapes


def test_shapes_are_inferred_without_the_weights_values(graph):
    flat = graph.add("Reshape", graph.conv("x", 12, 5), graph.weight(values=np.array([2, -1])))
    graph.add("Relu", flat, to="y")
    model = graph.model()
    shapes = infer_shapes(model)
    assert shapes["x"] == (2, 12, 9, 9)
    assert shapes["t0"] == (2, 5, 9, 9)
    assert shapes[flat] == shapes["y"] == (2, 405)
    assert shapes["w0"] == (5, 12, 3, 3)


def test_a_symbolic_axis_has_no_size(graph):
    graph.shape = ("batch", 12, 9, 9)
    graph.add("Relu", "x", to="y")
    assert infer_shapes(graph.model())["y"] == (None, 12, 9, 9)


def test_types_are_inferred_with_those_of_weights_whose_values_matter(graph):
    axes = graph.weight(values=np.array([2, -1]))
    flat = graph.add("Reshape", graph.conv("x", 12, 5), axes)
    graph.nodes.append(helper.make_node("Cast", [flat], ["half"], to=TensorProto.FLOAT16))
    graph.add("Relu", "half", to="y")
    types = element_types(graph.model())
    assert types["x"] == types["w1"] == types["t0"] == TensorProto.FLOAT
    assert types["half"] == TensorProto.FLOAT16
    assert types[axes] == TensorProto.INT64
