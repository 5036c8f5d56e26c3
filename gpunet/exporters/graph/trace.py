"""From a torch module to an ONNX graph by torch.onnx, leaving the module, its modes and the process as they were.

Two exporters stand behind `trace`: the one that traces (TorchScript's) and, where torch has it no more or it fails, the
one on torch.export ("dynamo"). Both fold BatchNorm into convolutions and give graphs that run equally fast; the first
is three to five times quicker (a GPUNet-D2: 3 s against 14 s) and writes every opset of `TRACED_OPSETS` natively,
while the second knows opset 18 and later only.
"""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from typing import Any, cast

import numpy as np
import onnx
import onnx.version_converter
import torch
from torch import Tensor, nn

from gpunet.errors import ExportError, GpunetError, InvalidArgumentError
from gpunet.runtime.batch import BatchProfile

INPUT, OUTPUT, BATCH_AXIS = "input", "logits", "batch"
TRACED_OPSETS = range(13, 21)
_DYNAMO_MIN_OPSET = 18
_MAX_BYTES = 2**31 - 1  # of a protobuf message, and so of a file without external data
_LOGGERS = ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")


def detached_copy(model: nn.Module) -> nn.Module:
    """A copy of the model on the CPU, in float32 and evaluation mode, without gradients or their checkpointing.

    Whatever happens to the copy, the model itself keeps its modes, device, weights and hooks.

    Raises:
        InvalidArgumentError: it is no nn.Module, or its weights are more than an ONNX file can hold.
        ExportError: it cannot be copied.
    """
    if not isinstance(model, nn.Module):
        raise InvalidArgumentError(
            f"model must be an nn.Module, but got a {type(model).__qualname__}.", "gpunet.load(name) gives one."
        )
    model = getattr(model, "_orig_mod", model)  # what torch.compile wraps
    size = 4 * sum(tensor.numel() for tensor in (*model.parameters(), *model.buffers()))
    if size > _MAX_BYTES:
        raise InvalidArgumentError(
            f"the weights must fit into one ONNX file of 2 GiB, but are {size / 2**30:.1f} GiB in float32."
        )
    try:
        twin: nn.Module = copy.deepcopy(model).cpu().float().eval().requires_grad_(False)
    except (RuntimeError, TypeError, NotImplementedError) as error:
        raise ExportError(
            f"the {type(model).__qualname__} cannot be copied, as exporting needs: {error}",
            "Remove what hooks have stored on it, and give every parameter its values.",
        ) from error
    plain: Any = getattr(twin, "set_grad_checkpointing", None)
    if plain is not None:
        plain(False)
    return twin


def trace(
    twin: nn.Module, image_shape: tuple[int, int, int], batch: BatchProfile, opset: int, *, exporter: str | None = None
) -> onnx.ModelProto:
    """The ONNX model of a `detached_copy`, as torch.onnx gives it.

    Args:
        twin: the copy.
        image_shape: channels, height and width of one image.
        batch: batch sizes; the axis is symbolic where they differ.
        opset: the file's opset.
        exporter: 'torchscript' or 'dynamo'; None for the first, and the second where that fails.

    Returns:
        A model with the input 'input' (N x C x H x W) and the output 'logits' (N x classes); weights inside.

    Raises:
        InvalidArgumentError: the model returns anything but one tensor, or cannot run on images of this shape.
        ExportError: neither exporter takes it; with both reasons.
    """
    example = batch.opt if not batch.dynamic else max(2, batch.opt)  # 1 would be taken for a broadcast axis
    images = torch.randn(example, *image_shape, generator=torch.Generator().manual_seed(0))
    exporters: dict[str, Callable[..., onnx.ModelProto]] = {"torchscript": _torchscript, "dynamo": _dynamo}
    reasons: list[str] = []
    causes: list[Exception] = []
    hook = twin.register_forward_hook(_one_tensor)
    try:
        for name in [exporter] if exporter else exporters:
            try:
                with quiet():
                    return exporters[name](twin, images, batch, opset)
            except Exception as error:  # torch.onnx raises classes of many kinds; all are reported below
                known = _known_error(error)
                if known is not None:
                    raise known from None
                if not causes:
                    _check_runs(twin, images)
                reasons.append(f"{name}: {type(error).__name__}: {_first_line(error)}")
                causes.append(error)
    finally:
        hook.remove()
    what = f"the {type(twin).__qualname__} at opset {opset}"
    raise ExportError(
        f"torch {torch.__version__} cannot export {what}: {'; '.join(reasons)}.",
        f"Opset {_DYNAMO_MIN_OPSET} may do (--opset {_DYNAMO_MIN_OPSET}): torch's newer exporter writes it as it is."
        if opset < _DYNAMO_MIN_OPSET
        else "Another opset may do; the causes stand in the traceback.",
    ) from causes[0]


