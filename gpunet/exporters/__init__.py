"""From a network to a file that is deployed: made fast, brought to a precision, proved before it is kept.

    onnx            export: one verified .onnx file; onnx_from_network: the model in memory
    deployment      deploy: the same at any precision and for any runtime, with a sidecar that says what it is
    graph/          from torch to ONNX, and what makes the graph faster without changing what it computes
    int8/           INT8 by calibration
    triton/         Triton model repositories
    verify          any two sessions compared on the same images
    images          the images: photographs, else synthetic pictures; and noise

`gpunet.export` is the function `gpunet.exporters.export`. Every public name loads its module on first use (PEP 562).
"""

from __future__ import annotations

from gpunet.core.lazy import lazily

_LAZY = {
    "DeployReport": "gpunet.exporters.deployment",
    "ExportReport": "gpunet.exporters.onnx",
    "deploy": "gpunet.exporters.deployment",
    "export": "gpunet.exporters.onnx",
    "onnx_from_network": "gpunet.exporters.onnx",
}

__all__ = list(_LAZY)
__getattr__, __dir__ = lazily(__name__, _LAZY)
