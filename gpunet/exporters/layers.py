"""A graph compared with the float32 one that it was made of, operator by operator, each on the same inputs.

At the network's end an error of one layer may be lost: what an untrained network computes hardly depends on its image,
and integers blur what is left. So the network is cut at every tensor that both graphs have, each part is given what the
float32 graph holds there, and what it makes of it is compared. Three things are held apart:

    constants    weights and biases: each may be off by as much as the precision rounds it
    activations  what a Q/DQ pair leaves of a tensor: not much less than integers of that kind could
    operators    everything else: constants and inputs are rounded on both sides alike, so that float rounding is left

    r, c    values of a tensor, of the reference and of the candidate, over all images and places of one channel
    size    root mean square of r; a channel's is at least a tenth of the tensor's
    error   root mean square of r - c, over size
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import numpy_helper

from gpunet.exporters.graph.tensors import infer_shapes
from gpunet.exporters.int8.fit import misfits
from gpunet.exporters.int8.qdq import SMALLEST_SCALE
from gpunet.exporters.rounding import Constant, Constants, QuantizedTensor
from gpunet.runtime.onnxruntime.pieces import OnnxPieces

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

    from gpunet.exporters.int8.ranges import TensorRange
    from gpunet.runtime.base import Piece, Pieces

# Of the operators, by precision: see docs/exporting.md for what sound exports show.
OPERATOR_ERRORS = {"fp32": 5e-4, "fp16": 2e-3, "bf16": 5e-4, "int8": 5e-4}
_HALF_UNIT, _HALF_LEAST = 2.0**-11, 2.0**-24  # of float16: rounding of a number, and its smallest one
_BFLOAT16_HALF_UNIT = 2.0**-8
_WEIGHT_STEPS = 1 / 120  # a 7-bit weight is off by 1/128 of its channel's largest at most
_SAMPLES = 8192  # of a tensor, an image
_MOST_SHIFT, _MOST_CLIPPED = 0.5, 0.02
_CHUNK_BYTES = 2**28
_SHOWN = 3


@dataclass(frozen=True)
class LayerComparison:
    """What was found inside.

    Args:
        compared: tensors that were compared.
        tensors: that the reference has.
        error: the largest of an operator.
        worst: the tensor where it is.
        allowed_error: what it may be.
        faults: what is wrong with constants and operators, each as a sentence's part.
        coarse: activations of which a Q/DQ pair takes too much, on these images or on those of the calibration.
    """

    compared: int
    tensors: int
    error: float
    worst: str
    allowed_error: float
    faults: tuple[str, ...] = ()
    coarse: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.faults or self.coarse)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {**asdict(self), "faults": list(self.faults), "coarse": list(self.coarse)}

    def __str__(self) -> str:
        return (
            f"inside, {self.compared} of {self.tensors} tensors, each from the same inputs: largest error "
            f"{self.error:.2g} of its size (allowed {self.allowed_error:.2g})"
        )


def compare_layers(
    reference: ModelProto,
    model: ModelProto,
    candidate: Pieces,
    images: np.ndarray,
    precision: str,
    batch_size: int = 1,
    held: Mapping[str, TensorRange] | None = None,
) -> LayerComparison:
    """Compare a network with a reference at every tensor that both have.

    Args:
        reference: the float32 graph; ONNX Runtime runs it.
        model: the graph at its precision, as ONNX: says how constants and activations are rounded.
        candidate: what is compared: `model` itself, or the file of another runtime that was made of it.
        images: to compare on, `n x C x H x W`.
        precision: of the candidate.
        batch_size: that both take.
        held: what tensors held on all pictures that integers were calibrated on; their scales are held to it.
    """
    rounded, faults = with_constants_of(model, reference)
    own = OnnxPieces(rounded)
    known = set(candidate.names)
    shared = [name for name in own.names if name in known and name != own.source]
    quantized = Constants(model).quantized()
    cuts = _Cuts(own, candidate, shared, _bytes(reference, shared, batch_size))
    rows = -(-len(images) // batch_size) * batch_size
    order = np.arange(rows) % len(images)
    tallies = {name: _Tally() for name in shared}
    known_ranges = held or {}
    noises = {
        name: _Noise(pair, name in known_ranges) for name, pair in quantized.items() if name in {own.source, *shared}
    }
    half = precision == "fp16"

    def rounded_as_in_model(name: str, values: np.ndarray) -> np.ndarray:
        if name in noises:
            return noises[name].rounded(values)
        return values.astype(np.float16).astype(np.float32) if half else values

    for start in range(0, rows, batch_size):
        batch = np.ascontiguousarray(images[order[start : start + batch_size]])
        for name, wanted, found in cuts.run(batch, rounded_as_in_model):
            tallies[name].add(wanted, found)
    coarse = [f"{name}: {said}" for name, each in noises.items() if (said := each.fault())]
    coarse += misfits(model, known_ranges)
    allowed = OPERATOR_ERRORS[precision]
    floor = _HALF_LEAST if half else 0.0
    errors = {name: tally.error(floor) for name, tally in tallies.items()}
    wrong = [name for name, error in errors.items() if not error <= allowed]
    faults += [_said(name, errors[name], own) for name in wrong]
    worst = max(errors, key=lambda name: errors[name], default="")
    return LayerComparison(
        len(shared), len(own.names) - 1, errors.get(worst, 0.0), worst, allowed, _shortened(faults), _shortened(coarse)
    )


def _said(name: str, error: float, own: OnnxPieces) -> str:
    what = "is of another shape, or not finite" if error == np.inf else f"differs by {error:.2g} of its size"
    return f"{own.operator(name)} {name} {what}"


def _shortened(said: Sequence[str]) -> tuple[str, ...]:
    more = len(said) - _SHOWN
    return (*said[:_SHOWN], *([f"{more} more"] if more > 0 else []))


# ------------------------------------------------------------------ constants


def with_constants_of(model: ModelProto, reference: ModelProto) -> tuple[ModelProto, list[str]]:
    """The reference with the constants that a graph made of it has, and what of these is not a rounding."""
    result = onnx.ModelProto()
    result.CopyFrom(reference)
    old, new = Constants(reference), Constants(model)
    faults: list[str] = []
    for node in result.graph.node:
        other = _same(node, new)
        if other is None:
            continue
        for place, name in enumerate(node.input[: len(other.input)]):
            before = old.get(name) if name else None
            after = None if before is None else new.get(other.input[place])
            if before is None or after is None or before.values.shape != after.values.shape:
                continue
            if not _is_rounding(before.values, after):
                faults.append(f"input {place} of {node.op_type} {node.output[0]} is not its constant, rounded")
            node.input[place] = f"{node.output[0]}.constant{place}"
            result.graph.initializer.append(numpy_helper.from_array(after.values, node.input[place]))
    return result, faults


def _same(node: NodeProto, new: Constants) -> NodeProto | None:
    """The node of another graph that makes the same tensor, behind the cast of its end; None for another operator."""
    other = new.makers.get(node.output[0]) if node.output else None
    if other is not None and other.op_type == "Cast" != node.op_type:
        other = new.makers.get(other.input[0])
    return other if other is not None and other.op_type == node.op_type else None


def _is_rounding(values: np.ndarray, after: Constant) -> bool:
    off = np.abs(after.values - values)
    most = float(np.abs(values).max(initial=0.0))
    if not np.isfinite(after.values).all():
        return False
    if after.kind == "fp16":
        return bool((off <= 1.01 * (_HALF_UNIT * np.abs(values) + _HALF_LEAST / 2)).all())
    if after.kind == "bf16":
        return bool((off <= 1.01 * _BFLOAT16_HALF_UNIT * np.abs(values)).all())
    if after.kind == "int32":
        return bool((off <= 1e-3 * most + np.abs(after.step)).all())
    if after.kind != "int8":
        return bool((off <= 1e-5 * most).all())
    others = tuple(place for place in range(values.ndim) if place != after.axis)
    spans = np.abs(values).max(axis=others, keepdims=True)
    return bool((off <= _WEIGHT_STEPS * spans + 1e-6 * most).all())


# ---------------------------------------------------------------- activations


class _Noise:
    """What a Q/DQ pair takes from a tensor; of one whose scale is `judged` by itself, in steps of no less than that."""

    def __init__(self, pair: QuantizedTensor, judged: bool = False) -> None:
        self.pair = pair
        self.least_step = max(pair.scale, SMALLEST_SCALE) if judged else SMALLEST_SCALE
        self.low = self.high = 0.0
        self.samples: list[np.ndarray] = []

    def rounded(self, values: np.ndarray) -> np.ndarray:
        self.low, self.high = min(self.low, float(values.min())), max(self.high, float(values.max()))
        flat = values.reshape(-1)
        self.samples.append(flat[:: max(1, flat.size // _SAMPLES)].copy())
        return self.pair.rounded(values)

    def figures(self) -> tuple[float, float]:
        """The mean error, in steps of integers that just span the values; and the share clipped by 1.25 of them."""
        step = max(self.pair.step_of(self.low, self.high), self.least_step)
        values = np.concatenate(self.samples)
        error = self.pair.rounded(values) - values
        off = np.abs(error)
        clipped = (off > 0.51 * max(self.pair.scale, self.pair.scale_after)) & (off > 1.25 * step)
        return float(abs(error.mean()) / step), float(clipped.mean())

    def fault(self) -> str:
        """Why this is more than integers of that kind must take; '' where it is not."""
        shift, clipped = self.figures()
        if shift > _MOST_SHIFT:
            return f"it is shifted by {shift:.2g} steps"
        return f"{100 * clipped:.0f} % of it are clipped" if clipped > _MOST_CLIPPED else ""


# ------------------------------------------------------------------ operators


@dataclass
class _Tally:
    """Sums over images of one tensor, by channel."""

    off: Any = 0.0
    size: Any = 0.0
    count: int = 0
    broken: bool = False

    def add(self, wanted: np.ndarray, found: np.ndarray) -> None:
        wanted, found = np.atleast_1d(wanted), np.atleast_1d(found)
        if wanted.shape != found.shape or not np.isfinite(found).all():
            self.broken = True
            return
        axis = 1 if wanted.ndim in (2, 4) else wanted.ndim - 1
        others = tuple(place for place in range(wanted.ndim) if place != axis)
        off = wanted - found
        self.off = self.off + np.square(off, out=off).sum(axis=others, dtype=np.float64)
        self.size = self.size + np.square(wanted).sum(axis=others, dtype=np.float64)
        self.count += wanted.size

    def error(self, floor: float) -> float:
        """The largest of a channel; infinite where there is nothing to compare."""
        if self.broken:
            return float("inf")
        sizes = np.atleast_1d(self.size)
        values = self.count / len(sizes)
        size = np.sqrt(sizes / values)
        size = np.maximum(size, 0.1 * np.sqrt(np.mean(size**2)))
        off = np.maximum(np.sqrt(np.atleast_1d(self.off) / values) - floor, 0.0)
        return float(np.divide(off, size, out=np.where(off > 0, np.inf, 0.0), where=size > 0).max())


@dataclass
class _Chunk:
    names: list[str]
    forward: Piece
    reference: Piece
    candidate: Piece


class _Cuts:
    """Both networks in parts, so many at a time as memory holds the tensors of."""

    def __init__(self, own: OnnxPieces, candidate: Pieces, shared: Sequence[str], sizes: Mapping[str, int]) -> None:
        self.source = own.source
        given = {own.source, *shared}
        there = given if candidate.source == own.source else given - {own.source}
        self.chunks: list[_Chunk] = []
        held = {own.source}
        for names in _chunked(shared, sizes):
            self.chunks.append(
                _Chunk(names, own.open(names, held), own.open(names, given), candidate.open(names, there))
            )
            held |= set(names)

    def run(self, batch: np.ndarray, rounded: Any) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
        """Each shared tensor by name, of the reference and of the candidate."""
        values = {self.source: batch}
        given = {self.source: rounded(self.source, batch)}
        for place, chunk in enumerate(self.chunks):
            values.update(chunk.forward.run(values))
            given.update((name, rounded(name, values[name])) for name in chunk.names)
            wanted, found = chunk.reference.run(given), chunk.candidate.run(given)
            yield from ((name, wanted[name], found[name]) for name in chunk.names)
            later = self.chunks[place + 1 :]
            for name in set(values).difference(*(each.forward.needs for each in later)):
                del values[name]
            for name in set(given).difference(*((*each.reference.needs, *each.candidate.needs) for each in later)):
                del given[name]


def _chunked(names: Sequence[str], sizes: Mapping[str, int]) -> Iterator[list[str]]:
    chunk: list[str] = []
    held = 0
    for name in names:
        if chunk and held + sizes[name] > _CHUNK_BYTES:
            yield chunk
            chunk, held = [], 0
        chunk.append(name)
        held += sizes[name]
    if chunk:
        yield chunk


def _bytes(reference: ModelProto, names: Sequence[str], batch_size: int) -> dict[str, int]:
    shapes = infer_shapes(reference)
    return {
        name: 4 * int(np.prod([size or batch_size for size in shapes.get(name, ())], dtype=np.int64)) for name in names
    }
