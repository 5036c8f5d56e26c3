"""benchmark: a network's latency on this machine, whatever form the network comes in."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpunet.core.arguments import checked_choice, checked_integer
from gpunet.errors import InvalidArgumentError, RuntimeUnavailableError
from gpunet.exporters.reference import reference_for
from gpunet.runtime import Runtime, Session
from gpunet.runtime import available as available_runtime
from gpunet.runtime import get as get_runtime
from gpunet.runtime.base import PRECISIONS, check_precision, not_computed_in
from gpunet.runtime.beside import measure_beside
from gpunet.runtime.timing import MIN_REPEATS, MIN_TIME_S, WARMUP_S, Measurement, noise
from gpunet.zoo.catalog import Zoo, entry_named
from gpunet.zoo.file_session import file_named, session_from_file

if TYPE_CHECKING:
    import numpy as np
    from torch import nn


def benchmark(
    model: nn.Module | str | Path,
    *,
    runtime: str | None = None,
    batch_size: int = 1,
    precision: str | None = None,
    threads: int | None = None,
    input_px: int | tuple[int, int] | None = None,
    warmup_s: float = WARMUP_S,
    min_repeats: int = MIN_REPEATS,
    min_time_s: float = MIN_TIME_S,
    clock: Callable[[], float] = time.perf_counter,
    zoo: Zoo = None,
) -> Measurement:
    """Latency of a network on this machine, in milliseconds for a whole batch.

    Args:
        model: a GPUNet, any timm model or other nn.Module; a file that `gpunet-export` made (.onnx, OpenVINO's .xml, an
            engine) or any other .onnx; or the name of a zoo entry, which is built untrained (latency does not depend
            on the weights' values).
        runtime: 'openvino', 'onnxruntime', 'pytorch', ...; None for the best installed: TensorRT, else OpenVINO, else
            ONNX Runtime. All but 'pytorch' are given the network as ONNX.
        batch_size: images a run; a file may fix it.
        precision: to compute in: 'fp32', 'fp16' (half weights and activations) or 'bf16' (OpenVINO, on processors that
            have it); of a file, its own, 'fp32' for one in fp16 or bf16, 'bf16' for one in fp32. None for 'fp32'; of a
            file for its own, and for 'fp32' where that cannot be computed here. The figure is called by what was
            computed.
        threads: threads that compute; None for all available to this process.
        input_px: side of the square input, or (height, width); None for the model's own.
        warmup_s: least seconds of untimed runs.
        min_repeats: least timed runs.
        min_time_s: least seconds of timed runs.
        clock: seconds, monotonic; tests pass their own.
        zoo: folders of one's own entries, for a name.

    Returns:
        Median (`latency_ms`), mean, percentiles, spread, repeats and conditions, with the reference that was timed
        before and after it (`gpunet.runtime.reference`), or a GPU's clocks. Where those moved by more than 5 %, it was
        measured a second time. The images are Gaussian noise.

    Warns:
        NoisyMachineWarning: the repeats lie too far apart for the figure to be relied on, or the machine's speed moved
            both times.

    Raises:
        InvalidArgumentError: (a ValueError) an argument is out of range, or is not what the model takes.
        UnknownModelError: (a LookupError) the zoo has no entry of that name.
        RuntimeUnavailableError: (a RuntimeError) the runtime cannot run here, or not at this precision.
    """
    path = file_named(model)
    if path is None:
        chosen = available_runtime(runtime)
    check_batch_size(batch_size)
    if precision is not None:
        checked_choice("precision", precision, PRECISIONS)
    for side in () if input_px is None else _sides(input_px):
        checked_integer("input_px", side, 1)
    how: dict[str, Any] = {"warmup_s": warmup_s, "min_repeats": min_repeats, "min_time_s": min_time_s, "clock": clock}
    if path is not None:
        session = session_from_file(path, runtime=runtime, precision=precision, threads=threads)
        reference = reference_for(get_runtime(session.runtime), threads, clock)
        images = images_for(session, batch_size, input_px)
        return measure_beside(session, images, reference, conditions={"model": path.name}, **how)
    network: Any = model
    if isinstance(model, str):
        from gpunet.zoo.models import model_from_entry

        network = model_from_entry(entry_named(model, zoo), pretrained=False)
    with _evaluation_mode(network):
        session, images = session_from_network(
            network,
            chosen,
            batch_size=batch_size,
            precision=precision or "fp32",
            threads=threads,
            input_px=input_px,
        )
        reference = reference_for(chosen, threads, clock) if session.device == "cpu" else None
        return measure_beside(session, images, reference, conditions={"model": network_name(network)}, **how)


def check_batch_size(batch_size: int) -> None:
    """Raise InvalidArgumentError unless it is an integer of 1 or more."""
    checked_integer("batch_size", batch_size, 1)


def check_network_precision(precision: str) -> None:
    """Raise where a network cannot be measured at this precision without a file that holds it."""
    if precision == "int8":
        raise RuntimeUnavailableError(
            "a network that is exported for measuring runs at fp32, fp16 or bf16, but got precision 'int8'.",
            "INT8 needs calibration: gpunet-export MODEL -o FILE --precision int8 --calibration FOLDER, then measure "
            "the file: 'gpunet bench FILE'.",
        )


def session_from_network(
    model: nn.Module,
    runtime: Runtime,
    *,
    batch_size: int,
    precision: str = "fp32",
    threads: int | None = None,
    input_px: int | tuple[int, int] | None = None,
) -> tuple[Session, np.ndarray]:
    """A module loaded into a runtime, by way of ONNX for all but 'pytorch', and images for it.

    Branches that fuse for inference are fused; `session.conditions['reparameterized']` says so.

    Raises:
        InvalidArgumentError: it is no nn.Module, or its input size is not known.
        RuntimeUnavailableError: not at this precision.
    """
    import torch

    if not isinstance(model, torch.nn.Module):
        raise InvalidArgumentError(
            "model must be an nn.Module, the path of an .onnx or .xml or engine file, or a name of the zoo, but got "
            f"{model!r}."
        )
    check_network_precision(precision)
    check_precision(runtime.name, precision, runtime.precisions)
    from gpunet.exporters.metadata import REPARAMETERIZED
    from gpunet.exporters.onnx import image_shape, onnx_from_network
    from gpunet.model.reparameterized import reparameterized

    shape = (batch_size, *image_shape(model, input_px))
    source: Any
    if runtime.name == "pytorch":
        source, fused = reparameterized(model)
    else:  # the export fuses, and some networks cannot be fused twice
        source = onnx_from_network(model, batch_size=batch_size, input_px=shape[2:])
        fused = any(each.key == REPARAMETERIZED for each in source.metadata_props)
        if precision == "fp16":
            from gpunet.exporters.graph.half import half_from_float

            source = half_from_float(source)
    session = runtime.load(source, precision=precision, threads=threads)
    if session.precision != precision:
        raise not_computed_in(runtime, session.precision, precision)
    if fused:
        session.conditions = {**session.conditions, "reparameterized": True}
    return session, noise(shape)


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


def images_for(session: Session, batch_size: int, input_px: int | tuple[int, int] | None = None) -> np.ndarray:
    """Images that a session takes: its own sizes, and the ones given where it leaves them open.

    Raises:
        InvalidArgumentError: a size given is not the network's, or none is known.
    """
    names = ("batch_size", "in_chans", "input_px", "input_px")
    given = (batch_size, None, *_sides(input_px))
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


def _sides(input_px: int | tuple[int, int] | None) -> tuple[int | None, int | None]:
    """Height and width."""
    return input_px if isinstance(input_px, tuple) else (input_px, input_px)


def network_name(model: nn.Module) -> str:
    """Name of the entry a module was made from, else timm's name, else its class."""
    entry = getattr(model, "entry", None)
    if entry is not None:
        return str(entry.name)
    cfg = getattr(model, "pretrained_cfg", None) or {}
    return str(cfg.get("architecture") or type(model).__name__)
