"""An ONNX file as a builder needs it: whole, its nodes named, its ports known."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpunet.errors import InvalidArgumentError
from gpunet.runtime.batch import BatchProfile
from gpunet.runtime.onnx_ports import fed_inputs
from gpunet.runtime.onnx_precision import LAYERS, quantized_layers

_SAFE_NAME = re.compile(r"[^\[\]\s]+")


@dataclass(frozen=True)
class Graph:
    """What was read from an ONNX file.

    Args:
        data: the model, serialised; nodes without a name of their own have been given one.
        sha256: of the ONNX file as it was given, in hex.
        path: where the file lies, for weights beside it; None for bytes.
        input_name, output_name: the ports.
        other_outputs: beside the first, of a network that may have several.
        input_shape: of the input; None for a size that is not fixed.
        data_nodes: names of the nodes whose values depend on the input, in order.
        constant_nodes: how many others there are: a parser may fold them.
        compute_nodes: the convolutions and linear layers among the data nodes.
        quantised_nodes: those of them whose activations and weights both come from DequantizeLinear.
    """

    data: bytes
    sha256: str
    path: Path | None
    input_name: str
    output_name: str
    input_shape: tuple[int | None, ...]
    data_nodes: tuple[str, ...]
    constant_nodes: int
    compute_nodes: tuple[str, ...]
    quantised_nodes: tuple[str, ...]
    other_outputs: tuple[str, ...] = ()

    @property
    def ports(self) -> tuple[str, ...]:
        """Names of input and outputs."""
        return self.input_name, self.output_name, *self.other_outputs


def read_graph(source: bytes | Path, *, several_outputs: bool = False) -> Graph:
    """Read an ONNX file, given whole or by path.

    Args:
        source: the file.
        several_outputs: it may have more than one, as a backbone that gives maps.

    Raises:
        InvalidArgumentError: (a ValueError) it is cut short or no ONNX file, breaks ONNX's rules, or has not one input
            and one output.
    """
    import onnx

    path = source if isinstance(source, Path) else None
    what = str(path) if path is not None else "the ONNX model"
    original = path.read_bytes() if path is not None else bytes(source)
    try:
        model = onnx.load_model_from_string(original)
    except Exception as error:  # protobuf's DecodeError, of whichever protobuf is installed
        if type(error).__name__ != "DecodeError":
            raise
        raise _damaged(what, f"{len(original)} bytes that cannot be decoded ({error})") from error
    if not model.graph.node:
        raise _damaged(what, f"{len(original)} bytes that hold no network")
    try:
        onnx.checker.check_model(str(path) if path is not None else model)
    except onnx.checker.ValidationError as error:
        raise _damaged(what, " ".join(str(error).split())) from error
    inputs = fed_inputs(model)
    for kind, ports in (("input", inputs), ("output", model.graph.output)):
        if len(ports) != 1 and not (ports and kind == "output" and several_outputs):
            raise InvalidArgumentError(
                f"{what}: an engine is built from a network of one {kind}, but this one has {len(ports)}."
            )
    renamed = _name_nodes(model)
    data = _data_nodes(model, inputs[0].name)
    compute = [node.name for node in data if node.op_type in LAYERS]
    quantised = {node.name for node in quantized_layers(model)}
    return Graph(
        data=model.SerializeToString() if renamed else original,
        sha256=hashlib.sha256(original).hexdigest(),
        path=path,
        input_name=inputs[0].name,
        output_name=model.graph.output[0].name,
        input_shape=tuple(
            size.dim_value if size.HasField("dim_value") else None for size in inputs[0].type.tensor_type.shape.dim
        ),
        data_nodes=tuple(node.name for node in data),
        constant_nodes=len(model.graph.node) - len(data),
        compute_nodes=tuple(compute),
        quantised_nodes=tuple(name for name in compute if name in quantised),
        other_outputs=tuple(port.name for port in model.graph.output[1:]),
    )


def fit_batch(asked: int | Sequence[int] | None, graph: Graph) -> tuple[int, int, int]:
    """The batch profile of an engine: that which was asked for, where the ONNX file allows it.

    Raises:
        InvalidArgumentError: (a ValueError) the ONNX file has another, fixed batch; or none and none was asked for; or
            an axis beside the batch is not fixed.
    """
    if not graph.input_shape or any(size is None for size in graph.input_shape[1:]):
        raise InvalidArgumentError(
            f"an engine is built from an ONNX file whose input is fixed but for the batch, but {graph.input_name!r} is "
            f"{' x '.join('any' if size is None else str(size) for size in graph.input_shape) or 'of no shape'}.",
            "Export the model with a fixed resolution.",
        )
    fixed = graph.input_shape[0]
    if asked is None:
        if fixed is None:
            raise InvalidArgumentError(
                "the ONNX file takes any batch, but none was asked for.", "Say which, for example batch=(1, 8, 64)."
            )
        return BatchProfile.parse(fixed).sizes
    profile = BatchProfile.parse(asked).sizes
    if fixed is not None and profile != (fixed,) * 3:
        raise InvalidArgumentError(
            f"the ONNX file has a fixed batch of {fixed}, but {':'.join(map(str, profile))} was asked for.",
            "Export the model for that batch: gpunet.export(model, path, batch_size=...).",
        )
    return profile


def _damaged(what: str, found: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"{what} is not a whole ONNX file: {found}.", "Write it anew: gpunet.export(model, path)."
    )


def _name_nodes(model: Any) -> bool:
    """Give every node a name that is its own and survives the builder's '[ONNX Layer: NAME]'; whether any needed it."""
    seen: set[str] = set()
    renamed = False
    for index, node in enumerate(model.graph.node):
        if node.name in seen or not _SAFE_NAME.fullmatch(node.name):
            node.name = f"{node.op_type}_{index}"
            renamed = True
        seen.add(node.name)
    return renamed


def _data_nodes(model: Any, input_name: str) -> list[Any]:
    """Nodes that the input's value reaches, in order; ONNX keeps nodes in an order of dependence."""
    reached = {input_name}
    nodes = []
    for node in model.graph.node:
        if reached.intersection(_all_inputs(node)):
            nodes.append(node)
            reached.update(node.output)
    return nodes


def _all_inputs(node: Any) -> Iterator[str]:
    yield from node.input
    for attribute in node.attribute:
        for each in attribute.g.node:
            yield from _all_inputs(each)
