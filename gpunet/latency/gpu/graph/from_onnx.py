"""An ONNX graph's operations, for one image: shapes by ONNX's own inference, constants folded as by an engine."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx
from onnx import shape_inference

from gpunet.errors import InvalidArgumentError
from gpunet.latency.gpu.graph.operations import Operation

_VIEWS = frozenset(
    [
        "Reshape",
        "Flatten",
        "Squeeze",
        "Unsqueeze",
        "Identity",
        "Slice",
        "Split",
        "Dropout",
        "Cast",
        "Expand",
        "Gather",
        "DequantizeLinear",
        "QuantizeLinear",
    ]
)
_SIMPLE = {
    **dict.fromkeys(
        (
            "Relu",
            "Sigmoid",
            "Clip",
            "HardSigmoid",
            "Tanh",
            "LeakyRelu",
            "Elu",
            "PRelu",
            "Abs",
            "Neg",
            "Exp",
            "Log",
            "Sqrt",
            "Reciprocal",
            "Softplus",
            "Erf",
        ),
        "act",
    ),
    **dict.fromkeys(
        (
            "HardSwish",
            "Gelu",
            "Mish",
            "Swish",
        ),
        "swish",
    ),
    **dict.fromkeys(
        (
            "Softmax",
            "LayerNormalization",
            "InstanceNormalization",
            "GroupNormalization",
            "LpNormalization",
        ),
        "norm",
    ),
    **dict.fromkeys(
        (
            "MaxPool",
            "AveragePool",
            "GlobalMaxPool",
            "Resize",
            "Upsample",
            "GridSample",
        ),
        "pool",
    ),
    **dict.fromkeys(
        (
            "GlobalAveragePool",
            "ReduceMean",
            "ReduceSum",
            "ReduceMax",
            "ReduceMin",
            "ReduceL2",
            "ArgMax",
            "TopK",
            "CumSum",
        ),
        "reduce",
    ),
    **dict.fromkeys(
        (
            "Transpose",
            "DepthToSpace",
            "SpaceToDepth",
            "GatherND",
            "GatherElements",
            "Tile",
            "ScatterND",
        ),
        "copy",
    ),
    "Concat": "concat",
    "Pad": "pad",
    "BatchNormalization": "batchnorm",
}
_SHAPES = frozenset(["Shape", "Constant", "ConstantOfShape", "Range", "Size", "NonZero", "EyeLike"])


def operations_of_onnx(source: str | Path | onnx.ModelProto) -> list[Operation]:
    """The operations of a network in an ONNX file, for one image.

    Raises:
        InvalidArgumentError: (a ValueError) it cannot be read, has no image input, or its shapes cannot be inferred.
    """
    try:
        model = source if isinstance(source, onnx.ModelProto) else onnx.load(str(source))
        images = _set_batch(model)
        model = shape_inference.infer_shapes(model, data_prop=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise InvalidArgumentError(f"{source}: no network can be read from it: {str(error)[:200]}") from error
    return _Reader(model.graph, images).operations()


def _set_batch(model: onnx.ModelProto) -> int:
    """Let an open batch axis be of one image; returns how many images the graph is of."""
    constants = {each.name for each in model.graph.initializer}
    inputs = [each for each in model.graph.input if each.name not in constants]
    if len(inputs) != 1 or len(inputs[0].type.tensor_type.shape.dim) != 4:
        raise ValueError("it needs one input, of images (N, C, H, W)")
    first, *rest = inputs[0].type.tensor_type.shape.dim
    if any(each.dim_value <= 0 for each in rest):
        raise ValueError("channels, height and width of its input must be fixed")
    if first.dim_value <= 0:
        named = first.dim_param
        first.dim_value = 1
        for value in (*model.graph.output, *model.graph.value_info):
            for each in value.type.tensor_type.shape.dim:
                if each.dim_param and each.dim_param == named:
                    each.dim_value = 1
    return int(first.dim_value)


class _Reader:
    def __init__(self, graph: onnx.GraphProto, images: int) -> None:
        self._graph, self._images = graph, images
        self._constants = {each.name: list(each.dims) for each in graph.initializer}
        self._shapes = {
            each.name: [dim.dim_value for dim in each.type.tensor_type.shape.dim]
            for each in (*graph.input, *graph.value_info, *graph.output)
        }
        self._number: dict[str, int] = {}
        self._found: list[Operation] = []
        self._next = 0

    def operations(self) -> list[Operation]:
        for each in self._graph.input:
            if each.name not in self._constants:
                self._number[each.name] = self._fresh()
        nodes = list(self._graph.node)
        swishes = self._swishes(nodes)
        for node in nodes:
            self._take(node, swishes)
        return self._found

    def _fresh(self) -> int:
        self._next += 1
        return self._next

    def _swishes(self, nodes: Sequence[onnx.NodeProto]) -> dict[str, str]:
        """Products x * gate(x) of a graph without a swish of its own: of each gate's output the product's, and of each
        product's output the x that it is of.
        """
        made = {node.output[0]: node for node in nodes if node.output}
        found: dict[str, str] = {}
        for node in nodes:
            if node.op_type != "Mul":
                continue
            for gate, x in (node.input[:2], node.input[1::-1]):
                before = made.get(gate)
                if before is not None and before.op_type in ("Sigmoid", "HardSigmoid") and before.input[0] == x:
                    found[gate], found[node.output[0]] = node.output[0], x
        return found

    def _take(self, node: onnx.NodeProto, swishes: dict[str, str]) -> None:
        inputs = [name for name in node.input if name in self._number]
        kind = node.op_type
        if not inputs or kind in _SHAPES:
            for name in node.output:
                self._constants[name] = self._shapes.get(name, [])
            return
        if kind in _VIEWS and not (kind == "Gather" and self._size(node.output[0]) > self._size(inputs[0])):
            for name in node.output:
                self._number[name] = self._number[inputs[0]]
            return
        if node.output[0] in swishes and kind in ("Sigmoid", "HardSigmoid"):
            self._number[node.output[0]] = self._number[inputs[0]]  # with the product behind it, one swish
            return
        if node.output[0] in swishes:
            kind, inputs = "Swish", [swishes[node.output[0]]]
        elif not self._shapes.get(node.output[0]) and kind in ("Conv", "MatMul", "Gemm"):
            raise InvalidArgumentError(f"the shape that {node.op_type} {node.name!r} makes cannot be inferred.")
        numbers = tuple(self._number[name] for name in inputs)
        output = self._fresh()
        for name in node.output:
            self._number[name] = output
        read = tuple(self._size(name) for name in inputs)
        weights = sum(math.prod(self._constants[name]) for name in node.input if name in self._constants)
        sort = _SIMPLE.get(kind, "binary")
        # Other constants say how, such as over which axes.
        about: dict[str, Any] = {"weights": weights if sort in ("binary", "batchnorm", "norm") else 0}
        if kind in ("Conv", "ConvTranspose"):
            sort, about = "conv", self._convolution(node)
        elif kind in ("MatMul", "Gemm"):
            sort, about = "matmul", self._product(node)
        self._found.append(Operation(sort, numbers, output, read, self._size(node.output[0]), **about))

    def _convolution(self, node: onnx.NodeProto) -> dict[str, Any]:
        given = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
        out_channels, in_channels, *kernel = self._constants.get(node.input[1]) or self._shapes[node.input[1]]
        groups = int(given.get("group", 1))
        made = self._shapes[node.output[0]]
        return {
            "rows": made[0] * math.prod(made[2:]) // self._images, "columns": out_channels // groups,
            "depth": in_channels * math.prod(kernel), "groups": groups, "kernel_size": max(kernel, default=1),
            "stride": int(given.get("strides", [1])[0]), "weights": math.prod([out_channels, in_channels, *kernel]),
        }  # fmt: skip

    def _product(self, node: onnx.NodeProto) -> dict[str, Any]:
        left, right = (self._constants.get(name) or self._shapes[name] for name in node.input[:2])
        made = self._shapes[node.output[0]]
        constant = node.input[1] in self._constants
        given = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
        depth = left[0] if given.get("transA") else left[-1]
        several = not constant and len(left) > 2
        rows = made[-2] if several else math.prod(made[:-1])
        groups = math.prod(made[:-2]) if several else 1
        return {
            "rows": rows if several else max(1, rows // self._images), "columns": made[-1], "depth": depth,
            "groups": max(1, groups // self._images) if several else 1,
            "weights": math.prod(right) if constant else 0, "per_image": several,
        }  # fmt: skip

    def _size(self, name: str) -> int:
        """Elements of a value, for one image."""
        shape = self._shapes.get(name)
        return max(1, math.prod(each or 1 for each in shape) // self._images) if shape else 0
