"""A graph in any precision compared with the float32 one it was made of, or by two runtimes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gpunet import runtime as runtimes
from gpunet.core.arguments import checked_choice
from gpunet.exporters.images import ImageSet
from gpunet.exporters.verify import TOLERANCES, Verification, compare

if TYPE_CHECKING:
    from onnx import ModelProto

    from gpunet.runtime.batch import BatchProfile

_RANDOM = "random image"


def verify_graph(
    candidate: ModelProto | Path,
    reference: ModelProto,
    *,
    runtime: str,
    precision: str,
    images: ImageSet,
    batch: BatchProfile | None = None,
) -> Verification:
    """Compare a graph with a reference that ONNX Runtime runs, by the tolerance of the candidate's precision.

    Both are run in float32 arithmetic wherever the graph leaves it open: few processors compute in half.

    Args:
        candidate: an ONNX graph, or the path of a file that the runtime reads.
        reference: the float32 graph; or the candidate's own, to compare runtimes.
        runtime: that runs the candidate: 'onnxruntime' or 'openvino'.
        precision: 'fp32', 'fp16' or 'int8': what the candidate is in.
        images: to compare on. Integers cover the range of pictures: compare an int8 graph with a float32 one on
            `pictures_of(images)`.
        batch: the batch sizes to try; None for the graph's own.

    Raises:
        InvalidArgumentError: (a ValueError) no such precision.
    """
    checked_choice("precision", precision, TOLERANCES)
    compared = compare(
        runtimes.get("onnxruntime").load(reference),
        runtimes.get(runtime).load(candidate),
        images,
        batch_sizes=None if batch is None else batch.ends,
        tolerance=TOLERANCES[precision],
    )
    return replace(compared, precision=precision)


def pictures_of(images: ImageSet) -> ImageSet:
    """The images without the random ones: what a network that was calibrated on pictures can be judged on."""
    kept = [place for place, kind in enumerate(images.kinds) if kind != _RANDOM]
    return ImageSet(np.ascontiguousarray(images.arrays[kept]), tuple(images.kinds[place] for place in kept))
