"""The cache itself is TensorRT's and needs a GPU; its file is ours. TensorRT-RTX has the calls, but no timings."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gpunet.core.gpu import Gpu
from gpunet.runtime.trt.library import TENSORRT_RTX, messages
from gpunet.runtime.trt.timing_cache import (
    default_timing_cache,
    load_timing_cache,
    save_timing_cache,
    timing_cache_name,
)

V100 = Gpu("Tesla V100-SXM2-16GB", "7.0", 16 << 30)


def test_a_file_for_each_version_and_gpu() -> None:
    assert timing_cache_name("10.4.0.26", V100) == "tensorrt_10.4.0.26_Tesla-V100-SXM2-16GB.timing_cache"
    assert timing_cache_name("10.4.0", Gpu("A/B (C)", "8.0", 1)) == "tensorrt_10.4.0_A-B--C-.timing_cache"


def test_rtx_has_none() -> None:
    assert default_timing_cache(TENSORRT_RTX, V100) is None


@pytest.fixture
def config() -> Iterator[Any]:
    module = pytest.importorskip("tensorrt_rtx", reason="calls tensorrt-rtx: pip install 'gpunet[rtx]'")
    builder = module.Builder(messages(module).logger)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # tensorrt_rtx says that its timing caches do nothing
        yield builder.create_builder_config()


@pytest.mark.parametrize("there", [None, b"", b"no timings"])
def test_a_missing_or_odd_file_begins_an_empty_cache(config: Any, tmp_path: Path, there: bytes | None) -> None:
    path = tmp_path / "tensorrt.timing_cache"
    if there is not None:
        path.write_bytes(there)
    load_timing_cache(config, path)
    save_timing_cache(config, path)
    assert path.is_file()


def test_a_place_that_cannot_be_written_is_passed_over(config: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    load_timing_cache(config, tmp_path / "file" / "cache")
    save_timing_cache(config, tmp_path / "file" / "cache")
