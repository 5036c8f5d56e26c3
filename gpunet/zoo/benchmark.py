"""benchmark: a network's latency on this machine, whatever form the network comes in."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpunet import runtime as runtimes
from gpunet.errors import InvalidArgumentError, RuntimeUnavailableError
from gpunet.runtime import Runtime, Session
from gpunet.runtime.base import PRECISIONS
from gpunet.runtime.timing import MIN_REPEATS, MIN_TIME_S, WARMUP_S, Measurement, measure, noise
from gpunet.zoo.catalog import Zoo, entry_named

if TYPE_CHECKING:
    import numpy as np
    from torch import nn


def benchmark(
    model: nn.Module | str | Path,
    *,
    runtime: str | None = None,
    batch_size: int = 1,
    precision: str = "fp32",
    threads: int | None = None,
    input_px: int | None = None,
    warmup_s: float = WARMUP_S,
    min_repeats: int = MIN_REPEATS,
    min_time_s: float = MIN_TIME_S,
    clock: Callable[[], float] = time.perf_counter,
    zoo: Zoo = None,
) -> Measurement:
    """Latency of a network on this machine, in milliseconds for a whole batch.

    Args:
        model: a GPUNet, any timm model or other nn.Module; the path of an .onnx file; or the name of a zoo entry,
            which is built untrained (latency does not depend on the weights' values).
        runtime: 'openvino', 'onnxruntime', 'pytorch', ...; None for the best installed: TensorRT, else OpenVINO, else
            ONNX Runtime. All but 'pytorch' are given the network as ONNX.
        batch_size: images a run; an .onnx file may fix it.
        precision: 'fp32'; or 'fp16' for an .onnx file in half precision.
        threads: threads that compute; None for all available to this process.
        input_px: side of the square input; None for the model's own.
        warmup_s: least seconds of untimed runs.
        min_repeats: least timed runs.
        min_time_s: least seconds of timed runs.
        clock: seconds, monotonic; tests pass their own.
        zoo: folders of one's own entries, for a name.

    Returns:
        Median (`latency_ms`), mean, percentiles, spread, repeats and conditions. The images are Gaussian noise.

    Warns:
        NoisyMachineWarning: the repeats lie too far apart for the figure to be relied on.

    Raises:
        InvalidArgumentError: (a ValueError) an argument is out of range, or is not what the model takes.
        UnknownModelError: (a LookupError) the zoo has no entry of that name.
        RuntimeUnavailableError: (a RuntimeError) the runtime cannot run here, or not at this precision.
    """
    chosen = available_runtime(runtime)
    check_batch_size(batch_size)
    if precision not in PRECISIONS:
        raise InvalidArgumentError(f"precision must be one of {', '.join(PRECISIONS)}, but got {precision!r}.")
    if input_px is not None and (isinstance(input_px, bool) or not isinstance(input_px, int) or input_px < 1):
        raise InvalidArgumentError(f"input_px must be an integer of 1 or more, but got {input_px!r}.")
    how: dict[str, Any] = {"warmup_s": warmup_s, "min_repeats": min_repeats, "min_time_s": min_time_s, "clock": clock}
    if isinstance(model, Path) or (isinstance(model, str) and model.endswith(".onnx")):
        session = session_from_file(Path(model).expanduser(), chosen, precision, threads)
        images = images_for(session, batch_size, input_px)
        return measure(session, images, conditions={"model": Path(model).name}, **how)
    if isinstance(model, str):
        from gpunet.zoo.models import model_from_entry

        model = model_from_entry(entry_named(model, zoo), pretrained=False)
    with _evaluation_mode(model):
        session, images = session_from_network(
            model, chosen, batch_size=batch_size, precision=precision, threads=threads, input_px=input_px
        )
        return measure(session, images, conditions={"model": network_name(model)}, **how)


def available_runtime(name: str | None) -> Runtime:
    """The runtime of that name, or the best for None.

    Raises:
        InvalidArgumentError: there is none of that name.
        RuntimeUnavailableError: it cannot run here, with the reason.
    """
    if name is None:
        return runtimes.best()
    chosen = runtimes.get(name)
    reason = chosen.unavailable()
    if reason is not None:
        raise RuntimeUnavailableError(
            f"the runtime {name!r} cannot run here: {reason}", "Leave runtime out for the best that can."
        )
    return chosen


def check_batch_size(batch_size: int) -> None:
    """Raise InvalidArgumentError unless it is an integer of 1 or more."""
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise InvalidArgumentError(f"batch_size must be an integer of 1 or more, but got {batch_size!r}.")


def check_network_precision(precision: str) -> None:
    """Raise where a network cannot be measured at this precision without an .onnx file that holds it."""
    if precision != "fp32":
        raise RuntimeUnavailableError(
            f"a network that is exported for measuring runs at fp32, but got precision {precision!r}.",
            "Measure an .onnx file of that precision: gpunet.benchmark('network.onnx', precision=...).",
        )


def session_from_network(
    model: nn.Module,
    runtime: Runtime,
    *,
    batch_size: int,
    precision: str = "fp32",
    threads: int | None = None,
    input_px: int | None = None,
) -> tuple[Session, np.ndarray]:
    """A module loaded into a runtime, by way of ONNX for all but 'pytorch', and images for it.

    Raises:
        InvalidArgumentError: it is no nn.Module, or its input size is not known.
        RuntimeUnavailableError: not at this precision.
    """
    import torch

    if not isinstance(model, torch.nn.Module):
        raise InvalidArgumentError(
            f"model must be an nn.Module, the path of an .onnx file or a name of the zoo, but got {model!r}."
        )
    check_network_precision(precision)
    from gpunet.export.onnx import image_shape, onnx_from_network

    shape = (batch_size, *image_shape(model, input_px))
    source: Any = model
    if runtime.name != "pytorch":
        source = onnx_from_network(model, batch_size=batch_size, input_px=shape[2:])
    return runtime.load(source, precision=precision, threads=threads), noise(shape)


@contextlib.contextmanager
def _evaluation_mode(model: object) -> Iterator[None]:
    """Put a module into evaluation mode for the block; each of its parts gets its own mode back."""
    training = [each for each in model.modules() if each.training] if hasattr(model, "modules") else []
    for each in training:
        each.training = False
    try:
        yield
    finally:
        for each in training:
            each.training = True


def session_from_file(path: Path, runtime: Runtime, precision: str, threads: int | None) -> Session:
    """An .onnx file loaded into a runtime.

    Raises:
        InvalidArgumentError: it cannot be read, or its weights are of another precision.
    """
    session = runtime.load(path, precision=precision, threads=threads)
    found = graph_precision(path)
    if found != precision:
        raise InvalidArgumentError(
            f"{path}: its weights are {found}, but precision is {precision!r}.",
            f"Pass precision={found!r}, so that the figure says what it is of.",
        )
    return session


def graph_precision(path: Path) -> str:
    """'fp32', 'fp16' or 'int8': the least precise type that an ONNX file's weights (rank 2 and up) are kept in."""
    import onnx

    network = onnx.load(str(path), load_external_data=False)
    kinds = {weight.data_type for weight in network.graph.initializer if len(weight.dims) > 1}
    if kinds & {onnx.TensorProto.INT8, onnx.TensorProto.UINT8}:
        return "int8"
    return "fp16" if onnx.TensorProto.FLOAT16 in kinds else "fp32"


def images_for(session: Session, batch_size: int, input_px: int | None = None) -> np.ndarray:
    """Images that a session takes: its own sizes, and the ones given where it leaves them open.

    Raises:
        InvalidArgumentError: a size given is not the network's, or none is known.
    """
    names = ("batch_size", "in_chans", "input_px", "input_px")
    given = (batch_size, None, input_px, input_px)
    shape = []
    for name, asked, own in zip(names, given, session.input_shape, strict=True):
        if own is None and asked is None and name == "input_px":
            raise InvalidArgumentError(
                "the network takes images of any size, but input_px is not given.", "Pass input_px=..., e.g. 224."
            )
        if own is not None and asked is not None and asked != own:
            raise InvalidArgumentError(
                f"the network is fixed at {name}={own}, but got {name}={asked}.",
                f"Pass {name}={own}, or export it anew.",
            )
        shape.append(own or asked or 3)
    return noise(tuple(shape))


def network_name(model: nn.Module) -> str:
    """Name of the entry a module was made from, else timm's name, else its class."""
    entry = getattr(model, "entry", None)
    if entry is not None:
        return str(entry.name)
    cfg = getattr(model, "pretrained_cfg", None) or {}
    return str(cfg.get("architecture") or type(model).__name__)
