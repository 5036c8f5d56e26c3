"""gpunet: convolutional networks tiered by the latency they really have on a device.

`find` and `create` answer a latency budget, `load` a name; `export` and `benchmark` deploy and measure. Importing
gpunet is light: torch, timm and onnx load with the first call that needs them (PEP 562).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpunet.api import create, list_devices, list_models, load
from gpunet.core.lazy import lazily
from gpunet.errors import GpunetError
from gpunet.model.entry import Entry, LatencyRecord, Match
from gpunet.model.parts import HeadSpec, StageSpec, StemSpec
from gpunet.model.spec import NetworkSpec
from gpunet.zoo.query import find

if TYPE_CHECKING:
    from gpunet.exporters.onnx import ExportReport, export
    from gpunet.model.network import GPUNet
    from gpunet.runtime.timing import Measurement
    from gpunet.runtime.trt.engine_key import load_engine
    from gpunet.zoo.benchmark import benchmark
    from gpunet.zoo.prediction import Prediction, load_exported

__version__ = "0.1.0"

_LAZY = {
    "ExportReport": "gpunet.exporters.onnx",
    "GPUNet": "gpunet.model.network",
    "Measurement": "gpunet.runtime.timing",
    "Prediction": "gpunet.zoo.prediction",
    "benchmark": "gpunet.zoo.benchmark",
    "export": "gpunet.exporters.onnx",
    "load_engine": "gpunet.runtime.trt.engine_key",
    "load_exported": "gpunet.zoo.prediction",
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
    "Prediction",
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
    "load_exported",
]

__getattr__, __dir__ = lazily(__name__, _LAZY, also=__all__)
