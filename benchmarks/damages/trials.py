"""What proofs say of networks, healthy and damaged, and which class comes first on pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from damages.kinds import DAMAGES, damaged
from damages.subjects import BATCH, Healthy, Subject
from gpunet import runtime as runtimes
from gpunet.errors import VerificationError
from gpunet.exporters.images import ImageSet
from gpunet.exporters.int8.calibration import some_of
from gpunet.exporters.verify_graph import verify_graph

if TYPE_CHECKING:
    from onnx import ModelProto


@dataclass(frozen=True)
class Trial:
    """What one damage did; of kind '' for a healthy graph.

    Args:
        network, runtime, precision, kind: what was damaged, and how.
        found: whether the proof failed.
        top1_change_percent: pictures whose first class is another than the healthy graph's at that precision.
        said: by the proof.
        end, inside: of what is allowed, the share that the end used, and the operators; None where there is no figure.
    """

    network: str
    runtime: str
    precision: str
    kind: str
    found: bool
    top1_change_percent: float
    said: str
    end: float | None = None
    inside: float | None = None

    @property
    def missed(self) -> bool:
        """Whether it does harm and was not found; of a healthy graph, whether it was."""
        return self.found if not self.kind else not self.found and self.top1_change_percent > 1.0


def trials(
    network: Subject, runtime: str, precision: str, kinds: Sequence[str] = tuple(DAMAGES), places: int = 1
) -> Iterator[Trial]:
    """The healthy graph first, then each kind of damage at so many places."""
    images = some_of(network.calibration, 8)
    healthy = network.healthy(precision, runtime)
    first = _first_classes(healthy.graph, runtime, network.pictures)
    yield _tried(network, runtime, precision, "", healthy.graph, healthy, first, images)
    for kind in kinds:
        for place in range(places):
            graph = damaged(healthy.graph, kind, place)
            if graph is not None:
                yield _tried(network, runtime, precision, kind, graph, healthy, first, images)


def _tried(
    network: Subject, runtime: str, precision: str, kind: str, graph: ModelProto, healthy: Healthy, first: np.ndarray,
    images: ImageSet,
) -> Trial:  # fmt: skip
    end = inside = None
    try:
        proof = verify_graph(
            graph, network.float32, runtime=runtime, precision=precision, images=images, held=healthy.held
        )
        found, said = not proof.passed, str(proof)
        if proof.max_abs_difference is not None and proof.allowed_difference:
            end = proof.max_abs_difference / proof.allowed_difference
        inside = None if proof.layers is None else proof.layers.error / proof.layers.allowed_error
    except VerificationError as error:
        found, said = True, str(error)
    try:
        changed = 100.0 * float(np.mean(_first_classes(graph, runtime, network.pictures) != first))
    except Exception:  # the runtime cannot run it; they raise classes of many kinds
        changed = 100.0
    return Trial(network.name, runtime, precision, kind, found, changed, said, end, inside)


def _first_classes(graph: ModelProto, runtime: str, pictures: np.ndarray) -> np.ndarray:
    session = runtimes.get(runtime).load(graph)
    batches = [pictures[start : start + BATCH] for start in range(0, len(pictures), BATCH)]
    return np.concatenate([session.run(np.ascontiguousarray(batch)).argmax(1) for batch in batches])
