"""What types a graph computes in, tensor by tensor: the proof that it is in the precision asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import onnx
from onnx import TensorProto

from gpunet.core.arguments import checked_choice
from gpunet.errors import ExportError
from gpunet.exporters.graph.tensors import element_types

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

_QDQ = ("QuantizeLinear", "DequantizeLinear")
_WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")
OWN_DOMAINS = ("", "ai.onnx")


def check_precision(
    model: ModelProto, precision: str, *, io_fp16: bool = False, left_float: Sequence[str] = ()
) -> None:
    """Raise unless a graph computes in the precision named.

    Args:
        model: the graph.
        precision: 'fp32': no float16, no Q/DQ nodes. 'fp16': float32 in the casts at the graph's inputs and outputs
            only. 'bf16': weights of convolutions and linear layers in bfloat16, all else as for 'fp32'. 'int8': every
            convolution and linear layer reads 8-bit integers on both sides.
        io_fp16: for 'fp16': not even there.
        left_float: for 'int8': names of layers that may compute in float.

    Raises:
        ExportError: (a RuntimeError) it does not; the message names the nodes.
        InvalidArgumentError: (a ValueError) no such precision.
    """
    checks: dict[str, Callable[[], list[str]]] = {
        "fp32": lambda: _not_float(model),
        "fp16": lambda: _not_half(model, io_fp16),
        "bf16": lambda: _not_bfloat16(model),
        "int8": lambda: [name for name in _not_quantized(model) if name not in set(left_float)],
    }
    checked_choice("precision", precision, checks)
    wrong = checks[precision]()
    if wrong:
        shown = ", ".join(wrong[:5]) + (f" and {len(wrong) - 5} more" if len(wrong) > 5 else "")
        raise ExportError(f"the graph is not in {precision}: {shown}.")


def opset_of(model: ModelProto) -> int:
    """The version of ONNX's own operators that a model is written in."""
    return int(next((opset.version for opset in model.opset_import if opset.domain in OWN_DOMAINS), 0))


def float_inputs(node: NodeProto, opset: int) -> Iterator[str]:
    """The inputs of a node whose type ONNX fixes to float32, such as the scales of Resize."""
    if node.domain not in OWN_DOMAINS:
        return
    schema = onnx.defs.get_schema(node.op_type, opset, "")
    for index, name in enumerate(node.input):
        formal = schema.inputs[min(index, len(schema.inputs) - 1)]
        if name and "tensor(float)" in formal.types and "tensor(float16)" not in formal.types:
            yield name


def float_constants(model: ModelProto) -> set[str]:
    """Names of the tensors that are read where ONNX fixes the type to float32."""
    opset = opset_of(model)
    return {name for node in model.graph.node for name in float_inputs(node, opset)}


def _label(node: NodeProto) -> str:
    return f"{node.op_type} {node.name or node.output[0]}"


def _not_float(model: ModelProto, low: Sequence[int] = (TensorProto.FLOAT16, TensorProto.BFLOAT16)) -> list[str]:
    types = element_types(model)
    return [
        _label(node)
        for node in model.graph.node
        if node.op_type in _QDQ or any(types.get(name) in low for name in (*node.input, *node.output))
    ]


def _not_bfloat16(model: ModelProto) -> list[str]:
    makers = {name: node for node in model.graph.node for name in node.output}
    kinds = {tensor.name: tensor.data_type for tensor in model.graph.initializer}

    def kind(name: str) -> int | None:
        """Of the constant that a tensor is made of; None for what is no constant's."""
        node = makers.get(name)
        return kinds.get(name) if node is None else kind(node.input[0]) if len(node.input) == 1 else None

    layers = [node for node in model.graph.node if node.op_type in _WEIGHTED]
    wide = [_label(node) for node in layers if any(kind(name) == TensorProto.FLOAT for name in node.input[:2])]
    found = _not_float(model, (TensorProto.FLOAT16,)) + wide
    return found if found or TensorProto.BFLOAT16 in kinds.values() else ["it holds no bfloat16 at all"]


def _not_half(model: ModelProto, io_fp16: bool) -> list[str]:
    types, graph = element_types(model), model.graph
    border = set() if io_fp16 else {value.name for value in (*graph.input, *graph.output)}
    constant = {tensor.name for tensor in graph.initializer}
    constant |= {node.output[0] for node in graph.node if node.op_type == "Constant"}
    kept = float_constants(model) & constant
    found = []
    for node in graph.node:
        names = [name for name in (*node.input, *node.output) if name and name not in kept]
        loose = [name for name in names if types.get(name, TensorProto.FLOAT) == TensorProto.FLOAT]
        at_border = node.op_type == "Cast" and set(loose) <= border
        if loose and not at_border:
            found.append(_label(node))
    if not any(types.get(name) == TensorProto.FLOAT16 for node in graph.node for name in node.output):
        found = found or ["it holds no float16 at all"]
    return found


def _not_quantized(model: ModelProto) -> list[str]:
    """Names of the layers with weights that do not read integers on both sides."""
    makers = {name: node for node in model.graph.node for name in node.output}
    constants = {tensor.name for tensor in model.graph.initializer}

    def constant(name: str) -> bool:
        node = makers.get(name)
        return name in constants or (node is not None and all(constant(each) for each in node.input if each))

    def integers(name: str) -> bool:
        return name in makers and makers[name].op_type == "DequantizeLinear"

    layers = [node for node in model.graph.node if node.op_type in _WEIGHTED and constant(node.input[1])]
    return [node.name or node.output[0] for node in layers if not all(integers(name) for name in node.input[:2])]
