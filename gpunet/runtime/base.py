"""The protocol of all runtimes, and the checks that they share."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from gpunet.core.arguments import PRECISIONS, checked_choice, checked_integer
from gpunet.core.machine import available_threads
from gpunet.errors import ABSENT_EXIT_CODE, InvalidArgumentError, RuntimeUnavailableError

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "PRECISIONS",
    "Piece",
    "Pieces",
    "Runtime",
    "Session",
    "check_images",
    "check_interface",
    "check_precision",
    "check_threads",
    "installed",
    "installed_version",
    "kind_of",
    "not_computed_in",
    "onnx_source",
]

_BFLOAT16 = " OpenVINO computes in bf16, on processors with AVX512-BF16 or AMX; no other runtime does on a processor."


@runtime_checkable
class Session(Protocol):
    """A loaded network that can be run.

    Attributes:
        runtime, runtime_version: what runs it, e.g. 'openvino', '2026.4.1'.
        precision: 'fp32', 'fp16', 'bf16' or 'int8': what it computes in, which may be more than the network holds.
        threads: threads that compute, read back from the runtime where it can say so; None on a GPU.
        device: 'cpu' or 'gpu'.
        input_shape: N, C, H, W of its input; None for an axis of any size.
        conditions: whatever else of its settings a latency depends on, as plain JSON types.
    """

    runtime: str
    runtime_version: str
    precision: str
    threads: int | None
    device: str
    input_shape: tuple[int | None, ...]
    conditions: Mapping[str, Any]

    def run(self, images: np.ndarray) -> np.ndarray:
        """`N x C x H x W` float32 images -> `N x num_classes` float32 logits, finished when it returns.

        Raises:
            InvalidArgumentError: (a ValueError) the images are not float32, or not of the network's shape.
        """
        ...


@runtime_checkable
class Runtime(Protocol):
    """One way to run a network.

    Attributes:
        name: as in records, e.g. 'openvino'.
        precisions: those that `load` takes.
        device: 'cpu' or 'gpu': whose name a latency is kept under.
    """

    name: str
    precisions: tuple[str, ...]
    device: str

    def version(self) -> str:
        """The installed version, e.g. '2026.4.1', found without importing the package.

        Raises:
            RuntimeUnavailableError: (a RuntimeError) it is not installed.
        """
        ...

    def unavailable(self) -> str | None:
        """Why it cannot run here, in one sentence; None where it can. Cheap: nothing is imported."""
        ...

    def load(self, source: Any, *, precision: str = "fp32", threads: int | None = None) -> Session:
        """Make a network ready to run.

        Args:
            source: ONNX as bytes, as the path of a file or as a ModelProto; for 'pytorch' an nn.Module.
            precision: one of `precisions`; 'int8' for a graph that holds Q/DQ nodes.
            threads: threads that compute; None for all available. Of no effect on a GPU.

        Raises:
            RuntimeUnavailableError: (a RuntimeError) it cannot run here, or not at this precision.
            InvalidArgumentError: (a ValueError) source, precision or threads is not valid.
            MissingDependencyError: (an ImportError) its package is not installed.
        """
        ...


class Piece(Protocol):
    """A part of a network, made ready to run.

    Attributes:
        needs: the tensors that it computes from.
    """

    needs: tuple[str, ...]

    def run(self, given: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The tensors wanted, as float32, from those needed; others may be among `given`."""
        ...


class Pieces(Protocol):
    """A network that can be run in parts, in float32 arithmetic: `pieces(source)` of a runtime that can.

    Attributes:
        source: name of its input.
        names: of its float tensors, in the order they are computed, the input first.
    """

    source: str
    names: tuple[str, ...]

    def open(self, wanted: Sequence[str], given: Collection[str]) -> Piece:
        """The part that computes some tensors from others.

        Args:
            wanted: to compute; one that is given too is computed from the others.
            given: where the network is cut: whatever reads one of these reads what `Piece.run` is given.

        Raises:
            InvalidArgumentError: (a ValueError) the runtime cannot load it.
        """
        ...


def installed(module: str) -> bool:
    """Whether a top-level module could be imported; it is not."""
    return importlib.util.find_spec(module) is not None


def installed_version(runtime: str, distributions: Sequence[str]) -> str:
    """Version of the first of these distributions that is installed.

    Raises:
        RuntimeUnavailableError: none is.
    """
    for name in distributions:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    raise RuntimeUnavailableError(
        f"the runtime {runtime!r} has no version here: none of {', '.join(distributions)} is installed.",
        f"Install it: pip install {distributions[0]}",
    )


