"""What a runtime deploys: a file, how it is written from an ONNX graph, and how it is opened again.

A runtime that deploys nothing (PyTorch) has no format. Whatever is the same for all (staging, the proof, the sidecar)
is done by gpunet.exporters.artefact; a format does what only its runtime can do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from gpunet.runtime.batch import BatchProfile

if TYPE_CHECKING:
    from onnx import ModelProto

    from gpunet.runtime.base import Session


__all__ = [
    "PORTABLE_LAYOUT",
    "Format",
    "Int8Layout",
    "RunRequest",
    "TritonBackend",
    "TritonRequest",
    "WriteRequest",
    "Written",
]


@dataclass(frozen=True)
class Int8Layout:
    """How integers stand in a graph that a runtime is to run.

    Args:
        name: of the runtime.
        signed: activations int8 with zero point 0, instead of uint8 with any zero point.
        every_map: quantise what every operator makes, not only what layers, gates and pools read.
        integer_bias: biases as int32 behind a DequantizeLinear, instead of float32.
    """

    name: str
    signed: bool
    every_map: bool
    integer_bias: bool

    @property
    def integer_span(self) -> tuple[int, int]:
        """Least and largest integer of an activation."""
        return (-128, 127) if self.signed else (0, 255)


# Signed activations with zero point 0, float biases: what every runtime computes rightly, and the only one of TensorRT.
PORTABLE_LAYOUT = Int8Layout("tensorrt", signed=True, every_map=False, integer_bias=False)


@dataclass(frozen=True)
class TritonBackend:
    """How Triton serves a format.

    Args:
        name: of Triton's backend.
        file_name: of the network in a model's folder.
        devices: that it runs on, the usual first.
        pads_batches: it computes every batch at its full size, so that the best one is the most there should be.
        tuning: what makes it fast, as plain dicts for the configuration; see `gpunet.exporters.triton.config`.
    """

    name: str
    file_name: str
    devices: tuple[str, ...]
    pads_batches: bool = False
    tuning: Callable[[TritonRequest], dict[str, Any]] = lambda request: {}


@dataclass(frozen=True)
class TritonRequest:
    """What a backend is tuned for.

    Args:
        device: 'cpu' or 'gpu'.
        precision: 'fp32', 'fp16', 'bf16' or 'int8'.
        input_name, image_shape: of the network's input, the shape without the batch.
        batch: the batch sizes that it takes.
        engine_cache: a folder on the server for engines; None for none.
    """

    device: str
    precision: str
    input_name: str
    image_shape: tuple[int, ...]
    batch: BatchProfile
    engine_cache: str | None = None


@dataclass(frozen=True)
class WriteRequest:
    """What is to be written.

    Args:
        precision: 'fp32', 'fp16', 'bf16' or 'int8': what the graph is in.
        batch: the batch sizes it is to take, where the graph's axis is symbolic; None for any.
        float_layers: layers of an int8 graph that may run in float.
        options: of a builder: gpunet.runtime.trt.options.BuildOptions for engines.
        on_progress: called at every step of a builder.
    """

    precision: str
    batch: BatchProfile | None = None
    float_layers: tuple[str, ...] = ()
    options: Any = None
    on_progress: Callable[[Any], None] | None = None


@dataclass(frozen=True)
class Written:
    """What was written, for the sidecar.

    Args:
        onnx_sha256: of the ONNX that it was made of.
        runtime_version: that made it.
        flags: what shaped it, or was seen of it, as plain JSON types.
        report: what a builder said and proved.
        gpu: that it was built on; None for none.
        compute_capabilities: GPUs that it was built for.
        batch: (least, optimal, most) images a run, where the builder says.
    """

    onnx_sha256: str
    runtime_version: str
    flags: Mapping[str, Any] = field(default_factory=dict)
    report: Mapping[str, Any] | None = None
    gpu: str | None = None
    compute_capabilities: tuple[str, ...] = ()
    batch: tuple[int, int, int] | None = None


@dataclass(frozen=True)
class RunRequest:
    """A file that somebody is to be told how to run.

    Args:
        file: its name.
        input_name, image_shape, dtype: of the network's input, the shape without the batch, the type as NumPy has it.
        precision: 'fp32', 'fp16', 'bf16' or 'int8': what its graph is in.
        batch: (least, optimal, most) images a run.
        fixed_batch: it takes one batch size alone.
        version: of the runtime that made it.
    """

    file: str
    input_name: str
    image_shape: tuple[int, ...]
    dtype: str
    precision: str
    batch: tuple[int, int, int]
    fixed_batch: bool
    version: str

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a batch of the optimal size."""
        return (self.batch[1], *self.image_shape)

    @property
    def images_line(self) -> str:
        """A line of Python that makes such a batch, of zeros."""
        return f"images = numpy.zeros({self.shape}, numpy.{self.dtype})  # prepared as 'inputs' says"


class Format(Protocol):
    """A kind of file. One of your own inherits from this for `how_to_run`.

    Attributes:
        name: as sidecars and `deploy(target=...)` have it: 'onnx', 'openvino', 'tensorrt', ...
        title: in sentences: 'OpenVINO IR'.
        option: of `gpunet-export`, and its help; '' for the format that is written by default.
        suffixes: that its files end in, the usual first.
        any_runtime: whether every runtime that runs ONNX runs it.
        is_engine: whether it is built, for a machine, by options, and may be kept from one build to the next.
        takes_half: whether input and output may be in half precision.
        triton: how Triton serves it.
    """

    name: str
    title: str
    option: tuple[str, str]
    suffixes: tuple[str, ...]
    any_runtime: bool
    is_engine: bool
    takes_half: bool
    triton: TritonBackend

    def check(self, options: Any) -> None:
        """Everything that can be known before any work: the package, the GPU, the options.

        Raises:
            MissingDependencyError: (an ImportError) a package is not installed.
            RuntimeUnavailableError: (a RuntimeError) it cannot be made here; the hint says where.
            InvalidArgumentError: (a ValueError) an option is not known, or not this format's.
        """
        ...

    def files(self, path: Path) -> Sequence[Path]:
        """The files of an artefact, in the order in which they replace older ones; the last is `path` itself."""
        ...

    def hashed(self, path: Path) -> Path:
        """The file whose SHA-256 tells an artefact: where its weights are."""
        ...

    def write(self, model: ModelProto, path: Path, request: WriteRequest) -> Written:
        """Write an ONNX graph; whatever fails may leave parts behind, which the caller deletes.

        Raises:
            ExportError: (a RuntimeError) it cannot be made, or does not run in its precision.
        """
        ...

    def is_current(self, model: ModelProto, path: Path, request: WriteRequest) -> bool:
        """Whether the file that is there is what writing the graph would give, and need not be written again."""
        ...

    def precision_of(self, path: Path) -> str:
        """'fp32', 'fp16', 'bf16' or 'int8': the least precise type that the layers of a file compute in.

        Raises:
            InvalidArgumentError: (a ValueError) it cannot be read.
        """
        ...

    def open_for_proof(self, path: Path, precision: str) -> Session:
        """The file made ready to be compared with a reference, in float32 arithmetic where the graph leaves it open.

        Raises:
            RuntimeUnavailableError: (a RuntimeError) this machine cannot run it.
        """
        ...

    def how_to_run(self, request: RunRequest) -> Mapping[str, str | Sequence[str]]:
        """Lines of Python that leave `logits`, or a command of a shell, by the name of what runs the file.

        They stand in the sidecar as `run`; none unless a format says some.
        """
        return {}
