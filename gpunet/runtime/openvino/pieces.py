"""Parts of a network run by OpenVINO, each from tensors that are given: see `gpunet.runtime.base.Pieces`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from gpunet.errors import InvalidArgumentError
from gpunet.runtime.base import onnx_source

_FLOATS = {"f32": np.float32, "f16": np.float16}
_SETTINGS = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1}


class OpenVINOPieces:
    """See `gpunet.runtime.base.Pieces`: of an IR, or of ONNX as OpenVINO reads it; in float32 arithmetic."""

    def __init__(self, core: Any, source: Any) -> None:
        self._core = core
        self._network = network = core.read_model(onnx_source("openvino", source))
        self.source: str = min(network.inputs[0].get_names())
        names = [self.source]
        for node in network.get_ordered_ops():
            if node.get_type_name() not in ("Parameter", "Constant", "Result"):
                names += [
                    name
                    for port in node.outputs()
                    if port.get_element_type().get_type_name() in _FLOATS
                    for name in sorted(port.get_names())
                ]
        self.names: tuple[str, ...] = tuple(dict.fromkeys(names))

    def open(self, wanted: Sequence[str], given: Collection[str]) -> OpenVINOPiece:
        """See `gpunet.runtime.base.Pieces.open`."""
        import openvino as ov
        from openvino import opset13

        network = self._network.clone()
        ports = {name: port for node in network.get_ops() for port in node.outputs() for name in port.get_names()}
        fed = {}
        for name in given:
            port = ports[name]
            fed[name] = opset13.parameter(port.get_partial_shape(), port.get_element_type())
            for target in port.get_target_inputs():
                if target.get_node().get_type_name() != "Result":
                    target.replace_source_output(fed[name].output(0))
        results = [opset13.result(ports[name]) for name in wanted]
        needs = _reached(results, {fed[name].get_name(): name for name in fed})
        part = ov.Model(results, [fed[name] for name in needs], "piece")
        try:
            compiled = self._core.compile_model(part, "CPU", _SETTINGS)
        except RuntimeError as error:
            raise InvalidArgumentError(
                f"OpenVINO cannot load a part of this network: {' '.join(str(error).split())}",
                "Does it load as a whole? If not, export it again.",
            ) from error
        kinds = {name: _FLOATS[fed[name].get_element_type().get_type_name()] for name in needs}
        return OpenVINOPiece(compiled, kinds, tuple(wanted))


class OpenVINOPiece:
    """See `gpunet.runtime.base.Piece`."""

    def __init__(self, compiled: Any, needs: Mapping[str, Any], wanted: tuple[str, ...]) -> None:
        self._request, self._kinds, self._wanted = compiled.create_infer_request(), needs, wanted
        self.needs = tuple(needs)

    def run(self, given: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """See `gpunet.runtime.base.Piece.run`."""
        feeds: dict[int, np.ndarray] = {
            place: given[name].astype(kind, copy=False) for place, (name, kind) in enumerate(self._kinds.items())
        }
        self._request.infer(feeds, share_inputs=False)
        return {
            name: np.array(self._request.get_output_tensor(place).data, np.float32)
            for place, name in enumerate(self._wanted)
        }


def _reached(results: Sequence[Any], fed: Mapping[str, str]) -> list[str]:
    """The names of the parameters that results are computed from."""
    seen: set[str] = set()
    stack = list(results)
    needs: dict[str, None] = {}
    while stack:
        node = stack.pop()
        name = node.get_name()
        if name in seen:
            continue
        seen.add(name)
        if name in fed:
            needs[fed[name]] = None
        stack += [port.get_source_output().get_node() for port in node.inputs()]
    return list(needs)
