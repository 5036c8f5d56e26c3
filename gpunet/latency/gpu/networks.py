"""Kernels of a network of one's own: a torch module, an exported ONNX file, a GPUNet's spec."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from gpunet.latency.gpu.graph.fusion import kernels_of
from gpunet.latency.gpu.kernels import KernelTable
from gpunet.model.spec import NetworkSpec

if TYPE_CHECKING:
    import onnx
    from torch import nn


def kernels_of_module(build: Callable[[], nn.Module], shape: tuple[int, int, int]) -> KernelTable:
    """The kernels of a torch module.

    Args:
        build: makes it; called with torch's meta device as the default, so that no weight is allocated.
        shape: C, H, W of an image.

    Raises:
        InvalidArgumentError: (a ValueError) it cannot be traced at this input.
    """
    from gpunet.latency.gpu.graph.from_torch import operations_of_module

    return KernelTable.of(kernels_of(operations_of_module(build, shape)))


def kernels_of_onnx(source: str | Path | onnx.ModelProto) -> KernelTable:
    """The kernels of an exported network, for one image, whatever batch it was exported for.

    Raises:
        InvalidArgumentError: (a ValueError) it cannot be read, or its shapes cannot be inferred.
    """
    from gpunet.latency.gpu.graph.from_onnx import operations_of_onnx

    return KernelTable.of(kernels_of(operations_of_onnx(source)))


def kernels_of_spec(spec: NetworkSpec, *, num_classes: int = 1000) -> KernelTable:
    """The kernels of a GPUNet at its own input size."""
    from gpunet.model.network import GPUNet

    side = spec.resolution_px
    return kernels_of_module(lambda: GPUNet(spec, num_classes=num_classes), (3, side, side))
