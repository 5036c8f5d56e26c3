"""A network's ONNX graph at the precision asked for, compared with PyTorch: what every format is made of.

Two comparisons make the proof: of the float32 graph with PyTorch, as closely as float32 allows; and at another
precision of the graph with that one, inside and at its end. Either would be blind alone.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpunet import runtime as runtimes
from gpunet.exporters.graph.bfloat16 import bfloat16_from_float
from gpunet.exporters.graph.half import check_half_range, half_from_float
from gpunet.exporters.graph.types import check_precision
from gpunet.exporters.images import Images, ImageSet, image_set
from gpunet.exporters.onnx import check_graph, image_shape, onnx_from_network
from gpunet.exporters.verify import FAILED, Verification, compare, logits_of
from gpunet.exporters.verify_graph import insides, pictures_of
from gpunet.runtime.batch import BatchProfile

if TYPE_CHECKING:
    from onnx import ModelProto
    from torch import nn

    from gpunet.exporters.int8.calibration import Calibration
    from gpunet.exporters.int8.quantize import QuantizationReport
    from gpunet.exporters.int8.ranges import TensorRange


@dataclass(frozen=True)
class VerifiedGraph:
    """A graph, and what it was compared on.

    Args:
        float32: the graph that it was made of; itself at fp32.
        model: the graph at its precision, float32 at input and output.
        final: what is written: `model`, or with half at input and output too.
        images: that it was compared on.
        batch: the batch sizes it takes.
        verification: how it was compared with PyTorch.
        quantization: what INT8 did to the accuracy; None at other precisions.
        held: what its quantised tensors held on the calibration's pictures; nothing at other precisions.
    """

    float32: ModelProto
    model: ModelProto
    final: ModelProto
    images: ImageSet
    batch: BatchProfile
    verification: Verification
    quantization: QuantizationReport | None
    held: dict[str, TensorRange]


def verified_graph(
    model: nn.Module,
    *,
    precision: str,
    batch: BatchProfile,
    opset: int,
    input_px: int | tuple[int, int] | None = None,
    io_fp16: bool = False,
    layout: str = "tensorrt",
    images: Images | None = None,
    calibration: Calibration | None = None,
    leave_out: Sequence[str] = (),
    keep: bool = False,
) -> VerifiedGraph:
    """Export a network, bring it to a precision, and compare it with PyTorch through ONNX Runtime.

    Args:
        model, precision, opset, input_px, io_fp16, images, calibration, leave_out: see
            `gpunet.exporters.deployment.deploy`.
        batch: the batch sizes it takes.
        layout: of 8-bit integers.
        keep: return a graph that fails the comparison, too.

    Raises:
        See `gpunet.exporters.deployment.deploy`.
    """
    from gpunet.exporters.graph.trace import detached_copy, in_float64

    shape = image_shape(model, input_px)
    verified_on = image_set(model, shape, images)
    float32 = onnx_from_network(model, batch_size=batch.sizes, opset=opset, input_px=shape[1:])
    quantized: QuantizationReport | None = None
    held: dict[str, TensorRange] = {}
    proto = float32
    if precision == "fp16":
        check_half_range(float32, verified_on.arrays)
        proto = half_from_float(float32)
    elif precision == "bf16":
        proto = bfloat16_from_float(float32)
    elif precision == "int8":
        from gpunet.exporters.int8.calibration import calibration_images, some_of
        from gpunet.exporters.int8.quantize import int8_from_float

        chosen = calibration_images(model, shape, calibration)
        # Integers cover the range of the pictures that they were calibrated on: not that of noise, nor of other ones.
        verified_on = pictures_of(verified_on) if images is not None or len(chosen) < 2 else some_of(chosen)
        proto, quantized = int8_from_float(float32, chosen, layout=layout, leave_out=leave_out, held=held)
    check_graph(proto)
    check_precision(proto, precision, left_float=() if quantized is None else quantized.float_layers)
    network, runtime = runtimes.get("pytorch"), runtimes.get("onnxruntime")
    reference = network.load(detached_copy(model))
    wanted = logits_of(reference, verified_on)
    in_double = functools.cache(lambda: detached_copy(model))
    verification = compare(
        reference,
        runtime.load(float32),
        verified_on,
        batch_sizes=batch.ends,
        wanted=wanted,
        exact=lambda images: in_float64(in_double(), images),
    )
    if precision != "fp32":
        sound = verification
        verification = compare(
            reference,
            runtime.load(proto, precision="fp32" if precision == "bf16" else precision),
            verified_on,
            batch_sizes=batch.ends,
            precision=precision,
            wanted=wanted,
            layers=insides(float32, proto, proto, "onnxruntime", precision, verified_on, batch, held),
        )
        if not sound.passed:
            reasons = [f"the float32 graph that it was made of {sound}", verification.reason]
            verification = dataclasses.replace(verification, outcome=FAILED, reason="; ".join(filter(None, reasons)))
    if not keep:
        verification.require_passed()
    final = half_from_float(float32, io_fp16=True) if io_fp16 else proto
    return VerifiedGraph(float32, proto, final, verified_on, batch, verification, quantized, held)
