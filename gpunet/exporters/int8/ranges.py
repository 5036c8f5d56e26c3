"""What the tensors inside an ONNX graph hold on given images: their ends and a sample of their values."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

from gpunet.core.machine import available_threads
from gpunet.errors import InvalidArgumentError

if TYPE_CHECKING:
    from onnx import ModelProto

SAMPLES_PER_IMAGE = 2048


@dataclass
class TensorRange:
    """What one tensor held.

    Args:
        low, high: the least and the largest value of all images; NaN where one was.
        samples: values drawn at random places, `SAMPLES_PER_IMAGE` or fewer an image.
    """

    low: float
    high: float
    samples: np.ndarray


@dataclass
class _Observer:
    draw: np.random.Generator
    low: float = np.inf
    high: float = -np.inf
    samples: list[np.ndarray] = field(default_factory=list)

    def add(self, values: np.ndarray) -> None:
        self.low = float(np.minimum(self.low, values.min()))
        self.high = float(np.maximum(self.high, values.max()))
        flat = values.reshape(-1)
        if flat.size > SAMPLES_PER_IMAGE * len(values):
            flat = flat[self.draw.integers(flat.size, size=SAMPLES_PER_IMAGE * len(values))]
        self.samples.append(flat.astype(np.float32))

    def range(self) -> TensorRange:
        return TensorRange(self.low, self.high, np.concatenate(self.samples))


def tensor_ranges(
    model: ModelProto, names: Sequence[str], images: Iterable[np.ndarray], logits: list[np.ndarray] | None = None
) -> dict[str, TensorRange]:
    """Run a graph on images and observe tensors of it.

    Args:
        model: a float32 graph of one input and one output.
        names: of the tensors (float), the input among them if wanted.
        images: of `C x H x W` float32, one after the other: they need not fit into memory.
        logits: is given the graph's output for each image, where it is a list.

    Returns:
        What each tensor held, in the order of `names`.

    Raises:
        InvalidArgumentError: (a ValueError) there is no image, or one is not what the graph takes.
    """
    graph = model.graph
    source, result = graph.input[0].name, graph.output[0].name
    wanted = [name for name in dict.fromkeys(names) if name != source]
    observed = onnx.ModelProto()
    observed.CopyFrom(model)
    observed.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in wanted if name != result)
    session = _session(observed)
    # Places are drawn by the tensor's name: which others are observed does not matter, so a proof sees the same values.
    observers = {name: _Observer(np.random.default_rng(zlib.crc32(name.encode()))) for name in names}
    for batch, count in batches(images, session.get_inputs()[0].shape):
        found = dict(zip([result, *wanted], run(session, [result, *wanted], source, batch), strict=True))
        found[source] = batch
        for name, observer in observers.items():
            observer.add(np.atleast_1d(found[name])[:count])  # a constant may be a scalar
        if logits is not None:
            logits.extend(found[result][:count])
    return {name: observer.range() for name, observer in observers.items()}


def logits_of(model: ModelProto, images: Iterable[np.ndarray]) -> np.ndarray:
    """What a graph computes for each image: `n x classes`; see `tensor_ranges`."""
    session = _session(model)
    source, result = model.graph.input[0].name, model.graph.output[0].name
    rows: list[np.ndarray] = []
    for batch, count in batches(images, session.get_inputs()[0].shape):
        rows.extend(run(session, [result], source, batch)[0][:count])
    return np.stack(rows)


def batches(images: Iterable[np.ndarray], shape: Sequence[Any]) -> Iterator[tuple[np.ndarray, int]]:
    """Images in batches of a graph's own size (one for a symbolic axis), the last filled up; with how many are real.

    Raises:
        InvalidArgumentError: (a ValueError) there is no image.
    """
    size = shape[0] if isinstance(shape[0], int) else 1
    held: list[np.ndarray] = []
    empty = True
    for image in images:
        empty = False
        held.append(np.asarray(image, dtype=np.float32))
        if len(held) == size:
            yield np.stack(held), size
            held = []
    if empty:
        raise InvalidArgumentError("a graph can be observed on one image or more, but got none.")
    if held:
        yield np.stack([*held, *[held[-1]] * (size - len(held))]), len(held)


def run(session: Any, outputs: Sequence[str], source: str, batch: np.ndarray) -> list[np.ndarray]:
    """One run of an ONNX Runtime session; InvalidArgumentError where the batch is not what it takes."""
    wanted = session.get_inputs()[0].shape
    if len(wanted) != batch.ndim or any(
        isinstance(w, int) and w != h for w, h in zip(wanted, batch.shape, strict=True)
    ):
        raise InvalidArgumentError(
            f"the graph takes images of {' x '.join(map(str, wanted[1:]))}, but got "
            f"{' x '.join(map(str, batch.shape[1:]))}."
        )
    found: list[np.ndarray] = session.run(list(outputs), {source: batch})
    return found


def _session(model: ModelProto) -> Any:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = available_threads()
    options.log_severity_level = 3
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
