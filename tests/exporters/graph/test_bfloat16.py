"""Weights in bfloat16: rounded as PyTorch rounds them, and nothing else of the graph changed."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from gpunet.errors import ExportError
from gpunet.exporters.graph.bfloat16 import bfloat16_from_float
from gpunet.exporters.graph.types import check_precision
from gpunet.runtime.onnx_precision import graph_precision


def _graph(weight: np.ndarray) -> onnx.ModelProto:
    node = helper.make_node("MatMul", ["x", "w"], ["y"], "layer")
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, side]) for name, side in
             (("x", weight.shape[0]), ("y", weight.shape[1]))]  # fmt: skip
    graph = helper.make_graph([node], "net", ports[:1], ports[1:], [numpy_helper.from_array(weight, "w")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_weights_are_rounded_as_pytorch_rounds_them() -> None:
    some = np.random.default_rng(0).standard_normal(4096).astype(np.float32)
    ties = (np.arange(0x3F800000, 0x3F900000, 0x8000, dtype=np.uint32)).view(np.float32)
    odd = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-40, 3.4e38, -3.3e38], np.float32)
    values = np.concatenate([some, ties, odd])
    made = bfloat16_from_float(_graph(values.reshape(-1, 1)))
    (tensor,) = made.graph.initializer
    assert (tensor.name, tensor.data_type) == ("w.bf16", TensorProto.BFLOAT16)
    found = torch.frombuffer(bytearray(tensor.raw_data), dtype=torch.bfloat16).float().numpy()
    np.testing.assert_array_equal(found, torch.from_numpy(values).bfloat16().float().numpy())


def test_a_graph_says_what_it_holds() -> None:
    graph = _graph(np.eye(4, dtype=np.float32))
    made = bfloat16_from_float(graph)
    assert [graph_precision(each.SerializeToString()) for each in (graph, made)] == ["fp32", "bf16"]
    for model, precision, said in (
        (graph, "bf16", r"the graph is not in bf16: MatMul layer"),
        (made, "fp32", r"the graph is not in fp32: Cast w"),
    ):
        with pytest.raises(ExportError, match=said):
            check_precision(model, precision)
