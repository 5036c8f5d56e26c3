"""What ONNX's inference tells of a graph's tensors: shapes and element types."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx

from gpunet.runtime.onnx_ports import fed_inputs

if TYPE_CHECKING:
    from onnx import ModelProto, TypeProto

Shapes = dict[str, tuple[int | None, ...]]


def infer_shapes(model: ModelProto) -> Shapes:
    """Shape of every tensor of the graph that ONNX can tell, weights included; None for a symbolic axis."""
    return {
        name: tuple(size.dim_value if size.HasField("dim_value") else None for size in kind.shape.dim)
        for name, kind in _inferred(model).items()
        if kind.HasField("shape")
    }


def element_types(model: ModelProto) -> dict[str, int]:
    """Element type of every tensor that ONNX can tell, weights included."""
    return {name: kind.elem_type for name, kind in _inferred(model).items()}


def _inferred(model: ModelProto) -> dict[str, TypeProto.Tensor]:
    """Type of every tensor by name; the inference sees the weights' types only, so that it copies no megabytes."""
    bare = onnx.ModelProto()
    bare.ir_version = model.ir_version
    bare.opset_import.extend(model.opset_import)
    graph, source = bare.graph, model.graph
    graph.name = source.name
    graph.node.extend(source.node)
    graph.input.extend(fed_inputs(model))
    graph.output.extend(source.output)
    weights = [onnx.helper.make_tensor_value_info(each.name, each.data_type, each.dims) for each in source.initializer]
    for tensor, value in zip(source.initializer, weights, strict=True):
        if tensor.data_type == onnx.TensorProto.INT64 or len(tensor.dims) == 0:  # axes, shapes: values matter
            graph.initializer.append(tensor)
        else:
            graph.input.append(value)
    inferred = onnx.shape_inference.infer_shapes(bare).graph
    values = (*weights, *inferred.input, *inferred.value_info, *inferred.output)
    return {value.name: value.type.tensor_type for value in values}