def in_float64(twin: nn.Module, images: np.ndarray) -> np.ndarray:
    """What a `detached_copy` computes in float64; it is left in float64."""
    with torch.inference_mode():
        logits: np.ndarray = twin.double()(torch.from_numpy(images).double()).numpy()
    return logits


def _torchscript(twin: nn.Module, images: Tensor, batch: BatchProfile, opset: int) -> onnx.ModelProto:
    buffer = io.BytesIO()
    unlogged = twin.register_forward_hook(_without_log)
    try:
        torch.onnx.export(
            twin,
            (images,),
            cast(Any, buffer),  # the tracing exporter writes to any file object, whatever torch's types say
            dynamo=False,
            opset_version=min(opset, TRACED_OPSETS[-1]),
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_axes={INPUT: {0: BATCH_AXIS}, OUTPUT: {0: BATCH_AXIS}} if batch.dynamic else None,
        )
    finally:
        unlogged.remove()
    return _at_opset(onnx.load_from_string(buffer.getvalue()), opset)


def _dynamo(twin: nn.Module, images: Tensor, batch: BatchProfile, opset: int) -> onnx.ModelProto:
    shapes: Any = ({0: torch.export.Dim(BATCH_AXIS, min=batch.min, max=batch.max)},) if batch.dynamic else None
    program = torch.onnx.export(
        twin,
        (images,),
        dynamo=True,
        opset_version=max(opset, _DYNAMO_MIN_OPSET),
        input_names=[INPUT],
        output_names=[OUTPUT],
        dynamic_shapes=shapes,
        external_data=False,
        optimize=True,
        verbose=False,
    )
    model: onnx.ModelProto = program.model_proto  # type: ignore[union-attr]
    for node in model.graph.node:  # they hold stack traces, with the paths of this machine
        del node.metadata_props[:]
    return _at_opset(model, opset)


def _at_opset(model: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    """The model at an opset that its exporter may not write; with an IR version that knows the opset."""
    if next(each.version for each in model.opset_import if not each.domain) != opset:
        model = onnx.version_converter.convert_version(model, opset)
        for node in model.graph.node:  # onnx's converter forgets it; only ReduceSum had it before opset 18
            kept = [each for each in node.attribute if each.name != "noop_with_empty_axes"]
            if opset < 18 and len(kept) < len(node.attribute) and node.op_type != "ReduceSum":
                del node.attribute[:]
                node.attribute.extend(kept)
    model.ir_version = max(model.ir_version, onnx.helper.find_min_ir_version_for(model.opset_import, True))
    return model


def _one_tensor(module: nn.Module, inputs: Any, output: Any) -> None:
    """Forward hook: refuse what has no single output."""
    if not isinstance(output, Tensor):
        raise InvalidArgumentError(
            f"the model must return one tensor of logits, but the {type(module).__qualname__} returns "
            f"a {type(output).__name__}.",
            "Build it without features_only=True (and without forward_intermediates).",
        )


def _without_log(module: nn.Module, inputs: Any, output: Any) -> None:
    """Forward hook: torch turns its log on for every such export, and prints the graph of one that fails whole.

    On standard output, from C++: nothing but its own switch keeps it from there, once the export has begun.
    """
    switch = getattr(torch._C, "_jit_set_onnx_log_enabled", None)
    if switch is not None:
        switch(False)


def _check_runs(twin: nn.Module, images: Tensor) -> None:
    """Raise InvalidArgumentError where the model itself, not its export, fails on images of this shape."""
    try:
        with torch.inference_mode():
            twin(images)
    except (RuntimeError, ValueError) as error:
        raise InvalidArgumentError(
            f"the model cannot run on images of {' x '.join(map(str, images.shape))}: {_first_line(error)}",
            "Pass the input_px that it is meant for.",
        ) from error


def _known_error(error: BaseException) -> GpunetError | None:
    """The error of ours that a framework wrapped into its own, if there is one."""
    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, GpunetError):
        seen = seen.__cause__
    return seen


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else "no message"


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the exporters' deprecation notes and progress to themselves; every setting is put back."""
    levels = {name: logging.getLogger(name).level for name in _LOGGERS}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in levels:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)
