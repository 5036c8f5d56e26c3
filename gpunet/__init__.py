"""gpunet: convolutional networks tiered by the latency they really have on a device.

`find` and `create` answer a latency budget, `load` a name; `export` and `benchmark` deploy and measure. Importing
gpunet is light: what a name needs loads when it is first used (PEP 562), torch, timm and onnx with the first call that
needs them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpunet.core.lazy import lazily
from gpunet.errors import GpunetError

if TYPE_CHECKING:
    from gpunet.api import create, list_devices, list_models, load
    from gpunet.exporters.onnx import ExportReport, export
    from gpunet.model.entry import Entry, LatencyRecord, Match
    from gpunet.model.network import GPUNet
    from gpunet.model.parts import HeadSpec, StageSpec, StemSpec
    from gpunet.model.spec import NetworkSpec
    from gpunet.runtime.timing import Measurement
    from gpunet.runtime.trt.engine_key import load_engine
    from gpunet.zoo.benchmark import benchmark
    from gpunet.zoo.prediction import Prediction, load_exported
    from gpunet.zoo.query import find

__version__ = "0.1.0"

_LAZY = {
    "Entry": "gpunet.model.entry",
    "ExportReport": "gpunet.exporters.onnx",
    "GPUNet": "gpunet.model.network",
    "HeadSpec": "gpunet.model.parts",
    "LatencyRecord": "gpunet.model.entry",
    "Match": "gpunet.model.entry",
    "Measurement": "gpunet.runtime.timing",
    "NetworkSpec": "gpunet.model.spec",
    "Prediction": "gpunet.zoo.prediction",
    "StageSpec": "gpunet.model.parts",
    "StemSpec": "gpunet.model.parts",
    "benchmark": "gpunet.zoo.benchmark",
    "create": "gpunet.api",
    "export": "gpunet.exporters.onnx",
    "find": "gpunet.zoo.query",
    "list_devices": "gpunet.api",
    "list_models": "gpunet.api",
    "load": "gpunet.api",
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
