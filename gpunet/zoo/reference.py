"""What an exported file's numbers are compared with: PyTorch with the weights that it was made of, or an ONNX file."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gpunet import runtime as runtimes
from gpunet.core.files import sha256_of
from gpunet.errors import InvalidArgumentError, UnknownModelError
from gpunet.exporters.graph.opset import DEFAULT_OPSET
from gpunet.exporters.metadata import FileFacts, weights_sha256
from gpunet.exporters.onnx import onnx_from_network
from gpunet.model.origin import UNTRAINED
from gpunet.runtime.batch import BatchProfile
from gpunet.runtime.onnx_precision import read_onnx
from gpunet.zoo.catalog import Zoo, entry_named

if TYPE_CHECKING:
    from onnx import ModelProto
    from torch import nn

    from gpunet.runtime import Session


@dataclass(frozen=True)
class Reference:
    """What a file is compared with, and its ONNX graph, which the insides are compared with."""

    session: Session
    said: str
    graph: Callable[[], ModelProto]
    exact: Callable[[np.ndarray], np.ndarray] | None = None


def reference_from_onnx(path: Path, facts: FileFacts) -> Reference:
    """An ONNX file, run by ONNX Runtime; whether the file was made of this very one is said."""
    known = None if facts.sidecar is None else facts.sidecar.onnx_sha256
    same = known == sha256_of(path)
    said = "the ONNX that it was made of" if same else "not the very ONNX that it was made of" if known else "as named"
    session = runtimes.get("onnxruntime").load(path, precision=runtimes.format_of(path)[0][1].precision_of(path))
    return Reference(session, f"{path}: {said}", functools.partial(read_onnx, path))


def onnx_beside(path: Path, facts: FileFacts) -> Path | None:
    """The ONNX file beside an IR or an engine that it was made of."""
    beside = path.with_suffix(".onnx")
    if beside == path or facts.sidecar is None or not beside.is_file():
        return None
    return beside if sha256_of(beside) == facts.sidecar.onnx_sha256 else None


def reference_from_pytorch(
    facts: FileFacts, channels: int, classes: int, weights: str | Path | None, zoo: Zoo, batch: BatchProfile,
    opset: int = DEFAULT_OPSET,
) -> Reference | str:  # fmt: skip
    """The network in PyTorch, with the weights that the file was made of; else why it cannot be had.

    Args:
        facts: of the file.
        channels, classes: of its input and output.
        weights: a file of weights; None for those in the cache.
        zoo: folders of one's own entries.
        batch, opset: of the ONNX graph.
    """
    from gpunet.exporters.graph.trace import detached_copy, in_float64

    found = _network(facts, channels, classes, weights, zoo)
    if isinstance(found, str):
        return found
    model, source = found
    if facts.weights_sha256 is not None and weights_sha256(model) != facts.weights_sha256:
        if weights is None:
            return (
                f"it was not made of {source}: their SHA-256 differs. --weights FILE names its own, --against FILE "
                "the ONNX that it was made of; weights drawn at random (--no-pretrained) are in no file but itself"
            )
        source = f"{source}, not the weights that it was made of"
    twin = detached_copy(model)
    session = runtimes.get("pytorch").load(twin)
    graph = functools.partial(onnx_from_network, model, batch_size=batch.sizes, opset=opset)
    return Reference(session, f"PyTorch with {source}", graph, functools.partial(in_float64, detached_copy(model)))


def _network(
    facts: FileFacts, channels: int, classes: int, weights: str | Path | None, zoo: Zoo
) -> tuple[nn.Module, str] | str:
    """The network and what its weights are, in words; else why it cannot be had."""
    from gpunet.zoo.models import gpunet_from_spec, model_from_entry
    from gpunet.zoo.weights.loading import load_weights, weights_are_here

    sizes: dict[str, Any] = {"num_classes": classes, "in_chans": channels}
    try:
        entry = None if facts.model is None else entry_named(facts.model, zoo)
    except UnknownModelError:
        entry = None
    if entry is not None and entry.spec is not None and facts.spec_sha256 not in (None, entry.spec.sha256):
        entry = None  # another network of that name
    if weights is None:
        if facts.model is None:
            return "it does not say which network it is of: --against FILE, or --weights FILE with its spec in the file"
        if entry is None:
            return f"the zoo has no such network {facts.model!r}: --zoo DIR or --against FILE"
        if facts.weights.state == UNTRAINED:
            return f"its weights are untrained ({facts.weights.source}), and are in no file but itself: --against FILE"
        if not weights_are_here(entry):
            return f"the weights of {entry.name} are not in the cache: --weights FILE or --against FILE"
        return model_from_entry(entry, **sizes), f"the weights of {entry.name}"
    if entry is not None:
        return model_from_entry(entry, weights=weights, **sizes), str(weights)
    if facts.spec is None:
        raise InvalidArgumentError(
            "the file does not say which network the weights are for.", "Name its entry's folder (--zoo DIR)."
        )
    model = gpunet_from_spec(facts.spec, **sizes).eval()
    load_weights(model, weights)
    return model, str(weights)
