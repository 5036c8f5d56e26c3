"""Weights in bfloat16, each behind a cast to float32: half the size, for processors that compute in bfloat16.

What is computed in bfloat16 is the runtime's to say, and to be asked for: OpenVINO rounds what stands between layers as
it rounds weights. A runtime without bfloat16 computes the same weights in float32.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from gpunet.exporters.graph.types import check_precision, float_constants

if TYPE_CHECKING:
    from onnx import ModelProto


def bfloat16_from_float(model: ModelProto) -> ModelProto:
    """A copy of a float32 graph with its weights (constants of two axes and more) in bfloat16.

    Raises:
        ExportError: (a RuntimeError) a layer's weight is computed in the graph, and not its own constant.
    """
    made = onnx.ModelProto()
    made.CopyFrom(model)
    graph, kept = made.graph, float_constants(model)
    casts = []
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.FLOAT and len(tensor.dims) > 1 and tensor.name not in kept:
            casts.append(helper.make_node("Cast", [f"{tensor.name}.bf16"], [tensor.name], to=TensorProto.FLOAT))
            tensor.CopyFrom(_rounded(tensor, f"{tensor.name}.bf16"))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(made)
    check_precision(made, "bf16")
    return made


def _rounded(tensor: TensorProto, name: str) -> TensorProto:
    """To the nearest, of two as near to the even one; what is no number stays none."""
    values = np.ascontiguousarray(numpy_helper.to_array(tensor), "<f4")
    bits = values.view("<u4").astype(np.uint64)
    upper = (bits + 0x7FFF + (bits >> np.uint64(16) & np.uint64(1))) >> np.uint64(16)
    upper = np.where(np.isnan(values), 0x7FC0, upper).astype("<u2")
    return TensorProto(name=name, data_type=TensorProto.BFLOAT16, dims=tensor.dims, raw_data=upper.tobytes())
