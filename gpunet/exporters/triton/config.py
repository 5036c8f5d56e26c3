"""What a Triton model's configuration says, as plain dicts for gpunet.exporters.triton.pbtxt."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from gpunet.core.arguments import checked_integer
from gpunet.errors import InvalidArgumentError
from gpunet.exporters.triton.pbtxt import Enum
from gpunet.runtime.batch import BatchProfile
from gpunet.runtime.formats import TritonBackend, TritonRequest
from gpunet.runtime.onnx_ports import image_input

if TYPE_CHECKING:
    from onnx import ModelProto

QUEUE_DELAY_US = 100
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_TYPES = {1: Enum("TYPE_FP32"), 10: Enum("TYPE_FP16")}  # by onnx.TensorProto's numbers


def triton_config(
    model: ModelProto,
    backend: TritonBackend,
    *,
    name: str,
    precision: str,
    batch: BatchProfile,
    device: str | None = None,
    max_queue_delay_us: int = QUEUE_DELAY_US,
    instances: int = 1,
    engine_cache: str | None = None,
) -> dict[str, Any]:
    """The configuration of a model, as `config_text` takes it; see `export_triton`."""
    if not _NAME.fullmatch(name):
        raise InvalidArgumentError(
            f"a model's name in a Triton repository is made of letters, digits, '_', '-' and '.', but got {name!r}."
        )
    device = device or backend.devices[0]
    if device not in backend.devices:
        raise InvalidArgumentError(
            f"device must be {' or '.join(map(repr, backend.devices))} for the backend {backend.name}, but got "
            f"{device!r}."
        )
    for argument, value, least in (("max_queue_delay_us", max_queue_delay_us, 0), ("instances", instances, 1)):
        checked_integer(argument, value, least)
    if batch.dynamic and batch.min != 1:
        raise InvalidArgumentError(
            f"a server sends single images too, but the batch profile begins at {batch.min}.",
            f"Export it for a batch of 1:{batch.opt}:{batch.max}, or for a fixed batch.",
        )
    if device == "gpu" and _unsigned(model):
        raise InvalidArgumentError(
            "a GPU takes int8 with zero point 0, but the graph's activations are uint8.",
            "Quantise it with layout='tensorrt', or serve it on a processor: device='cpu'.",
        )
    most = (batch.opt if backend.pads_batches else batch.max) if batch.dynamic else 0
    source, result = image_input(model), model.graph.output[0]
    shapes = [_shape(source, batch)[1 if most else 0 :], _shape(result, batch)[1 if most else 0 :]]
    config: dict[str, Any] = {
        "name": name,
        "backend": backend.name,
        "default_model_filename": backend.file_name,
        "max_batch_size": most,
        "input": [{"name": source.name, "data_type": _type(source), "dims": shapes[0]}],
        "output": [
            {"name": result.name, "data_type": _type(result), "dims": shapes[1], "label_filename": "labels.txt"}
        ],
        "instance_group": [{"count": instances, "kind": Enum(f"KIND_{device.upper()}")}],
    }
    if most:
        sizes = sorted({min(batch.opt, most), most} - {1})
        config["dynamic_batching"] = {
            **({"preferred_batch_size": sizes} if sizes else {}),
            "max_queue_delay_microseconds": max_queue_delay_us,
        }
    image = tuple(_shape(source, batch)[1:])
    config.update(backend.tuning(TritonRequest(device, precision, source.name, image, batch, engine_cache)))
    # A first run before the model is served: TensorRT inside ONNX Runtime builds its engine, kernels are loaded.
    sample = {"data_type": _type(source), "dims": shapes[0], "zero_data": True}
    config["model_warmup"] = [{"name": "first run", "batch_size": 1, "inputs": [{"key": source.name, "value": sample}]}]
    return config


def _type(value: Any) -> Enum:
    kind = value.type.tensor_type.elem_type
    if kind not in _TYPES:
        raise InvalidArgumentError(f"{value.name} must be float32 or float16, but its ONNX type is {kind}.")
    return _TYPES[kind]


def _shape(value: Any, batch: BatchProfile) -> list[int]:
    sizes = [size.dim_value if size.HasField("dim_value") else 0 for size in value.type.tensor_type.shape.dim]
    if not sizes or any(size < 1 for size in sizes[1:]):
        raise InvalidArgumentError(f"the shape of {value.name} must be fixed but for the batch.")
    if (sizes[0] == 0) != batch.dynamic or (sizes[0] and sizes[0] != batch.max):
        raise InvalidArgumentError(
            f"the graph's batch is {sizes[0] or 'open'}, but the batch profile is {batch}.",
            "Give the profile that the graph was exported with.",
        )
    return [sizes[0] or -1, *sizes[1:]]


def _unsigned(model: ModelProto) -> bool:
    kinds = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    return any(node.op_type == "QuantizeLinear" and kinds.get(node.input[2]) == 2 for node in model.graph.node)
