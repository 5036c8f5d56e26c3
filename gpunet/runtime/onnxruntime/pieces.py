"""Parts of an ONNX graph run by ONNX Runtime, each from tensors that are given: see `gpunet.runtime.base.Pieces`."""

from __future__ import annotations

import importlib
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gpunet.core.machine import available_threads
from gpunet.errors import InvalidArgumentError
from gpunet.runtime.base import onnx_source
from gpunet.runtime.onnx_ports import fed_inputs, image_input
from gpunet.runtime.onnx_precision import read_onnx

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

_FLOATS = {1: np.float32, 10: np.float16}  # onnx.TensorProto's FLOAT and FLOAT16
_GIVEN = ".given"


class OnnxPieces:
    """See `gpunet.runtime.base.Pieces`.

    A tensor that is given enters the part as an input of its own, so that every node reads what was given and none what
    another node of the part made of it.
    """

    def __init__(self, source: Any) -> None:
        network = onnx_source("onnxruntime", source)
        self._model = read_onnx(network)
        graph = self._model.graph
        self._makers: dict[str, NodeProto] = {name: node for node in graph.node for name in node.output if name}
        self._places = {id(node): place for place, node in enumerate(graph.node)}
        self._weights = {tensor.name: tensor for tensor in graph.initializer}
        self._types = _element_types(self._model)
        self.source = image_input(self._model).name
        known = (self.source, *self._makers)
        self.names: tuple[str, ...] = tuple(name for name in known if self._types.get(name) in _FLOATS)

    def operator(self, name: str) -> str:
        """The operator that makes a tensor."""
        return self._makers[name].op_type

    def open(self, wanted: Sequence[str], given: Collection[str]) -> OnnxPiece:
        """See `gpunet.runtime.base.Pieces.open`."""
        from onnx import helper

        given = set(given)
        chosen: dict[int, NodeProto] = {}
        needs: dict[str, None] = {}
        stack = [(name, True) for name in wanted]
        while stack:
            name, asked = stack.pop()
            if name in given and not asked:
                needs[name] = None
                continue
            node = self._makers.get(name)
            if node is None or id(node) in chosen:
                continue
            chosen[id(node)] = node
            stack += [(each, False) for each in node.input if each]
        nodes = []
        for node in sorted(chosen.values(), key=lambda each: self._places[id(each)]):
            copied = type(node).FromString(node.SerializeToString())
            for place, name in enumerate(copied.input):
                if name in needs:
                    copied.input[place] = name + _GIVEN
            nodes.append(copied)
        model = type(self._model)()
        model.ir_version = self._model.ir_version
        model.opset_import.extend(self._model.opset_import)
        used = {name for node in nodes for name in node.input}
        inputs = [helper.make_tensor_value_info(name + _GIVEN, self._types[name], None) for name in needs]
        outputs = [helper.make_tensor_value_info(name, self._types[name], None) for name in wanted]
        model.graph.CopyFrom(helper.make_graph(nodes, "piece", inputs, outputs))
        model.graph.initializer.extend(tensor for name, tensor in self._weights.items() if name in used)
        return OnnxPiece(_loaded(model), {name: _FLOATS[self._types[name]] for name in needs}, tuple(wanted))


class OnnxPiece:
    """See `gpunet.runtime.base.Piece`."""

    def __init__(self, loaded: Any, needs: Mapping[str, Any], wanted: tuple[str, ...]) -> None:
        self._loaded, self._kinds, self._wanted = loaded, needs, wanted
        self.needs = tuple(needs)

    def run(self, given: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """See `gpunet.runtime.base.Piece.run`."""
        feeds: dict[str, np.ndarray] = {
            name + _GIVEN: given[name].astype(kind, copy=False) for name, kind in self._kinds.items()
        }
        found = self._loaded.run(list(self._wanted), feeds)
        return {name: np.asarray(each, np.float32) for name, each in zip(self._wanted, found, strict=True)}


def _element_types(model: ModelProto) -> dict[str, int]:
    """Element type of every tensor; weights are not copied."""
    from onnx import helper, shape_inference

    bare = type(model)()
    bare.ir_version = model.ir_version
    bare.opset_import.extend(model.opset_import)
    bare.graph.name = model.graph.name
    bare.graph.node.extend(model.graph.node)
    bare.graph.input.extend(fed_inputs(model))
    bare.graph.output.extend(model.graph.output)
    bare.graph.input.extend(
        helper.make_tensor_value_info(each.name, each.data_type, each.dims) for each in model.graph.initializer
    )
    inferred = shape_inference.infer_shapes(bare).graph
    values = (*inferred.input, *inferred.value_info, *inferred.output)
    return {value.name: value.type.tensor_type.elem_type for value in values}


def _loaded(model: ModelProto) -> Any:
    ort = importlib.import_module("onnxruntime")
    options = ort.SessionOptions()
    options.intra_op_num_threads = available_threads()
    options.log_severity_level = 3
    options.add_session_config_entry("session.force_spinning_stop", "1")
    try:
        return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its error classes share no base but Exception
        raise InvalidArgumentError(
            f"ONNX Runtime cannot load a part of this network: {error}",
            "Does it load as a whole? If not, export it again.",
        ) from error
