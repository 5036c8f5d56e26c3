"""The trtexec command for a measurement like ours, for each version of TensorRT.

Source of options and defaults: trtexec's own (sampleOptions.cpp of TensorRT 8.6, 10 and 11), and the benchmarking guide
of tensorrt_rtx.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from gpunet.errors import InvalidArgumentError
from gpunet.runtime.formats import RunRequest
from gpunet.runtime.trt.library import version_numbers
from gpunet.runtime.trt.options import BuildOptions
from gpunet.runtime.trt.timing import MIN_DURATION_S, MIN_ITERATIONS, WARM_UP_MS, Switches

_PRECISION_FLAGS = {"fp32": ["--noTF32"], "fp16": ["--fp16"], "int8": ["--int8", "--fp16"]}


def trtexec_command(
    source: str,
    version: str,
    *,
    options: BuildOptions | None = None,
    shape: Sequence[int] | None = None,
    switches: Switches | None = None,
    input_name: str = "input",
    rtx: bool = False,
    warm_up_ms: float = WARM_UP_MS,
    min_iterations: int = MIN_ITERATIONS,
    min_duration_s: float = MIN_DURATION_S,
    export_times: str | None = None,
) -> str:
    """The shell command that measures as `TensorRTSession.measure` does.

    Args:
        source: an ONNX file, or an engine ('.engine', '.plan' or '.trt').
        version: of the TensorRT that has the trtexec, e.g. '8.6', '10.4', '11'. Switches, defaults and the way to ask
            for a precision differ.
        options: how the engine is built; its batch decides the profile. None for the defaults.
        shape: of the input to measure with; needed where the ONNX file's batch is not fixed.
        switches: see Switches.
        input_name: of the network.
        rtx: for TensorRT-RTX's tool, tensorrt_rtx, which has trtexec 11's options.
        warm_up_ms, min_iterations, min_duration_s: see `gpunet.runtime.trt.timing.collect`.
        export_times: a file for the time of each query.

    Raises:
        InvalidArgumentError: (a ValueError) the version is no number.
    """
    options, switches = options or BuildOptions(), switches or Switches()
    numbers = (11,) if rtx else version_numbers(version)
    if not numbers:
        raise InvalidArgumentError(f"a TensorRT version is a number such as 10.4, but got {version!r}.")
    words = ["tensorrt_rtx" if rtx else "trtexec"]
    if source.endswith((".engine", ".plan", ".trt")):
        words.append(f"--loadEngine={source}")
    else:
        words += [f"--onnx={source}", *_build_words(options, shape, input_name, numbers, rtx)]
    if shape is not None:
        words.append(f"--shapes={input_name}:{_by(shape)}")
    words += _switch_words(switches, numbers, rtx)
    words += [f"--warmUp={warm_up_ms:g}", f"--iterations={min_iterations}", f"--duration={min_duration_s:g}"]
    if export_times is not None:
        words.append(f"--exportTimes={export_times}")
    return shlex.join(words)


def command_for(request: RunRequest, version: str, *, rtx: bool = False) -> str:
    """`trtexec_command` for a file as it was exported."""
    batch = request.batch[1] if request.fixed_batch else request.batch
    return trtexec_command(
        request.file, version, options=BuildOptions(precision=request.precision, batch=batch),
        shape=None if request.fixed_batch else request.shape, input_name=request.input_name, rtx=rtx,
    )  # fmt: skip


def _build_words(
    options: BuildOptions, shape: Sequence[int] | None, name: str, numbers: tuple[int, ...], rtx: bool
) -> list[str]:
    mebibytes = options.workspace_bytes >> 20
    words = [f"--workspace={mebibytes}" if numbers < (8, 4) else f"--memPoolSize=workspace:{mebibytes}"]
    if numbers < (9,):
        words += _PRECISION_FLAGS[options.precision]
    else:
        # Precision is in the graph; 11 knows nothing else, 10 has to be told.
        words += ["--stronglyTyped"] if numbers < (11,) else []
        words += [] if options.tf32 else ["--noTF32"]
    if isinstance(options.batch, tuple) and shape is not None:
        for word, size in zip(("min", "opt", "max"), options.batch, strict=True):
            words.append(f"--{word}Shapes={name}:{_by((size, *shape[1:]))}")
    if options.optimization_level is not None:
        words.append(f"--builderOptimizationLevel={options.optimization_level}")
    if options.compute_capabilities and rtx:
        words.append(
            "--computeCapabilities=" + ",".join(each.replace(".", "") for each in options.compute_capabilities)
        )
    if options.version_compatible:
        words.append("--versionCompatible")
    if options.hardware_compatibility is not None:
        mode = {"same_compute_capability": "sameComputeCapability"}.get(options.hardware_compatibility, "ampere+")
        words.append(f"--hardwareCompatibilityLevel={mode}")
    return words


def _switch_words(switches: Switches, numbers: tuple[int, ...], rtx: bool) -> list[str]:
    """Only what differs from the defaults of that version."""
    if numbers < (11,):
        words = {"--useCudaGraph": switches.cuda_graph, "--useSpinWait": switches.spin_wait}
        return [word for word, on in words.items() if on] + ([] if switches.transfers else ["--noDataTransfers"])
    no_graph = "--rtxCudaGraphStrategy=disable" if rtx else "--noCudaGraph"
    words = {no_graph: not switches.cuda_graph, "--noSpinWait": not switches.spin_wait}
    return [word for word, on in words.items() if on] + (["--includeDataTransfers"] if switches.transfers else [])


def _by(shape: Sequence[int]) -> str:
    return "x".join(str(size) for size in shape)
