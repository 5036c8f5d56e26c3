"""The layers of a built engine, with the types of their tensors: read from what the library itself says of the engine.

Two sources say the same. A builder with detailed profiling verbosity ends its verbose messages with a list of the
engine's layers; TensorRT-RTX does so without a GPU (1.7.1, ran). The engine inspector's JSON needs the engine loaded,
hence a GPU; its tensors have one field 'Format/Datatype' up to TensorRT 10, two fields later.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gpunet.core.json_files import parsed_json
from gpunet.errors import ExportError

# What the libraries call types, in both sources, from the most telling on: 'Row major linear FP32', 'Half', 'Int8'.
_TYPES = (
    ("bf16", r"bf16|bfloat16"),
    ("fp16", r"fp16|half"),
    ("fp32", r"fp32|float"),
    ("int8", r"int8"),
    ("fp8", r"fp8"),
    ("int32", r"int32"),
    ("int64", r"int64"),
    ("bool", r"bool"),
)


@dataclass(frozen=True)
class EngineTensor:
    """A tensor that a layer of an engine reads, writes or holds.

    Args:
        name: the builder's.
        shape: -1 for a size that is not fixed.
        dtype: 'fp32', 'fp16', 'bf16', 'int8', ..., or '?' where the source does not say.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def wide_axes(self) -> int:
        """Axes of a size other than 1: 0 for a scalar, 1 for a bias, 2 or more for weights."""
        return sum(size != 1 for size in self.shape)


@dataclass(frozen=True)
class EngineLayer:
    """A layer of a built engine: often several nodes of the ONNX graph in one kernel.

    Args:
        name, type: the builder's.
        inputs, outputs: tensors that come from and go to other layers.
        constants: weights.
        onnx_nodes: names of the ONNX nodes that it computes, wholly or in part.
    """

    name: str
    type: str
    inputs: tuple[EngineTensor, ...]
    outputs: tuple[EngineTensor, ...]
    constants: tuple[EngineTensor, ...]
    onnx_nodes: tuple[str, ...]


def layers_from_messages(messages: Iterable[str]) -> tuple[EngineLayer, ...]:
    """The engine's layers from the messages of its builder.

    Raises:
        ExportError: (a RuntimeError) no message lists them, or one of a form that is not known.
    """
    lists = [text for text in messages if text.startswith("Layers:\nName: ")]
    if not lists:
        raise ExportError(
            "the builder did not list the layers of the engine, so that their precision cannot be proved.",
            "If another package of this process uses the library too, build in a process of its own.",
        )
    lines = [line for text in lists for line in text.splitlines() if line.startswith("Name: ")]
    return tuple(_layer_from_line(line) for line in lines)


_LAYER = re.compile(
    r"Name: (?P<name>.*?), LayerType: (?P<type>[^,]*), Inputs: (?P<inputs>\[.*?\]), Constants: (?P<constants>\[.*?\]), "
    r"Outputs: (?P<outputs>\[.*?\]), TacticName: .*?Metadata: ?(?P<metadata>.*)"
)
_TENSOR = re.compile(r"\{ Name: (.*?), Dimensions: \[([^\]]*)\].*?, Datatype: (.*?), Format: ")


def _layer_from_line(line: str) -> EngineLayer:
    found = _LAYER.fullmatch(line)
    if found is None:
        raise ExportError(f"the builder describes a layer of the engine in a form that is not known: {line[:200]}")

    def tensors(part: str) -> tuple[EngineTensor, ...]:
        each = _TENSOR.findall(found[part])
        return tuple(EngineTensor(name, _sizes(sizes.split(",")), _dtype(kind)) for name, sizes, kind in each)

    return EngineLayer(found["name"], found["type"], tensors("inputs"), tensors("outputs"), tensors("constants"),
                       _nodes(found["metadata"]))  # fmt: skip


def layers_from_inspector(text: str) -> tuple[EngineLayer, ...]:
    """The engine's layers from the JSON of its inspector (`get_engine_information`).

    Raises:
        ExportError: (a RuntimeError) it is not that JSON, or the engine was built without detailed profiling verbosity.
    """
    try:
        layers = parsed_json(text)["Layers"]
        return tuple(_layer_from_json(layer) for layer in layers)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ExportError(
            "the engine does not say in what precision its layers run.",
            "Build it with detailed profiling verbosity, as gpunet does.",
        ) from error


def _layer_from_json(layer: Mapping[str, Any]) -> EngineLayer:
    def tensors(part: str) -> tuple[EngineTensor, ...]:
        return tuple(_tensor_from_json(each) for each in layer.get(part, ()))

    constants = tensors("Constants")
    weights = layer.get("Weights")
    if isinstance(weights, Mapping) and weights.get("Count"):
        constants += (EngineTensor("weights", (-1, int(weights["Count"])), _dtype(str(weights.get("Type", "")))),)
    return EngineLayer(str(layer["Name"]), str(layer["LayerType"]), tensors("Inputs"), tensors("Outputs"), constants,
                       _nodes(str(layer.get("Metadata", ""))))  # fmt: skip


def _tensor_from_json(tensor: Mapping[str, Any]) -> EngineTensor:
    said = next((str(tensor[key]) for key in ("Datatype", "DataType", "Format/Datatype") if key in tensor), "")
    return EngineTensor(str(tensor["Name"]), _sizes(tensor.get("Dimensions", ())), _dtype(said))


def _sizes(sizes: Iterable[Any]) -> tuple[int, ...]:
    return tuple(int(size) for size in sizes if str(size).strip())


def _dtype(said: str) -> str:
    return next((name for name, words in _TYPES if re.search(rf"\b({words})\b", said, re.IGNORECASE)), "?")


def _nodes(metadata: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(re.findall(r"\[ONNX Layer: ([^\]]*)\]", metadata)))
