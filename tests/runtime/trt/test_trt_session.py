"""Running needs a GPU; what can be known without one is that the libraries have what the session calls."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.small_onnx import SIDE, make_onnx

from gpunet.core.gpu import find_gpu
from gpunet.errors import InvalidArgumentError, RuntimeUnavailableError
from gpunet.runtime import onnxruntime
from gpunet.runtime.trt.bench import timed_ms
from gpunet.runtime.trt.library import TENSORRT_RTX
from gpunet.runtime.trt.runtime import TensorRTRTX
from gpunet.runtime.trt.session import TensorRTSession
from gpunet.runtime.trt.timing import Switches

rtx = pytest.importorskip("tensorrt_rtx", reason="calls tensorrt-rtx: pip install 'gpunet[rtx]'")
needs_gpu = pytest.mark.skipif(find_gpu() is None, reason="needs an NVIDIA GPU")

CALLED = {
    "Runtime": ["deserialize_cuda_engine"],
    "ICudaEngine": [
        "num_io_tensors", "get_tensor_name", "get_tensor_mode", "get_tensor_dtype", "get_tensor_shape",
        "get_tensor_profile_shape", "create_execution_context", "create_runtime_config", "create_engine_inspector",
    ],
    "IExecutionContext": [
        "set_input_shape", "get_tensor_shape", "set_tensor_address", "execute_async_v3", "nvtx_verbosity",
    ],
    "IRuntimeConfig": ["cuda_graph_strategy", "dynamic_shapes_kernel_specialization_strategy"],
    "EngineInspector": ["execution_context", "get_engine_information"],
    "CudaGraphStrategy": ["WHOLE_GRAPH_CAPTURE", "DISABLED"],
    "DynamicShapesKernelSpecializationStrategy": ["EAGER"],
    "ProfilingVerbosity": ["DETAILED", "NONE"],
    "LayerInformationFormat": ["JSON"],
    "TensorIOMode": ["INPUT"],
    "DataType": ["FLOAT", "HALF"],
    "HardwareCompatibilityLevel": ["AMPERE_PLUS", "SAME_COMPUTE_CAPABILITY"],
    "BuilderFlag": ["TF32", "VERSION_COMPATIBLE"],
}  # fmt: skip


@pytest.mark.parametrize("name", CALLED)
def test_the_library_has_what_is_called(name: str) -> None:
    for attribute in CALLED[name]:
        assert hasattr(getattr(rtx, name), attribute), f"{name}.{attribute}"


@pytest.mark.skipif(find_gpu() is not None, reason="this machine has a GPU")
def test_without_a_gpu_an_engine_does_not_load() -> None:
    with pytest.raises(
        RuntimeUnavailableError, match=r"TensorRT-RTX runs engines on a GPU, but torch [\d.]+\S* sees none"
    ):
        TensorRTSession(TENSORRT_RTX, b"\0trt", "fp32")


def test_time_that_passes_on_the_host() -> None:
    assert 0 <= timed_ms(lambda: sum(range(1000))) < 1000


@needs_gpu
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("batch_size", [1, 4])
def test_it_computes_what_onnxruntime_computes(precision: str, batch_size: int) -> None:
    images = np.random.default_rng(0).standard_normal((batch_size, 3, SIDE, SIDE), dtype=np.float32)
    expected = onnxruntime.OnnxRuntime().load(make_onnx(batch="N")).run(images)
    session = TensorRTRTX().load(make_onnx(batch="N", precision=precision), precision=precision)
    assert session.batch == (1, 1, 64)
    np.testing.assert_allclose(session.run(images), expected, atol=1e-4 if precision == "fp32" else 5e-3)


@needs_gpu
@pytest.mark.parametrize("switches", [Switches(), Switches(cuda_graph=True, spin_wait=True, transfers=False)])
def test_it_times_on_the_gpu(switches: Switches) -> None:
    images = np.zeros((1, 3, SIDE, SIDE), np.float32)
    session = TensorRTRTX().load(make_onnx())
    measured = session.measure(images, switches=switches, warm_up_ms=20, min_duration_s=0.1)
    assert 0 < measured.latency_ms < 10
    assert measured.repeats >= 10
    for name, value in switches.to_dict().items():
        assert measured.conditions[name] is value
    assert measured.conditions["end_to_end_ms"] >= measured.latency_ms


@needs_gpu
def test_bytes_that_are_no_engine_are_refused() -> None:
    with pytest.raises(RuntimeUnavailableError, match=r"TensorRT-RTX [\d.]+ cannot load this engine here"):
        TensorRTRTX().load(b"vtrt" + bytes(100))


@needs_gpu
def test_a_batch_outside_the_profile_is_refused() -> None:
    session = TensorRTRTX().load(make_onnx())
    with pytest.raises(InvalidArgumentError, match="the engine takes batches of 1 to 1 images, but got 2"):
        session.run(np.zeros((2, 3, SIDE, SIDE), np.float32))
