"""gpunet: convolutional networks tiered by the latency they really have on a device.

`find` and `create` answer a latency budget, `load` a name; `export` and `benchmark` deploy and measure. Importing
gpunet is light: torch, timm and onnx load with the first call that needs them (PEP 562).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpunet.api import create, list_devices, list_models, load
from gpunet.errors import GpunetError
from gpunet.lazy import lazily
from gpunet.spec import HeadSpec, NetworkSpec, StageSpec, StemSpec
from gpunet.zoo.entry import Entry, LatencyRecord
from gpunet.zoo.query import Match, find

if TYPE_CHECKING:
    from gpunet.export.engine_key import load_engine
    from gpunet.export.onnx import ExportReport, export
    from gpunet.network import GPUNet
    from gpunet.runtime.timing import Measurement
    from gpunet.zoo.benchmark import benchmark

__version__ = "0.1.0"

_LAZY = {
    "ExportReport": "gpunet.export.onnx",
    "GPUNet": "gpunet.network",
    "Measurement": "gpunet.runtime.timing",
    "benchmark": "gpunet.zoo.benchmark",
    "export": "gpunet.export.onnx",
    "load_engine": "gpunet.export.engine_key",
}

__all__ = [
    "Entry",
    "ExportReport",
    "GPUNet",
    "GpunetError",
    "HeadSpec",
    "LatencyRecord",
    "Match",
    "Measurement",
    "NetworkSpec",
    "StageSpec",
    "StemSpec",
    "benchmark",
    "create",
    "export",
    "find",
    "list_devices",
    "list_models",
    "load",
    "load_engine",
]

__getattr__, __dir__ = lazily(__name__, _LAZY, also=__all__)
