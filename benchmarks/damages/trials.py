"""Networks, healthy and damaged: what their proofs say, and which class comes first on pictures.

An untrained network is given the BatchNorm statistics of pictures: which class is first then depends on the picture. It
is not tried at int8, where a sound export, too, changes the first class of half of the pictures.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from side_by_side import precisions

import gpunet
from damages.kinds import DAMAGES, damaged
from gpunet import runtime as runtimes
from gpunet.errors import GpunetError, VerificationError
from gpunet.exporters.graph.half import half_from_float
from gpunet.exporters.images import ImageSet
from gpunet.exporters.int8.calibration import CalibrationImages, calibration_images, some_of
from gpunet.exporters.int8.quantize import int8_from_float
from gpunet.exporters.onnx import image_shape, onnx_from_network
from gpunet.exporters.verify_graph import verify_graph

if TYPE_CHECKING:
    from onnx import ModelProto

PRECISIONS = ("fp32", "fp16", "int8")
DIGITS = "digits"
BATCH = 25
_TESTS = Path(__file__).parents[2] / "tests"


@dataclass(frozen=True)
class Subject:
    """A network to damage.

    Args:
        name: of it.
        float32: its graph, of an open batch.
        calibration: pictures of its domain, which it is verified on too.
        pictures: others, that tell which class comes first: `n x C x H x W`.
    """

    name: str
    float32: ModelProto
    calibration: CalibrationImages
    pictures: np.ndarray

    def graph(self, precision: str, runtime: str) -> ModelProto:
        """The healthy graph."""
        if precision == "int8":
            return int8_from_float(self.float32, self.calibration, layout=runtime)[0]
        return half_from_float(self.float32) if precision == "fp16" else self.float32

    @property
    def precisions(self) -> tuple[str, ...]:
        """At which it can be judged."""
        return PRECISIONS if self.name == DIGITS else PRECISIONS[:2]


@dataclass(frozen=True)
class Trial:
    """What one damage did; of kind '' for a healthy graph.

    Args:
        network, runtime, precision, kind: what was damaged, and how.
        found: whether the proof failed.
        top1_change_percent: pictures whose first class is another than the healthy graph's at that precision.
        said: by the proof.
    """

    network: str
    runtime: str
    precision: str
    kind: str
    found: bool
    top1_change_percent: float
    said: str

    @property
    def missed(self) -> bool:
        """Whether it does harm and was not found; of a healthy graph, whether it was."""
        return self.found if not self.kind else not self.found and self.top1_change_percent > 1.0


def subject(name: str, pictures: int, input_px: int | None = None) -> Subject:
    """'digits', which is trained (tests/helpers), or a network of the zoo or timm, untrained."""
    if name == DIGITS:
        return _digits(pictures)
    torch.manual_seed(0)
    model = _network(name)
    shape = image_shape(model, input_px)
    crops = precisions.crops(model, shape, pictures)
    precisions.settle(model, crops, len(crops))
    float32 = onnx_from_network(model, batch_size=(1, BATCH, BATCH), input_px=input_px)
    calibration = calibration_images(model, shape, np.stack(list(crops)[::2]))
    return Subject(name, float32, calibration, np.stack(list(crops)))


def _network(name: str) -> Any:
    if name in gpunet.list_models():
        return gpunet.load(name, pretrained=False)
    import timm

    return timm.create_model(name, pretrained=False).eval()


def _digits(pictures: int) -> Subject:
    if str(_TESTS) not in sys.path:
        sys.path.append(str(_TESTS))
    network, images, _ = importlib.import_module("helpers.trained_digits").trained()
    float32 = onnx_from_network(network, batch_size=(1, BATCH, BATCH))
    calibration = calibration_images(network, images.shape[1:], images[:128])
    return Subject(DIGITS, float32, calibration, images[128 : 128 + pictures])


def trials(
    network: Subject, runtime: str, precision: str, kinds: Sequence[str] = tuple(DAMAGES), places: int = 1
) -> Iterator[Trial]:
    """The healthy graph first, then each kind of damage at so many places."""
    images = some_of(network.calibration, 8)
    healthy = network.graph(precision, runtime)
    first = _first_classes(healthy, runtime, network.pictures)
    yield _tried(network, runtime, precision, "", healthy, first, images)
    for kind in kinds:
        for place in range(places):
            graph = damaged(healthy, kind, place)
            if graph is not None:
                yield _tried(network, runtime, precision, kind, graph, first, images)


def _tried(
    network: Subject, runtime: str, precision: str, kind: str, graph: ModelProto, first: np.ndarray, images: ImageSet
) -> Trial:
    try:
        proof = verify_graph(graph, network.float32, runtime=runtime, precision=precision, images=images)
        found, said = not proof.passed, str(proof)
    except VerificationError as error:
        found, said = True, str(error)
    try:
        changed = 100.0 * float(np.mean(_first_classes(graph, runtime, network.pictures) != first))
    except (GpunetError, RuntimeError, ValueError):  # the runtime cannot run it
        changed = 100.0
    return Trial(network.name, runtime, precision, kind, found, changed, said)


def _first_classes(graph: ModelProto, runtime: str, pictures: np.ndarray) -> np.ndarray:
    session = runtimes.get(runtime).load(graph)
    batches = [pictures[start : start + BATCH] for start in range(0, len(pictures), BATCH)]
    return np.concatenate([session.run(np.ascontiguousarray(batch)).argmax(1) for batch in batches])
