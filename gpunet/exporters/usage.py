"""What a deployer asks of a file: what goes in, what comes out, what it is made of, and how it is run."""

from __future__ import annotations

import importlib.metadata
import json
import platform
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpunet.exporters.metadata import PREPROCESSING, REPARAMETERIZED, WEIGHTS, WEIGHTS_SHA256
from gpunet.model.origin import NOT_SAID
from gpunet.runtime.formats import RunRequest
from gpunet.runtime.onnx_ports import image_input

if TYPE_CHECKING:
    from onnx import ModelProto, ValueInfoProto

    from gpunet.runtime.formats import Format

_PACKAGES = ("gpunet", "torch", "timm", "onnx", "onnxruntime")
_LOGITS = "logits: softmax makes probabilities of them"
_RANGE = "a picture's red, green and blue from 0 to 1, less mean, divided by std, a value each a channel"


def deployment_facts(
    model: ModelProto, chosen: Format, path: Path, *, precision: str, batch: tuple[int, int, int], version: str
) -> dict[str, Any]:
    """The fields of a sidecar that say how a file is deployed.

    Args:
        model: the graph that the file is made of.
        chosen: the file's format.
        path: the file; its name stands in the commands.
        precision: 'fp32', 'fp16', 'bf16' or 'int8': what the graph is in.
        batch: (least, optimal, most) images a run.
        version: of the runtime that made it.
    """
    properties = {each.key: each.value for each in model.metadata_props}
    images = json.loads(properties.get(PREPROCESSING, "null"))
    entering = _port(image_input(model))
    said = {key: images[key] for key in ("mean", "std") if key in (images or {})}
    said = {"range": _RANGE, **said} if len(said) == 2 else said
    inputs = ({**entering, "layout": "NCHW", **said},)
    outputs = tuple({**_port(each), "layout": "NC", "values": _LOGITS} for each in model.graph.output)
    origin = json.loads(properties.get(WEIGHTS, json.dumps(NOT_SAID.to_dict())))
    batches, *image = entering["shape"]
    use = RunRequest(
        path.name, entering["name"], tuple(image), entering["dtype"], precision, batch,
        fixed_batch=isinstance(batches, int), version=version,
    )  # fmt: skip
    return {
        "weights": {"sha256": properties.get(WEIGHTS_SHA256), **origin},
        "inputs": inputs,
        "outputs": outputs,
        "opset": next(each.version for each in model.opset_import if each.domain in ("", "ai.onnx")),
        "reparameterized": properties.get(REPARAMETERIZED) == "true",
        "versions": _versions(),
        "run": dict(chosen.how_to_run(use)),
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
