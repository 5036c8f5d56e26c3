"""An engine on the GPU: run it, and time it there. Tensors, streams and events are torch's."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any

from gpunet.errors import InvalidArgumentError, RuntimeUnavailableError
from gpunet.runtime.base import check_images, check_interface
from gpunet.runtime.timing import Measurement, measurement_from_times
from gpunet.runtime.trt.bench import Bench, timed_ms
from gpunet.runtime.trt.library import Library, messages
from gpunet.runtime.trt.timing import MIN_DURATION_S, MIN_ITERATIONS, WARM_UP_MS, Switches, collect

if TYPE_CHECKING:
    import numpy as np

_END_TO_END_RUNS = 20


class TensorRTSession:
    """See `gpunet.runtime.base.Session`; one for both libraries.

    Args:
        library: what built the engine and runs it.
        engine: the serialised engine.
        precision: what it is known to compute in.

    Raises:
        RuntimeUnavailableError: (a RuntimeError) torch sees no GPU, or the library cannot load the engine here.
        InvalidArgumentError: (a ValueError) the engine has not one input and one output.
    """

    threads: int | None = None
    device = "gpu"

    def __init__(self, library: Library, engine: bytes, precision: str) -> None:
        import torch

        self._torch: Any = torch
        if not torch.cuda.is_available():
            raise RuntimeUnavailableError(
                f"{library.title} runs engines on a GPU, but torch {torch.__version__} sees none.",
                "With a GPU and its driver in place, install a torch that is built for CUDA.",
            )
        self._module: ModuleType = library.module()
        self._library = library
        self.runtime = library.name
        self.runtime_version = str(self._module.__version__)
        self.precision = precision
        self.conditions: Mapping[str, Any] = {"host_transfers": True}
        heard = messages(self._module)
        with heard.listen():
            self._runtime = self._module.Runtime(heard.logger)
            self._engine = self._runtime.deserialize_cuda_engine(engine)
            if self._engine is None:
                raise RuntimeUnavailableError(
                    f"{library.title} {self.runtime_version} cannot load this engine here: {heard.errors}",
                    "An engine serves the version, the GPU and the system that it was built for: build it again here.",
                )
        self._find_ports()
        self._stream = self._torch.cuda.Stream()
        self._context = self._new_context(cuda_graph=False)
        self._bound: tuple[Any, Any, Any] = (None, None, None)

    def _find_ports(self) -> None:
        engine, module = self._engine, self._module
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        inputs = [name for name in names if engine.get_tensor_mode(name) == module.TensorIOMode.INPUT]
        outputs = [name for name in names if name not in inputs]
        types = {module.DataType.FLOAT: self._torch.float32, module.DataType.HALF: self._torch.float16}
        kinds = {name: types.get(engine.get_tensor_dtype(name)) for name in names}
        said = {name: "float" if kinds[name] is not None else str(engine.get_tensor_dtype(name)) for name in names}
        check_interface(self.runtime, [(name, said[name]) for name in inputs], [(name, said[name]) for name in outputs])
        self._input, self._output = inputs[0], outputs[0]
        self._input_type, self._output_type = kinds[self._input], kinds[self._output]
        shape = tuple(int(size) for size in engine.get_tensor_shape(self._input))
        self.input_shape = tuple(None if size < 0 else size for size in shape)
        least, optimal, most = (int(next(iter(each))) for each in engine.get_tensor_profile_shape(self._input, 0))
        self.batch = (least, optimal, most)

    def _new_context(self, *, cuda_graph: bool) -> Any:
        """An execution context; TensorRT-RTX captures CUDA graphs itself and compiles kernels when it is made."""
        if not self._library.ahead_of_time:
            context = self._engine.create_execution_context()
        else:
            config = self._engine.create_runtime_config()
            strategies, kernels = self._module.CudaGraphStrategy, self._module.DynamicShapesKernelSpecializationStrategy
            config.cuda_graph_strategy = strategies.WHOLE_GRAPH_CAPTURE if cuda_graph else strategies.DISABLED
            config.dynamic_shapes_kernel_specialization_strategy = kernels.EAGER
            context = self._engine.create_execution_context(config)
        if context is None:
            raise RuntimeUnavailableError(f"{self._library.title} has not the GPU memory to run this engine.")
        context.nvtx_verbosity = self._module.ProfilingVerbosity.NONE
        return context

    def _bind(self, context: Any, shape: tuple[int, ...]) -> tuple[Any, Any]:
        """The tensors of a context for a shape of the input: input and output, on the GPU."""
        context.set_input_shape(self._input, shape)
        output_shape = tuple(context.get_tensor_shape(self._output))
        source = self._torch.empty(shape, dtype=self._input_type, device="cuda")
        result = self._torch.empty(output_shape, dtype=self._output_type, device="cuda")
        context.set_tensor_address(self._input, source.data_ptr())
        context.set_tensor_address(self._output, result.data_ptr())
        return source, result

    def _check(self, images: np.ndarray) -> None:
        check_images(images, (None, *self.input_shape[1:]))
        if not self.batch[0] <= images.shape[0] <= self.batch[2]:
            raise InvalidArgumentError(
                f"the engine takes batches of {self.batch[0]} to {self.batch[2]} images, but got {images.shape[0]}.",
                "Build it for other batches: batch=(least, optimal, most).",
            )

    def run(self, images: np.ndarray) -> np.ndarray:
        """See `Session.run`. Copies in, computes, copies out; half ports are converted from and to float32."""
        self._check(images)
        torch = self._torch
        with torch.cuda.stream(self._stream):
            if self._bound[0] != images.shape:
                self._bound = (images.shape, *self._bind(self._context, tuple(images.shape)))
            _, source, result = self._bound
            source.copy_(torch.from_numpy(images if images.flags.writeable else images.copy()))
            self._enqueue(self._context, self._stream)
            logits: np.ndarray = result.float().cpu().numpy()
        return logits

    def _enqueue(self, context: Any, stream: Any) -> None:
        if not context.execute_async_v3(stream.cuda_stream):
            raise RuntimeUnavailableError(f"{self._library.title} could not enqueue the engine: {self._said()}")

    def _said(self) -> str:
        return messages(self._module).errors or "it does not say why"

    def measure(
        self,
        images: np.ndarray,
        *,
        switches: Switches | None = None,
        warm_up_ms: float = WARM_UP_MS,
        min_iterations: int = MIN_ITERATIONS,
        min_duration_s: float = MIN_DURATION_S,
        conditions: Mapping[str, Any] | None = None,
    ) -> Measurement:
        """GPU compute time, as trtexec measures it; the conditions hold the end-to-end time too.

        Args:
            images: `N x C x H x W` float32.
            switches: see Switches; None for those of trtexec 8 and 10.
            warm_up_ms, min_iterations, min_duration_s: see `collect`; the defaults are trtexec's.
            conditions: more to record.

        Returns:
            A Measurement whose `latency_ms` is the median GPU compute time. Its conditions hold the three switches,
            'timed', 'enqueue_ms' (host, median), 'device_span_ms' (with the copies, median) and 'end_to_end_ms' (host
            clock around `run`, from array to array, median).

        Raises:
            InvalidArgumentError: (a ValueError) a minimum is out of range, or the images do not fit.
            RuntimeUnavailableError: (a RuntimeError) the engine cannot be captured as a CUDA graph.
        """
        self._check(images)
        switches = switches or Switches()
        context = self._new_context(cuda_graph=switches.cuda_graph)
        source, result = self._bind(context, tuple(images.shape))
        launch = self._launcher(context, switches)
        bench = Bench(self._torch, self._stream, launch, images, source, result, switches)
        traces, warmup = collect(
            [bench.slot(), bench.slot()],
            warm_up_ms=warm_up_ms, min_iterations=min_iterations, min_duration_s=min_duration_s,
        )  # fmt: skip
        said = {
            "timed": "gpu compute (CUDA events around the enqueue)",
            **switches.to_dict(),
            "warm_up_ms": warm_up_ms,
            "min_iterations": min_iterations,
            "min_duration_s": min_duration_s,
            "enqueue_ms": statistics.median([trace.enqueue_ms for trace in traces]),
            "device_span_ms": statistics.median([trace.end_ms - trace.start_ms for trace in traces]),
            "end_to_end_ms": statistics.median([timed_ms(lambda: self.run(images)) for _ in range(_END_TO_END_RUNS)]),
        }
        times_s = [trace.compute_ms / 1000.0 for trace in traces]
        return measurement_from_times(self, images, times_s, warmup, {**said, **(conditions or {})}, warn=True)

    def _launcher(self, context: Any, switches: Switches) -> Callable[[], None]:
        """What enqueues one query on the session's stream; the first, which may allocate, is done here."""
        torch, stream = self._torch, self._stream
        self._enqueue(context, stream)
        stream.synchronize()
        if not switches.cuda_graph or self._library.ahead_of_time:
            return lambda: self._enqueue(context, stream)
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
                self._enqueue(context, stream)
        except RuntimeError as error:
            raise RuntimeUnavailableError(
                f"the engine cannot be captured as a CUDA graph: {error}", "Measure without: cuda_graph=False."
            ) from error
        return lambda: _replay(torch, graph, stream)


def _replay(torch: Any, graph: Any, stream: Any) -> None:
    with torch.cuda.stream(stream):
        graph.replay()