def check_precision(runtime: str, precision: str, supported: Sequence[str]) -> None:
    """Raise where the precision is unknown (InvalidArgumentError) or not this runtime's (RuntimeUnavailableError)."""
    checked_choice("precision", precision, PRECISIONS)
    if precision not in supported:
        raise RuntimeUnavailableError(
            f"the runtime {runtime!r} cannot run at {precision} here.",
            f"It can at {', '.join(supported)}.{_BFLOAT16 if precision == 'bf16' else ''}",
        )


def not_computed_in(runtime: Runtime, computed: str, asked: str, reason: str = "") -> RuntimeUnavailableError:
    """The error of a runtime that would compute in another precision than it is asked for, perhaps in none of ours.

    Args:
        runtime, computed, asked: what would compute in which precision, and in which it was asked to.
        reason: why, as the end of the sentence.
    """
    passed = (
        computed if computed in PRECISIONS and computed != "bf16" else "fp32"
    )  # which a file in half is not put into
    return RuntimeUnavailableError(
        f"the runtime {runtime.name!r} computes in {computed} on this processor, not in {asked}{reason}.",
        f"Pass precision={passed!r}, so that the figure says what it is of.",
    )


def check_threads(threads: int | None) -> int:
    """The number of threads to compute with: `threads`, or all that are available for None.

    Raises:
        InvalidArgumentError: it is not an integer of 1 or more.
    """
    if threads is None:
        return available_threads()
    hint = f"Leave it out for all that are available here ({available_threads()})."
    return checked_integer("threads", threads, 1, hint=hint)


def onnx_source(runtime: str, source: object) -> bytes | Path:
    """An ONNX network as bytes or as the path of a file that exists.

    Args:
        runtime: for the message.
        source: bytes, a path, or an onnx.ModelProto.

    Raises:
        InvalidArgumentError: it is none of these, or there is no such file.
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        return bytes(source)
    if isinstance(source, (str, Path)):
        path = Path(source).expanduser()
        if not path.is_file():
            raise InvalidArgumentError(
                f"{path}: there is no such file.",
                "Give an ONNX file; gpunet.export(model, path) writes one.",
                exit_code=ABSENT_EXIT_CODE,
            )
        return path
    if hasattr(source, "SerializeToString") and hasattr(source, "graph"):
        return bytes(source.SerializeToString())
    raise InvalidArgumentError(
        f"the runtime {runtime!r} runs ONNX (bytes, a path or a ModelProto), but got {kind_of(source)}.",
        "Export the model first, or measure it by gpunet.benchmark(model, ...), which does.",
    )


def check_images(images: object, shape: Sequence[int | None]) -> None:
    """Raise InvalidArgumentError unless images are float32 in `shape` (None: any size of that axis)."""
    found = getattr(images, "shape", None)
    kind = str(getattr(images, "dtype", ""))
    if found is None or kind != "float32" or len(found) != len(shape):
        received = f"{kind} of shape {tuple(found)}" if found is not None else kind_of(images)
        raise InvalidArgumentError(
            f"images must be a float32 array of rank {len(shape)} (N x C x H x W), but got {received}."
        )
    if any(want is not None and have != want for have, want in zip(found, shape, strict=True)):
        wanted = " x ".join("any" if want is None else str(want) for want in shape)
        raise InvalidArgumentError(
            f"the network takes images of {wanted}, but got {' x '.join(str(have) for have in found)}.",
            "Batch size and resolution are fixed when a network is exported.",
        )


def check_interface(runtime: str, inputs: Sequence[tuple[str, str]], outputs: Sequence[tuple[str, str]]) -> None:
    """Raise InvalidArgumentError unless an ONNX network has one input and one output, both float32.

    Args:
        runtime: for the message.
        inputs: name and element type of each, float32 being 'f32', 'float' or 'tensor(float)'.
        outputs: the same.
    """
    for what, ports in (("input", inputs), ("output", outputs)):
        if len(ports) != 1:
            found = f"{len(ports)}: {', '.join(name for name, _ in ports)}" if ports else "none"
            raise InvalidArgumentError(
                f"the runtime {runtime!r} runs networks of one {what}, but this one has {found}."
            )
        name, kind = ports[0]
        if kind not in ("f32", "float", "tensor(float)"):
            raise InvalidArgumentError(
                f"the {what} {name!r} of a network must be float32, but is {kind}.",
                "Keep inputs and outputs in float32; a network in half precision casts inside its graph.",
            )


def kind_of(value: object) -> str:
    """The type of a value, in words: 'a torch.nn.modules.linear.Linear'."""
    return f"a {type(value).__module__}.{type(value).__qualname__}"
