"""The one engine builder, for TensorRT (10 and 11) and TensorRT-RTX: ONNX in, a checked engine out.

Written on the libraries' own API, not on Polygraphy's loaders: docs/decisions/0008-one-engine-builder.md says why.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from gpunet.core.gpu import Gpu, find_gpu
from gpunet.errors import ExportError
from gpunet.runtime.trt.graph import Graph, fit_batch, read_graph
from gpunet.runtime.trt.layers import EngineLayer, layers_from_inspector, layers_from_messages
from gpunet.runtime.trt.library import Library, Messages, messages
from gpunet.runtime.trt.monitor import Progress, Tracker, interruptible, monitor_for
from gpunet.runtime.trt.options import BuildOptions, preflight
from gpunet.runtime.trt.precision import PrecisionProof, prove_precision
from gpunet.runtime.trt.timing_cache import load_timing_cache, save_timing_cache


@dataclass(frozen=True)
class BuildReport:
    """What a build did and what was proved of its engine.

    Args:
        library, version: what built it.
        batch: (least, optimal, most) images a run.
        nodes: nodes of the ONNX graph whose values depend on the input; the parser used every one.
        constant_nodes: nodes beside them, which the parser may fold.
        network_layers: layers that the parser made of them.
        precision: the proof, from the engine's own layers.
        size_bytes: of the engine.
        seconds: that the build took.
        onnx_sha256: of the ONNX file, in hex.
        warnings: the builder's, each once.
    """

    library: str
    version: str
    batch: tuple[int, int, int]
    nodes: int
    constant_nodes: int
    network_layers: int
    precision: PrecisionProof
    size_bytes: int
    seconds: float
    onnx_sha256: str
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {**asdict(self), "batch": list(self.batch), "warnings": list(self.warnings)}


@dataclass(frozen=True)
class BuiltEngine:
    """An engine, its layers and its report. `data` is what the library reads: nothing is put before it."""

    data: bytes
    layers: tuple[EngineLayer, ...]
    report: BuildReport


def build_engine(
    library: Library,
    source: bytes | Path,
    options: BuildOptions,
    *,
    timing_cache: Path | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    gpu: Gpu | None = None,
    several_outputs: bool = False,
) -> BuiltEngine:
    """Build an engine from an ONNX file and prove its precision. Ctrl-C cancels the build.

    One build at a time in a process. A build takes seconds on TensorRT-RTX, minutes on TensorRT.

    Args:
        library: what builds.
        source: the ONNX file's bytes or path.
        options: see BuildOptions.
        timing_cache: a file that keeps kernel timings from build to build; only where the library has such a cache.
        on_progress: called at every step of the builder.
        gpu: this machine's; None to look for one.
        several_outputs: the network may have more than one output.

    Raises:
        MissingDependencyError: (an ImportError) the library is not installed.
        RuntimeUnavailableError: (a RuntimeError) no GPU where one is needed, or one that is not served.
        InvalidArgumentError: (a ValueError) the ONNX file is damaged, or the options do not fit it or the library.
        ExportError: (a RuntimeError) the builder failed, with all that it said; or a layer is not in the precision
            asked for.
    """
    gpu = gpu or find_gpu()
    module = preflight(library, options, gpu)
    version = str(module.__version__)
    graph = read_graph(source, several_outputs=several_outputs)
    batch = fit_batch(options.batch, graph)
    heard = messages(module)
    tracker = Tracker(on_progress)
    began = time.perf_counter()
    with heard.listen(), interruptible(tracker):
        # The monitor must outlive all that the builder makes: it is made here, the builder within _build.
        monitor = monitor_for(module, tracker)
        data, network_layers = _build(library, module, heard, graph, batch, options, monitor, timing_cache, gpu)
        if tracker.error is not None:
            raise tracker.error
        if data is None:
            raise _failure(library, version, heard)
        layers = _layers(library, module, heard, graph, batch, data)
    report = BuildReport(
        library=library.name,
        version=version,
        batch=batch,
        nodes=len(graph.data_nodes),
        constant_nodes=graph.constant_nodes,
        network_layers=network_layers,
        precision=prove_precision(layers, graph, options.precision),
        size_bytes=len(data),
        seconds=time.perf_counter() - began,
        onnx_sha256=graph.sha256,
        warnings=heard.of("WARNING"),
    )
    return BuiltEngine(data, layers, report)


def _build(
    library: Library,
    module: ModuleType,
    heard: Messages,
    graph: Graph,
    batch: tuple[int, int, int],
    options: BuildOptions,
    monitor: Any,
    timing_cache: Path | None,
    gpu: Gpu | None,
) -> tuple[bytes | None, int]:
    """The serialised engine, None where the builder gave up, and the number of layers of the parsed network."""
    builder = module.Builder(heard.logger)
    network = builder.create_network(library.network_flags(module))
    parser = module.OnnxParser(network, heard.logger)
    _parse(library, module, parser, graph)
    check_coverage(parser, network, graph)
    config = builder.create_builder_config()
    config.progress_monitor = monitor
    _configure(library, module, config, options, gpu)
    if graph.input_shape[0] is None:
        profile = builder.create_optimization_profile()
        profile.set_shape(graph.input_name, *((size, *graph.input_shape[1:]) for size in batch))
        config.add_optimization_profile(profile)
    cache = timing_cache if library.timing_cache else None
    if cache is not None:
        load_timing_cache(config, cache)
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        return None, network.num_layers
    if cache is not None:
        save_timing_cache(config, cache)
    return bytes(engine), network.num_layers


def _parse(library: Library, module: ModuleType, parser: Any, graph: Graph) -> None:
    path = None if graph.path is None else str(graph.path)
    if parser.parse(graph.data, path) and not parser.num_errors:
        return
    errors = [parser.get_error(index) for index in range(parser.num_errors)]
    said = "; ".join(dict.fromkeys(_place(error) + _reason(error.desc()) for error in errors)) or "it does not say why"
    hint = "The ONNX file is whole, but holds something that this version does not know. A lower opset may help."
    if "DequantizeLinear" in said and "Int32" in said:
        hint = (
            "Quantise activations and weights, not biases (32-bit integers): the builder adds biases in full precision."
        )
    elif "zero point" in said:
        hint = "Quantise symmetrically: signed 8-bit integers, zero points of 0."
    raise ExportError(f"{library.title} {module.__version__} cannot read the ONNX file: {said}.", hint)


def _reason(description: str) -> str:
    lines = (line.strip() for line in description.splitlines())
    return " ".join(line for line in lines if line and "catchCudaError" not in line).rstrip(".")


def _place(error: Any) -> str:
    return f"node {error.node_name() or error.node()} ({error.node_operator()}): " if error.node() >= 0 else ""


def check_coverage(parser: Any, network: Any, graph: Graph) -> None:
    """Raise ExportError unless every node that depends on the input became a layer or a tensor of the network."""
    said = " ".join(network.get_layer(index).metadata for index in range(network.num_layers))
    unused = [
        name
        for name in graph.data_nodes
        if f"[ONNX Layer: {name}]" not in said and parser.get_layer_output_tensor(name, 0) is None
    ]
    if unused:
        raise ExportError(
            f"the parser left out {len(unused)} of {len(graph.data_nodes)} nodes: {', '.join(unused[:5])}."
        )


def _configure(library: Library, module: ModuleType, config: Any, options: BuildOptions, gpu: Gpu | None) -> None:
    # Detailed: the engine then says in what types its layers run. It costs nothing but longer marks in a profiler.
    config.profiling_verbosity = module.ProfilingVerbosity.DETAILED
    most = options.workspace_bytes if gpu is None else min(options.workspace_bytes, gpu.memory_bytes)
    config.set_memory_pool_limit(module.MemoryPoolType.WORKSPACE, most)
    if options.optimization_level is not None:
        config.builder_optimization_level = options.optimization_level
    if not options.tf32:
        config.clear_flag(module.BuilderFlag.TF32)
    if options.compute_capabilities:
        config.num_compute_capabilities = len(options.compute_capabilities)
        for index, capability in enumerate(options.compute_capabilities):
            sm = getattr(module.ComputeCapability, "SM" + capability.replace(".", ""))
            config.set_compute_capability(sm, index)
    if options.version_compatible:
        config.set_flag(module.BuilderFlag.VERSION_COMPATIBLE)
    if options.hardware_compatibility is not None:
        level = {"ampere+": "AMPERE_PLUS"}.get(options.hardware_compatibility, options.hardware_compatibility.upper())
        config.hardware_compatibility_level = getattr(module.HardwareCompatibilityLevel, level)


def _failure(library: Library, version: str, heard: Messages) -> ExportError:
    said = heard.errors or "it does not say why"
    hint = ""
    if "Turing" in said:
        hint = "For compute capability 7.5 build in fp16: TensorRT-RTX has no float32 matrix product there."
    elif "workspace" in said:
        hint = "Give the builder more workspace (workspace_bytes)."
    elif "memory" in said.lower():
        hint = "Give the builder less workspace (workspace_bytes), or stop what else uses the GPU."
    return ExportError(f"{library.title} {version} cannot build the engine: {said}", hint)


def _layers(
    library: Library, module: ModuleType, heard: Messages, graph: Graph, batch: tuple[int, int, int], data: bytes
) -> tuple[EngineLayer, ...]:
    if library.ahead_of_time:
        return layers_from_messages(heard.of("VERBOSE"))
    return layers_from_inspector(_inspect(module, heard, graph, batch, data))


def _inspect(module: ModuleType, heard: Messages, graph: Graph, batch: tuple[int, int, int], data: bytes) -> str:
    """The inspector's JSON. It needs a GPU, and a context with a shape: else types are 'N/A due to dynamic shapes'."""
    runtime = module.Runtime(heard.logger)
    engine = runtime.deserialize_cuda_engine(data)
    if engine is None:
        raise ExportError(f"the engine cannot be loaded where it was built: {heard.errors}")
    inspector = engine.create_engine_inspector()
    context = engine.create_execution_context()
    context.set_input_shape(graph.input_name, (batch[1], *graph.input_shape[1:]))
    inspector.execution_context = context
    return str(inspector.get_engine_information(module.LayerInformationFormat.JSON))
