"""The images' input of an ONNX graph: older files list their weights as inputs beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpunet.errors import InvalidArgumentError

if TYPE_CHECKING:
    from onnx import ModelProto, ValueInfoProto


def fed_inputs(model: ModelProto) -> list[ValueInfoProto]:
    """The inputs of a graph that have no value in it."""
    weights = {tensor.name for tensor in model.graph.initializer}
    return [port for port in model.graph.input if port.name not in weights]


def image_input(model: ModelProto) -> ValueInfoProto:
    """The input of a network that takes images alone.

    Raises:
        InvalidArgumentError: (a ValueError) it has none, or several.
    """
    ports = fed_inputs(model)
    if len(ports) != 1:
        found = f"{len(ports)}: {', '.join(port.name for port in ports)}" if ports else "none"
        raise InvalidArgumentError(
            f"a network takes images by one input, but this graph has {found}.",
            "Images alone may enter: whatever else it takes must be an initializer.",
        )
    return ports[0]
