"""What can be asked of an engine build, and whether it can be had here: checked before any work."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from gpunet.core.arguments import checked_choice, checked_integer
from gpunet.core.gpu import Gpu
from gpunet.errors import InvalidArgumentError, RuntimeUnavailableError
from gpunet.runtime.base import PRECISIONS
from gpunet.runtime.batch import BatchProfile
from gpunet.runtime.trt.library import Library, version_numbers

WORKSPACE_BYTES = 10 << 30
HARDWARE_COMPATIBILITY = ("ampere+", "same_compute_capability")
OLDEST_PORTABLE = "8.0"
_NO_VOLTA = (10, 5)


@dataclass(frozen=True)
class BuildOptions:
    """How to build an engine from an ONNX file. The defaults are those of the fastest engine for one GPU.

    Args:
        precision: 'fp32', 'fp16' or 'int8': what the layers must run in. It has to be in the ONNX graph already; the
            built engine is checked against it.
        batch: (least, optimal, most) images a run, or one number for all three; None takes the ONNX file's fixed batch.
        workspace_bytes: most memory that a kernel may use beside its tensors; never more than the GPU has (default:
            10 GiB, the paper's).
        optimization_level: 0 (builds fastest) to 5 (runs fastest); None for the library's own, 3.
        compute_capabilities: GPUs to build for, e.g. ('8.6', '12.0'), TensorRT-RTX only; () for all from 8.0 on.
        hardware_compatibility: 'ampere+' or 'same_compute_capability': run on other GPUs too, TensorRT only.
        version_compatible: run on later TensorRT versions too, TensorRT only.
        tf32: let float32 layers compute in TF32 (10-bit mantissas). Off: 'fp32' then means float32.

    Raises:
        InvalidArgumentError: (a ValueError) a value is out of its range.
    """

    precision: str = "fp32"
    batch: int | tuple[int, int, int] | None = None
    workspace_bytes: int = WORKSPACE_BYTES
    optimization_level: int | None = None
    compute_capabilities: tuple[str, ...] = ()
    hardware_compatibility: str | None = None
    version_compatible: bool = False
    tf32: bool = False

    def __post_init__(self) -> None:
        checked_choice("precision", self.precision, PRECISIONS)
        if self.batch is not None:
            object.__setattr__(self, "batch", BatchProfile.parse(self.batch).sizes)
        hint = f"The default is {WORKSPACE_BYTES} (10 GiB), the least 1 MiB."
        checked_integer("workspace_bytes", self.workspace_bytes, 1 << 20, hint=hint)
        if self.optimization_level is not None:
            checked_integer("optimization_level", self.optimization_level, 0, 5)
        if self.hardware_compatibility not in (None, *HARDWARE_COMPATIBILITY):
            raise InvalidArgumentError(
                f"hardware_compatibility must be one of {', '.join(HARDWARE_COMPATIBILITY)}, but got "
                f"{self.hardware_compatibility!r}."
            )
        object.__setattr__(self, "compute_capabilities", _capabilities(self.compute_capabilities))

    def flags(self) -> dict[str, Any]:
        """What shapes the engine, beside the ONNX file and the batch, as plain JSON types."""
        return {
            "workspace_bytes": self.workspace_bytes,
            "optimization_level": self.optimization_level,
            "compute_capabilities": list(self.compute_capabilities),
            "hardware_compatibility": self.hardware_compatibility,
            "version_compatible": self.version_compatible,
            "tf32": self.tf32,
            "strongly_typed": True,
            "profiling_verbosity": "detailed",
        }


def _capabilities(given: Sequence[str]) -> tuple[str, ...]:
    if isinstance(given, str) or not all(isinstance(each, str) and re.fullmatch(r"\d+\.\d", each) for each in given):
        got = repr(given) if isinstance(given, str) else ", ".join(map(repr, given))
        raise InvalidArgumentError(f"compute_capabilities must be names such as '8.6' and '12.0', but got {got}.")
    return tuple(sorted(set(given), key=version_numbers))


def preflight(library: Library, options: BuildOptions, gpu: Gpu | None) -> ModuleType:
    """The library's module, if it is installed and can build here what is asked for; cheap, so that it can come first.

    Raises:
        MissingDependencyError: (an ImportError) the library is not installed.
        InvalidArgumentError, RuntimeUnavailableError: see `check_target`.
    """
    if not library.ahead_of_time and gpu is None:
        # Before the library is looked for: installing it would not help.
        raise _no_gpu(library)
    module = library.module()
    check_target(library, str(module.__version__), options, gpu, library.compute_capabilities(module))
    return module


def check_target(
    library: Library, version: str, options: BuildOptions, gpu: Gpu | None, known: Sequence[str] = ()
) -> None:
    """Refuse what cannot be built here, before any work.

    Args:
        library: what is to build.
        version: its version.
        options: what is asked for.
        gpu: this machine's; None where there is none.
        known: compute capabilities that the library can build for ahead of time.

    Raises:
        InvalidArgumentError: (a ValueError) an option is the other library's, or a compute capability is not known.
        RuntimeUnavailableError: (a RuntimeError) no GPU where one is needed, or one that this version does not serve.
    """
    library.check_version(version)
    if library.ahead_of_time:
        _check_ahead_of_time(library, version, options, known)
        return
    if options.compute_capabilities:
        raise InvalidArgumentError(
            f"{library.title} builds for the GPU it runs on, but compute capabilities "
            f"{', '.join(options.compute_capabilities)} were named.",
            "Leave them out, or build by TensorRT-RTX: --trt-rtx.",
        )
    check_gpu(library, version, gpu)


def _check_ahead_of_time(library: Library, version: str, options: BuildOptions, known: Sequence[str]) -> None:
    unknown = [each for each in options.compute_capabilities if each not in known]
    if unknown:
        raise InvalidArgumentError(
            f"{library.title} {version} cannot build for compute capability {', '.join(unknown)}.",
            f"It can for {', '.join(known)}; with none named, an engine runs on every GPU from {OLDEST_PORTABLE} on. "
            "For other GPUs build by TensorRT (--trt) on a machine that has one.",
        )
    asked = {"hardware_compatibility": options.hardware_compatibility, "version_compatible": options.version_compatible}
    for name, value in asked.items():
        if value:
            raise InvalidArgumentError(
                f"{library.title} has no {name}, but got {value!r}.",
                "Its engines run on every GPU they are built for, and need the version that built them.",
            )


def check_gpu(library: Library, version: str, gpu: Gpu | None) -> None:
    """Refuse a machine without a GPU, and a GPU that this version does not serve.

    Raises:
        RuntimeUnavailableError: (a RuntimeError) saying which version serves it, or where to go instead.
    """
    if gpu is None:
        raise _no_gpu(library)
    capability, number = version_numbers(gpu.compute_capability), version_numbers(version)
    volta_is_served = not library.ahead_of_time and number[:2] < _NO_VOLTA
    if capability < ((7, 0) if volta_is_served else (7, 5)):
        raise RuntimeUnavailableError(
            f"{library.title} {version} does not serve the {gpu.name} (compute capability {gpu.compute_capability}).",
            "TensorRT 10.4 is the last version that serves Volta: pip install 'tensorrt==10.4.*'"
            if capability == (7, 0)
            else "TensorRT 8.6 is the last version that serves GPUs older than Volta.",
        )


def _no_gpu(library: Library) -> RuntimeUnavailableError:
    if library.ahead_of_time:
        return RuntimeUnavailableError(
            f"{library.title} runs engines on a GPU, and this machine has none.", "Here it can only build them."
        )
    return RuntimeUnavailableError(
        f"{library.title} builds an engine on the GPU that will run it, and this machine has none.",
        "Run the same command on the target, or build here for GPUs that are elsewhere: --trt-rtx.",
    )
