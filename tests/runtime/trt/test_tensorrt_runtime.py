from __future__ import annotations

import sys
from pathlib import Path

import pytest

from gpunet.core.gpu import Gpu, find_gpu
from gpunet.errors import InvalidArgumentError, RuntimeUnavailableError
from gpunet.runtime.base import Runtime, installed
from gpunet.runtime.trt.library import TENSORRT
from gpunet.runtime.trt.runtime import TensorRT, TensorRTRTX, is_engine
from gpunet.runtime.trt.timing_cache import default_timing_cache

BOTH = pytest.mark.parametrize("runtime", [TensorRT(), TensorRTRTX()], ids=lambda runtime: runtime.name)
no_gpu = pytest.mark.skipif(find_gpu() is not None, reason="this machine has a GPU")


@BOTH
def test_it_keeps_the_protocol(runtime: Runtime) -> None:
    assert isinstance(runtime, Runtime)
    assert runtime.device == "gpu"
    assert runtime.precisions == ("fp32", "fp16", "int8")


def test_asking_imports_nothing() -> None:
    loaded = set(sys.modules)
    TensorRT().unavailable()
    TensorRTRTX().unavailable()
    assert not {name for name in set(sys.modules) - loaded if name.startswith(("tensorrt", "torch"))}


@BOTH
def test_it_says_why_it_cannot_run(runtime: Runtime) -> None:
    reason = runtime.unavailable()
    if not installed(runtime.name):
        assert reason is not None
        assert "is not installed (pip install 'gpunet[" in reason
    elif find_gpu() is None:
        assert reason is not None
        assert reason.endswith("needs a GPU, and this machine has none.")
    else:
        assert reason is None


@pytest.mark.skipif(installed("tensorrt"), reason="tensorrt is installed")
def test_no_version_of_what_is_not_installed() -> None:
    with pytest.raises(RuntimeUnavailableError, match="the runtime 'tensorrt' has no version here"):
        TensorRT().version()


@pytest.mark.skipif(not installed("tensorrt_rtx"), reason="tensorrt-rtx is not installed")
def test_the_version_is_the_modules() -> None:
    import tensorrt_rtx

    assert TensorRTRTX().version() == tensorrt_rtx.__version__


@no_gpu
@BOTH
def test_without_a_gpu_nothing_loads(runtime: Runtime) -> None:
    with pytest.raises(RuntimeUnavailableError, match="this machine has none"):
        runtime.load(b"anything")


@BOTH
def test_an_unknown_precision_is_refused(runtime: Runtime) -> None:
    with pytest.raises(InvalidArgumentError, match="precision must be one of fp32, fp16, bf16, int8"):
        runtime.load(b"anything", precision="half")


@pytest.mark.parametrize(
    ("data", "engine"), [(b"ftrt\0\0", True), (b"vtrt", True), (b"\x08\x08\x12\x07pytorch", False), (b"", False)]
)
def test_engines_are_known_by_their_first_bytes(tmp_path: Path, data: bytes, engine: bool) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    assert is_engine(data) is is_engine(path) is engine


@pytest.mark.skipif(installed("tensorrt"), reason="tensorrt is installed")
def test_the_timing_cache_of_tensorrt_asks_for_its_version() -> None:
    assert default_timing_cache(TENSORRT, None) is None
    with pytest.raises(RuntimeUnavailableError, match="has no version here"):
        default_timing_cache(TENSORRT, Gpu("NVIDIA A100", "8.0", 1))
