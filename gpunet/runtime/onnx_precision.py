"""The precision that an ONNX graph holds: what a runtime is told it computes in must be what stands there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from gpunet.errors import FAILED_EXIT_CODE, InvalidArgumentError

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

LAYERS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
_INTEGER_LAYERS = ("ConvInteger", "MatMulInteger", "QLinearConv", "QLinearMatMul")
_MOVES = ("Identity", "Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten")


def graph_precision(source: bytes | Path) -> str:
    """'fp32', 'fp16', 'bf16' or 'int8': the least precise type that the layers of an ONNX graph compute in.

    Args:
        source: a file, or its bytes.

    Raises:
        InvalidArgumentError: (a ValueError) it cannot be read.
    """
    import onnx

    model = read_onnx(source)
    if any(node.op_type in _INTEGER_LAYERS for node in model.graph.node) or any(quantized_layers(model)):
        return "int8"
    kinds = {weight.data_type for weight in model.graph.initializer if len(weight.dims) > 1}
    if onnx.TensorProto.FLOAT16 in kinds:
        return "fp16"
    return "bf16" if onnx.TensorProto.BFLOAT16 in kinds else "fp32"


def read_onnx(source: bytes | Path) -> ModelProto:
    """An ONNX graph, from a file or its bytes.

    Raises:
        InvalidArgumentError: (a ValueError) it is damaged.
    """
    import onnx

    data = source.read_bytes() if isinstance(source, Path) else source
    try:
        return onnx.load_model_from_string(data)
    except Exception as error:  # protobuf's DecodeError, of whichever protobuf is installed
        if type(error).__name__ != "DecodeError":
            raise
        raise InvalidArgumentError(
            f"{source if isinstance(source, Path) else 'the network'} is not a whole ONNX file: {error}.",
            "Write it anew: gpunet-export MODEL -o FILE.",
            exit_code=FAILED_EXIT_CODE,
        ) from error


def require_int8(source: bytes | Path) -> None:
    """Raise InvalidArgumentError unless an ONNX graph holds layers between Q/DQ nodes."""
    found = graph_precision(source)
    if found != "int8":
        raise not_int8(found)


def not_int8(found: str) -> InvalidArgumentError:
    """The error for a graph of another precision."""
    return InvalidArgumentError(
        f"precision 'int8' is for a graph with Q/DQ nodes, but this one holds none: it is in {found}.",
        f"Load it with precision={found!r}, or make one: gpunet-export MODEL -o FILE --precision int8 "
        "--calibration FOLDER.",
    )


def quantized_layers(model: ModelProto) -> Iterator[NodeProto]:
    """The convolutions and linear layers whose activations and weights both come from DequantizeLinear."""
    makers = {name: node for node in model.graph.node for name in node.output}
    for node in model.graph.node:
        if node.op_type in LAYERS and all(_is_dequantized(name, makers) for name in node.input[:2]):
            yield node


def _is_dequantized(name: str, makers: Mapping[str, NodeProto]) -> bool:
    node = makers.get(name)
    while node is not None and node.op_type in _MOVES:
        node = makers.get(node.input[0])
    return node is not None and node.op_type == "DequantizeLinear"
