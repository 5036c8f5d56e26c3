"""Whether ONNX Runtime computes a float16 graph in half here: where it has no such kernels it does so in float32."""

from __future__ import annotations

import functools
import importlib
import tempfile
from pathlib import Path

_TRIED = ("Conv", "MatMul")


@functools.cache
def computes_half() -> bool:
    """Whether convolutions and products of float16 have kernels on this processor.

    Asked of ONNX Runtime itself: what it makes of a graph of two layers, where it puts casts to float32 around what it
    cannot compute in half.
    """
    import numpy as np
    from onnx import TensorProto, helper, load, numpy_helper

    weights = [numpy_helper.from_array(np.ones(shape, np.float16), name)
               for name, shape in (("kernel", (8, 8, 1, 1)), ("matrix", (8, 8)))]  # fmt: skip
    nodes = [helper.make_node("Conv", ["x", "kernel"], ["map"]), helper.make_node("MatMul", ["map", "matrix"], ["y"])]
    entering, leaving = (helper.make_tensor_value_info(name, TensorProto.FLOAT16, [1, 8, 8, 8]) for name in ("x", "y"))
    graph = helper.make_graph(nodes, "half", [entering], [leaving], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    ort = importlib.import_module("onnxruntime")
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder, "made.onnx")
        options.optimized_model_filepath = str(made)
        ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        found = load(made).graph
    casts = {name for node in found.node if node.op_type == "Cast" for name in node.output}
    layers = [node for node in found.node if node.op_type in _TRIED]
    return not any(name in casts for node in layers for name in node.input)
