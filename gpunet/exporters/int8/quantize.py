"""INT8 by post-training calibration: Q/DQ nodes in the graph, and what they cost in accuracy on the same images.

    x       values that a tensor held on the calibration images (a sample of them)
    s, z    scale and zero point: x is kept as the integer round(x / s) + z
    error   mean of (x - s * (integer - z)) ** 2

Each tensor's range is the one of least error, among ranges that clip more or less of its tail. Ends taken as they are
waste the integers on outliers; ends averaged over images, which is what NNCF does, clip too much. See docs/decisions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gpunet import runtime as runtimes
from gpunet.core.arguments import checked_choice
from gpunet.errors import ExportError
from gpunet.exporters.graph.types import check_precision
from gpunet.exporters.int8.calibration import CalibrationImages
from gpunet.exporters.int8.qdq import SMALLEST_SCALE, Scale, insert, name_nodes
from gpunet.exporters.int8.qdq_plan import plan
from gpunet.exporters.int8.ranges import TensorRange, logits_of, tensor_ranges
from gpunet.runtime.formats import Int8Layout

if TYPE_CHECKING:
    from onnx import ModelProto

_BINS = 2048
_FRACTIONS = np.linspace(1.0, 0.2, 41)


@dataclass(frozen=True)
class QuantizationReport:
    """What quantisation did to a network, measured on the images that it was calibrated on.

    Args:
        layout: the runtime that the integers are laid out for.
        images: where they are from, in words.
        image_count: how many.
        int8_layers: layers whose weights and inputs are 8-bit integers.
        float_layers: names of those that stay in float.
        int8_multiply_adds_percent: share of all multiply-adds that are computed in integers.
        top1_percent_before, top1_percent_after: accuracy on the images; None without labels.
        top1_agreement_percent: images with the same first class before and after.
        mean_cosine, min_cosine: of the logits before and after.
        folder: that the images lie in, as it was given; '' where they are from elsewhere.
    """

    layout: str
    images: str
    image_count: int
    int8_layers: int
    float_layers: tuple[str, ...]
    int8_multiply_adds_percent: float
    top1_percent_before: float | None
    top1_percent_after: float | None
    top1_agreement_percent: float
    mean_cosine: float
    min_cosine: float
    folder: str = ""

    @property
    def top1_change_percent(self) -> float | None:
        """Points of accuracy gained (or lost, below 0); None without labels."""
        if self.top1_percent_before is None or self.top1_percent_after is None:
            return None
        return self.top1_percent_after - self.top1_percent_before

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {**asdict(self), "float_layers": list(self.float_layers)}

    def __str__(self) -> str:
        accuracy = "no labels, so no accuracy"
        if self.top1_percent_before is not None and self.top1_percent_after is not None:
            accuracy = (
                f"top-1 {self.top1_percent_after:.1f} % ({self.top1_percent_after - self.top1_percent_before:+.1f})"
            )
        return (
            f"int8 for {self.layout}: {self.int8_layers} layers, {self.int8_multiply_adds_percent:.1f} % of the "
            f"multiply-adds; on {self.images}: {accuracy}, agreement with float32 {self.top1_agreement_percent:.1f} %, "
            f"cosine {self.mean_cosine:.4f} (least {self.min_cosine:.4f})"
        )


def int8_from_float(
    model: ModelProto,
    images: CalibrationImages,
    *,
    layout: str = "tensorrt",
    leave_out: Sequence[str] = (),
    held: dict[str, TensorRange] | None = None,
) -> tuple[ModelProto, QuantizationReport]:
    """Quantise a network to 8-bit integers.

    Args:
        model: a float32 graph with BatchNorm folded, as `onnx_from_network` makes it; it is not changed.
        images: like those that the network will see; about a hundred do.
        layout: 'tensorrt' (signed: the only one that TensorRT takes, and every other runtime runs it rightly),
            'openvino' or 'onnxruntime' (unsigned: closer to float32, and on a processor fast on ONNX Runtime too).
        leave_out: names of layers (nodes) to leave in float.
        held: is given what each quantised tensor held on the images, where it is a dict: a proof holds scales to it.

    Returns:
        The graph with Q/DQ nodes, and the report.

    Raises:
        InvalidArgumentError: (a ValueError) an argument is not valid, or the images are not what the graph takes.
        ExportError: (a RuntimeError) the network computes NaN or infinity on the images.
    """
    known = runtimes.layouts()
    chosen = known[checked_choice("layout", layout, known)]
    model = name_nodes(model)
    planned = plan(model, chosen, leave_out)
    before: list[np.ndarray] = []
    ranges = tensor_ranges(model, planned.tensors, images, before)
    for name, span in ranges.items():
        if not np.isfinite([span.low, span.high]).all():
            raise ExportError(
                f"the network computes {span.low:g} to {span.high:g} in the tensor {name}, so it cannot be quantised.",
                "Are these the right weights, and images prepared by the model's own transforms?",
            )
    if held is not None:
        held.update(ranges)
    scales = {name: best_scale(span, chosen) for name, span in ranges.items()}
    quantized = insert(model, planned, scales, chosen)
    check_precision(quantized, "int8", left_float=planned.float_layers)
    wanted, found = np.stack(before), logits_of(quantized, images)
    share = 100.0 * planned.int8_multiply_adds / max(1, planned.multiply_adds)
    return quantized, QuantizationReport(
        layout=chosen.name,
        images=images.source,
        image_count=len(images),
        int8_layers=len(planned.layers),
        float_layers=planned.float_layers,
        int8_multiply_adds_percent=share,
        **_accuracy(wanted, found, images.labels),
        folder=images.folder,
    )


def best_scale(held: TensorRange, layout: Int8Layout) -> Scale:
    """The scale and zero point of least error for the values that a tensor held."""
    low, high = min(held.low, 0.0), max(held.high, 0.0)
    counts, edges = np.histogram(held.samples, _BINS, (low, max(high, low + SMALLEST_SCALE)))
    values = (edges[:-1] + edges[1:]) / 2

    def error(low: float, high: float) -> float:
        scale = scale_of(low, high, layout)
        first, last = layout.integer_span
        integers = np.clip(np.round(values / scale.scale) + scale.zero_point, first, last)
        return float(np.dot(counts, (values - scale.scale * (integers - scale.zero_point)) ** 2))

    best = min(_FRACTIONS, key=lambda fraction: error(low * fraction, high * fraction))
    if layout.signed:
        return scale_of(low * best, high * best, layout)
    # Ends that differ in kind, as swish's -0.28 and its long upper tail, are clipped each by itself.
    low_fraction = high_fraction = float(best)
    high_fraction = min(_FRACTIONS, key=lambda fraction: error(low * low_fraction, high * fraction))
    low_fraction = min(_FRACTIONS, key=lambda fraction: error(low * fraction, high * high_fraction))
    high_fraction = min(_FRACTIONS, key=lambda fraction: error(low * low_fraction, high * fraction))
    return scale_of(low * low_fraction, high * high_fraction, layout)


def scale_of(low: float, high: float, layout: Int8Layout) -> Scale:
    """The scale and zero point at which a layout's integers span low <= 0 <= high."""
    if layout.signed:
        return Scale(float(max(-low / 128, high / 127, SMALLEST_SCALE)), 0)
    scale = float(max((high - low) / 255, SMALLEST_SCALE))
    return Scale(scale, int(np.clip(round(-low / scale), 0, 255)))


def _accuracy(wanted: np.ndarray, found: np.ndarray, labels: np.ndarray | None) -> dict[str, Any]:
    norms = np.linalg.norm(wanted, axis=1) * np.linalg.norm(found, axis=1)
    cosines = np.divide((wanted * found).sum(axis=1), norms, out=np.ones_like(norms), where=norms > 0)
    first, second = wanted.argmax(axis=1), found.argmax(axis=1)
    known = labels is not None
    return {
        "top1_percent_before": 100.0 * float(np.mean(first == labels)) if known else None,
        "top1_percent_after": 100.0 * float(np.mean(second == labels)) if known else None,
        "top1_agreement_percent": 100.0 * float(np.mean(first == second)),
        "mean_cosine": float(cosines.mean()),
        "min_cosine": float(cosines.min()),
    }
