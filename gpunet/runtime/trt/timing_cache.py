"""TensorRT's cache of kernel timings: a second build of a like network takes a fraction of the first.

TensorRT-RTX measures nothing when it builds and has none.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from gpunet.core.files import atomic_path, home, lock
from gpunet.core.gpu import Gpu
from gpunet.runtime.trt.library import Library, version_numbers


def timing_cache_name(version: str, gpu: Gpu) -> str:
    """File name for the timings of a TensorRT version on a GPU: they are of no use elsewhere."""
    gpu_name = "".join(each if each.isalnum() else "-" for each in gpu.name)
    return f"tensorrt_{'.'.join(map(str, version_numbers(version)))}_{gpu_name}.timing_cache"


def load_timing_cache(config: Any, path: Path) -> None:
    """Give a builder configuration the timings in `path`; none where it is missing or TensorRT refuses it."""
    data = b""
    if path.is_file():
        with lock(path):
            data = path.read_bytes()
    cache = config.create_timing_cache(data) or config.create_timing_cache(b"")
    config.set_timing_cache(cache, False)


def save_timing_cache(config: Any, path: Path) -> None:
    """Keep the timings of a finished build. An OSError is passed over: a full disk must not cost a finished engine."""
    cache = config.get_timing_cache()
    if cache is not None:
        with contextlib.suppress(OSError), lock(path), atomic_path(path) as part:
            part.write_bytes(bytes(cache.serialize()))


def default_timing_cache(library: Library, gpu: Gpu | None) -> Path | None:
    """Where gpunet keeps kernel timings for this version and GPU; None where the library has no such cache."""
    if not library.timing_cache or gpu is None:
        return None
    return home() / "timing_cache" / timing_cache_name(library.version(), gpu)
