"""The numbers of an exported file compared with what it was made of: with PyTorch, or with an ONNX file."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gpunet.core.files import sha256_of
from gpunet.errors import ExportError
from gpunet.exporters.graph.bfloat16 import bfloat16_from_float
from gpunet.exporters.graph.half import half_from_float
from gpunet.exporters.graph.opset import DEFAULT_OPSET
from gpunet.exporters.graph.types import opset_of
from gpunet.exporters.images import Images, ImageSet, image_set
from gpunet.exporters.metadata import FileFacts
from gpunet.exporters.verify import FAILED, NOT_VERIFIED, Verification, compare
from gpunet.exporters.verify_graph import insides, pictures_of
from gpunet.runtime.batch import BatchProfile
from gpunet.runtime.onnx_precision import read_onnx
from gpunet.zoo.catalog import Zoo
from gpunet.zoo.reference import Reference, onnx_beside, reference_from_onnx, reference_from_pytorch

if TYPE_CHECKING:
    from onnx import ModelProto

    from gpunet.runtime import Session

_IN_PRECISION: dict[str, Callable[[ModelProto], ModelProto]] = {"fp16": half_from_float, "bf16": bfloat16_from_float}


@dataclass(frozen=True)
class ComparedNumbers:
    """How the numbers compare.

    Args:
        outcome: 'verified', 'failed' or 'not verified'.
        said: the figures, or why there are none.
        verification: the figures; None where there are none.
    """

    outcome: str
    said: str
    verification: Verification | None = None


def compare_numbers(
    path: Path, facts: FileFacts, session: Session, precision: str, sizes: tuple[int, int, int], classes: int, *,
    against: Path | None, weights: str | Path | None, images: Images | None, zoo: Zoo,
) -> ComparedNumbers:  # fmt: skip
    """Compare a file's numbers, at its end and inside.

    Args:
        path, facts, session, precision: the file, what it says of itself, and how it is run.
        sizes, classes: of its input and output.
        against, weights, images, zoo: see `gpunet.zoo.proof.prove_file`.
    """
    batch = facts.batch or BatchProfile.parse(session.input_shape[0] or 1)
    model = _graph_of(path, against, facts)
    if against is not None:
        reference: Reference | str = reference_from_onnx(against, facts)
    else:
        opset = DEFAULT_OPSET if model is None else opset_of(model)
        reference = reference_from_pytorch(facts, sizes[0], classes, weights, zoo, batch, opset)
        beside = onnx_beside(path, facts)
        if isinstance(reference, str) and beside is not None:
            reference = reference_from_onnx(beside, facts)
    if isinstance(reference, str):
        return ComparedNumbers(NOT_VERIFIED, reference)
    compared_on = images_for(facts, sizes, images, precision)
    try:
        sound = reference.graph()
        if model is None and precision != "int8":
            model = _IN_PRECISION[precision](sound) if precision in _IN_PRECISION else sound
        layers = None
        if model is not None:
            layers = insides(sound, model, path, session.runtime, precision, compared_on, batch)
        compared = compare(
            reference.session, session, compared_on, batch_sizes=batch.ends, precision=precision, layers=layers,
            exact=reference.exact,
        )  # fmt: skip
    except ExportError as error:
        return ComparedNumbers(FAILED, error.message.rstrip("."))
    if _of_another_domain(compared, precision, facts, images):
        reason = f"{compared.reason}: perhaps since these are not what it was calibrated on; name such by --images"
        compared = dataclasses.replace(compared, outcome=NOT_VERIFIED, reason=reason)
    said = str(compared).partition(": ")[2]
    return ComparedNumbers(compared.outcome, f"{said} ({reference.said})", compared)


def _graph_of(path: Path, against: Path | None, facts: FileFacts) -> ModelProto | None:
    """The ONNX graph of a file at its own precision: itself, or the very one that it was made of."""
    if path.suffix.lower() == ".onnx":
        return read_onnx(path)
    known = None if facts.sidecar is None else facts.sidecar.onnx_sha256
    if against is not None and known == sha256_of(against):
        return read_onnx(against)
    beside = onnx_beside(path, facts)
    return None if beside is None else read_onnx(beside)


def _of_another_domain(compared: Verification, precision: str, facts: FileFacts, images: Images | None) -> bool:
    """Whether what failed may be the images' fault: integers that were calibrated on others, and nothing else wrong."""
    strange = precision == "int8" and images is None and _calibrated_on(facts) is None
    return compared.outcome == FAILED and strange and compared.layers is not None and not compared.layers.faults


def _calibrated_on(facts: FileFacts) -> Path | None:
    """The folder of pictures that an int8 file was calibrated on, where it is still there."""
    report = (facts.sidecar.report if facts.sidecar is not None else None) or {}
    folder = (report.get("quantization") or {}).get("folder")
    return Path(folder) if folder and Path(folder).is_dir() else None


def images_for(facts: FileFacts, shape: tuple[int, int, int], images: Images | None, precision: str) -> ImageSet:
    """What a file is compared on: the images given, else those that integers were calibrated on, else photographs."""
    integers = precision == "int8"
    if integers and images is None:
        images = _calibrated_on(facts)
    chosen = image_set(dict(facts.preprocessing or {}), shape, images)
    return pictures_of(chosen) if integers else chosen  # integers cover the range of pictures, not of noise
