"""Whether a built engine runs in the precision that was asked for: judged from its own layers, tensor by tensor.

fp32    no tensor between layers and no weights are of a narrower type
fp16    all tensors between layers and all weights are half; the network's own input and output may be float32
int8    every convolution and linear layer that the graph quantises reads 8-bit activations and holds 8-bit weights

Scalars (scales, constants of an activation) and biases (one axis) do not decide: kernels keep them wider at no cost.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from gpunet.errors import ExportError
from gpunet.runtime.trt.graph import Graph
from gpunet.runtime.trt.layers import EngineLayer, EngineTensor

_ALLOWED = {"fp32": ("fp32", "int32", "int64", "bool"), "fp16": ("fp16", "int32", "int64", "bool")}


@dataclass(frozen=True)
class PrecisionProof:
    """What was proved of an engine's layers.

    Args:
        precision: that which was asked for, and holds.
        layers: how many the engine has.
        tensors: tensors and weights whose types were checked.
        compute_nodes: convolutions and linear layers of the ONNX graph that were found in the engine.
        quantised_nodes: those of them that run in 8 bits.
    """

    precision: str
    layers: int
    tensors: int
    compute_nodes: int
    quantised_nodes: int

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)


def prove_precision(layers: Sequence[EngineLayer], graph: Graph, precision: str) -> PrecisionProof:
    """Check the layers of an engine against the precision asked for.

    Raises:
        ExportError: (a RuntimeError) a layer runs in another precision, or a convolution or linear layer of the
            graph is in no layer of the engine; the message names them.
    """
    named = {node for layer in layers for node in layer.onnx_nodes}
    missing = [node for node in graph.compute_nodes if node not in named]
    if missing:
        raise ExportError(
            f"{len(missing)} of {len(graph.compute_nodes)} convolutions and linear layers of the graph are in no layer "
            f"of the engine, so that their precision cannot be proved: {_some(missing)}."
        )
    checked = _check_int8(layers, graph) if precision == "int8" else _check_types(layers, precision, graph.ports)
    quantised = len(graph.quantised_nodes) if precision == "int8" else 0
    return PrecisionProof(precision, len(layers), checked, len(graph.compute_nodes), quantised)


def _check_types(layers: Sequence[EngineLayer], precision: str, ports: Collection[str]) -> int:
    checked, odd = 0, []
    for layer in layers:
        for tensor in _deciding(layer):
            checked += 1
            wide_port = tensor.name in ports and tensor.dtype == "fp32"
            if tensor.dtype not in _ALLOWED[precision] and not wide_port:
                odd.append(f"{layer.name} ({layer.type}): {tensor.name} is {tensor.dtype}")
    if odd:
        raise ExportError(
            f"the engine does not run in {precision}: {len(odd)} of {checked} tensors are of other types: "
            f"{_some(odd)}.",
            f"An engine has the precision of its ONNX graph: export that in {precision}, or ask for what it holds.",
        )
    return checked


def _deciding(layer: EngineLayer) -> list[EngineTensor]:
    weights = [tensor for tensor in layer.constants if tensor.wide_axes >= 2]
    return [tensor for tensor in (*layer.inputs, *layer.outputs) if tensor.wide_axes] + weights


def _check_int8(layers: Sequence[EngineLayer], graph: Graph) -> int:
    if not graph.quantised_nodes:
        raise ExportError(
            "int8 was asked for, but no convolution or linear layer of the graph is quantised.",
            "INT8 is in the graph, as QuantizeLinear and DequantizeLinear nodes: quantise it first.",
        )
    narrow = {
        node
        for layer in layers
        if any(tensor.dtype == "int8" for tensor in layer.inputs)
        and any(tensor.dtype == "int8" and tensor.wide_axes >= 2 for tensor in layer.constants)
        for node in layer.onnx_nodes
    }
    odd = [node for node in graph.quantised_nodes if node not in narrow]
    if odd:
        raise ExportError(
            f"the engine does not run in int8: {len(odd)} of {len(graph.quantised_nodes)} quantised convolutions and "
            f"linear layers do not: {_some(odd)}.",
            "Leave these layers out of quantisation.",
        )
    return len(graph.quantised_nodes)


def _some(things: Sequence[str], limit: int = 5) -> str:
    more = f", and {len(things) - limit} more" if len(things) > limit else ""
    return ", ".join(things[:limit]) + more
