"""What a deployer asks of a file: what goes in, what comes out, what it is made of, and how it is run."""

from __future__ import annotations

import importlib.metadata
import json
import platform
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpunet.exporters.metadata import PREPROCESSING, REPARAMETERIZED, WEIGHTS, WEIGHTS_SHA256
from gpunet.model.origin import NOT_SAID
from gpunet.runtime.trt.options import BuildOptions
from gpunet.runtime.trt.trtexec import trtexec_command

if TYPE_CHECKING:
    from onnx import ModelProto, ValueInfoProto

    from gpunet.runtime.formats import Format

_PACKAGES = ("gpunet", "torch", "timm", "onnx", "onnxruntime")
_TENSORRT = ("10.4", "11")  # the versions from which trtexec takes other options
_RANGE = "a picture's red, green and blue from 0 to 1, less mean, divided by std, a value each a channel"


def deployment_facts(
    model: ModelProto, chosen: Format, path: Path, *, precision: str, batch: tuple[int, int, int], version: str
) -> dict[str, Any]:
    """The fields of a sidecar that say how a file is deployed.

    Args:
        model: the graph that the file is made of.
        chosen: the file's format.
        path: the file; its name stands in the commands.
        precision: 'fp32', 'fp16' or 'int8': what the graph is in.
        batch: (least, optimal, most) images a run.
        version: of the runtime that made it.
    """
    properties = {each.key: each.value for each in model.metadata_props}
    images = json.loads(properties.get(PREPROCESSING, "null"))
    (entering,), (leaving,) = model.graph.input, model.graph.output
    said = {} if images is None else {"range": _RANGE, "mean": images["mean"], "std": images["std"]}
    inputs = ({**_port(entering), "layout": "NCHW", **said},)
    outputs = ({**_port(leaving), "layout": "NC", "values": "logits: softmax makes probabilities of them"},)
    origin = json.loads(properties.get(WEIGHTS, json.dumps(NOT_SAID.to_dict())))
    return {
        "weights": {"sha256": properties.get(WEIGHTS_SHA256), **origin},
        "inputs": inputs,
        "outputs": outputs,
        "opset": next(each.version for each in model.opset_import if each.domain in ("", "ai.onnx")),
        "reparameterized": properties.get(REPARAMETERIZED) == "true",
        "versions": _versions(),
        "run": _run(chosen, path.name, inputs[0], precision, batch, version),
    }


def _port(port: ValueInfoProto) -> dict[str, Any]:
    import onnx

    shape = [size.dim_value or size.dim_param or None for size in port.type.tensor_type.shape.dim]
    kind = onnx.helper.tensor_dtype_to_np_dtype(port.type.tensor_type.elem_type).name
    return {"name": port.name, "dtype": kind, "shape": shape}


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        with suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def _run(
    chosen: Format, file: str, entering: Mapping[str, Any], precision: str, sizes: tuple[int, int, int], version: str
) -> dict[str, Any]:
    """Lines of Python that leave `logits`, and commands of a shell, by what runs them."""
    opened = not isinstance(entering["shape"][0], int)
    shape = (sizes[1], *entering["shape"][1:])
    images = f"images = numpy.zeros({shape}, numpy.{entering['dtype']})  # prepared as 'inputs' says"
    openvino = [
        "import numpy, openvino",
        images,
        f"network = openvino.Core().compile_model({file!r}, 'CPU', {{'INFERENCE_PRECISION_HINT': 'f32'}})",
        "logits = network(images)[0]",
    ]
    how: dict[str, Any] = {
        "options": BuildOptions(precision=precision, batch=sizes if opened else sizes[1]),
        "shape": shape if opened else None,
        "input_name": entering["name"],
    }
    if chosen.is_engine:
        return {chosen.name: trtexec_command(file, version, rtx=chosen.name != "tensorrt", **how)}
    if not chosen.any_runtime:
        return {"openvino": openvino}
    onnxruntime = [
        "import numpy, onnxruntime",
        images,
        f"session = onnxruntime.InferenceSession({file!r}, providers=['CPUExecutionProvider'])",
        f"logits = session.run(None, {{{entering['name']!r}: images}})[0]",
    ]
    tensorrt = {f"tensorrt {each}": trtexec_command(file, each, **how) for each in _TENSORRT}
    return {"onnxruntime": onnxruntime, "openvino": openvino, **tensorrt}
