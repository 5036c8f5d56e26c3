"""A graph in any precision compared with the float32 one it was made of, or by two runtimes: at its end, and inside."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gpunet import runtime as runtimes
from gpunet.core.arguments import checked_choice
from gpunet.exporters.images import ImageSet
from gpunet.exporters.verify import TOLERANCES, Verification, compare
from gpunet.runtime.onnx_ports import image_input

if TYPE_CHECKING:
    from onnx import ModelProto

    from gpunet.exporters.int8.ranges import TensorRange
    from gpunet.exporters.layers import LayerComparison
    from gpunet.runtime.batch import BatchProfile

_RANDOM = "random image"
_INSIDE = 4  # images that the insides are compared on


def verify_graph(
    candidate: ModelProto | Path,
    reference: ModelProto,
    *,
    runtime: str,
    precision: str,
    images: ImageSet,
    batch: BatchProfile | None = None,
    held: Mapping[str, TensorRange] | None = None,
) -> Verification:
    """Compare a graph with a reference that ONNX Runtime runs, by the tolerance of the candidate's precision.

    Both are run in float32 arithmetic wherever the graph leaves it open: few processors compute in half. The insides of
    a graph are compared too; a file's are not, since only its ONNX graph says how it rounds: see `insides`.

    Args:
        candidate: an ONNX graph, or the path of a file that the runtime reads.
        reference: the float32 graph; or the candidate's own, to compare runtimes.
        runtime: that runs the candidate: 'onnxruntime' or 'openvino'.
        precision: 'fp32', 'fp16', 'bf16' or 'int8': what the candidate is in.
        images: to compare on. Integers cover the range of pictures: compare an int8 graph with a float32 one on
            `pictures_of(images)`.
        batch: the batch sizes to try; None for the graph's own.
        held: what tensors held on the calibration's pictures, as `int8_from_float` tells: scales must fit it.

    Raises:
        InvalidArgumentError: (a ValueError) no such precision.
    """
    checked_choice("precision", precision, TOLERANCES)
    computed = precision if runtime == "onnxruntime" and precision != "bf16" else "fp32"
    layers = None
    if not isinstance(candidate, Path):
        layers = insides(reference, candidate, candidate, runtime, precision, images, batch, held)
    return compare(
        runtimes.get("onnxruntime").load(reference),
        runtimes.get(runtime).load(candidate, precision=computed),
        images,
        batch_sizes=None if batch is None else batch.ends,
        precision=precision,
        layers=layers,
    )


def insides(
    reference: ModelProto,
    model: ModelProto,
    source: ModelProto | Path,
    runtime: str,
    precision: str,
    images: ImageSet,
    batch: BatchProfile | None = None,
    held: Mapping[str, TensorRange] | None = None,
) -> Callable[[], LayerComparison] | None:
    """What compares the insides of a network with a graph's, for `compare`.

    None where the runtime cannot be cut, or would be compared with itself: ONNX Runtime on the reference.

    Args:
        reference: the float32 graph.
        model: the graph at its precision, as ONNX.
        source: what the runtime runs: `model`, or a file made of it.
        runtime, precision: of the candidate.
        images: to compare on; four of them are.
        batch: the batch sizes that it takes; None for the graph's own.
        held: see `verify_graph`.
    """
    pieces: Any = getattr(runtimes.get(runtime), "pieces", None)
    if pieces is None or (source is reference and runtime == "onnxruntime"):
        return None
    places = np.unique(np.linspace(0, len(images) - 1, _INSIDE).round().astype(int))
    least = batch.min if batch is not None else image_input(model).type.tensor_type.shape.dim[0].dim_value or 1

    def compared() -> LayerComparison:
        from gpunet.exporters.layers import compare_layers

        return compare_layers(reference, model, pieces(source), images.arrays[places], precision, least, held)

    return compared


def pictures_of(images: ImageSet) -> ImageSet:
    """The images without the random ones: what a network that was calibrated on pictures can be judged on."""
    kept = [place for place, kind in enumerate(images.kinds) if kind != _RANDOM]
    return ImageSet(np.ascontiguousarray(images.arrays[kept]), tuple(images.kinds[place] for place in kept))
