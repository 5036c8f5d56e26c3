"""The networks of the reference, loaded into a runtime."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gpunet.errors import GpunetError
from gpunet.model.reference_networks import REFERENCE_NETWORKS
from gpunet.runtime.reference import Reference

if TYPE_CHECKING:
    from gpunet.model.spec import NetworkSpec
    from gpunet.runtime import Runtime


def reference_for(
    runtime: Runtime, threads: int | None = None, clock: Callable[[], float] = time.perf_counter
) -> Reference | None:
    """The reference in float32 on a runtime; None where it does not run there, and on a GPU.

    A GPU's engines would take longer to build than a figure takes: its clocks stand beside the figure in its place.

    Args:
        runtime: that figures are measured on.
        threads: that compute; None for all available.
        clock: seconds, monotonic.
    """
    if runtime.device != "cpu" or "fp32" not in runtime.precisions:
        return None
    loaded: list[Any] = []
    for spec, num_classes in REFERENCE_NETWORKS:
        side = spec.resolution_px
        try:
            session = runtime.load(_source(runtime.name, spec, num_classes), precision="fp32", threads=threads)
        except GpunetError:  # a runtime of somebody's that runs some networks alone: its figures go without
            return None
        loaded.append((session, (1, 3, side, side)))
    small, large = loaded
    return Reference(small, large, clock)


def _source(runtime: str, spec: NetworkSpec, num_classes: int) -> Any:
    return _module(spec, num_classes) if runtime == "pytorch" else _graph(spec, num_classes)


@functools.cache
def _graph(spec: NetworkSpec, num_classes: int) -> bytes:
    from gpunet.exporters.graph.conv_nodes import graph_from_spec

    return graph_from_spec(spec, num_classes=num_classes).SerializeToString()


@functools.cache
def _module(spec: NetworkSpec, num_classes: int) -> Any:
    import torch

    from gpunet.model.network import GPUNet

    with torch.random.fork_rng(devices=[]):  # the caller's random numbers are none of ours
        return GPUNet(spec, num_classes=num_classes).eval()
