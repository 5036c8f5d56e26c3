"""Latency on a GPU that nobody has at hand, from public records, with an interval that is earned.

    graph/, kernels                                         a network becomes fused kernels; `networks` for one's own
    known, public_records, data/                            what the package carries
    sheets, sheet_model                                     a GPU by its specification sheet
    layer_records, boosted                                  the V100 by public times of single convolutions
    anchors, errors_left_out, scope, estimator              one answer with an interval, or a refusal with its reason
    calibration, holdouts                                   what constants and intervals come from

Every public name loads its module on first use (PEP 562).
"""

from __future__ import annotations

from gpunet.core.lazy import lazily

_LAZY = {
    "Anchor": "gpunet.latency.gpu.anchors",
    "GpuEstimator": "gpunet.latency.gpu.estimator",
    "GpuSheet": "gpunet.latency.gpu.sheets",
    "KernelTable": "gpunet.latency.gpu.kernels",
    "NotEstimatedError": "gpunet.latency.gpu.scope",
    "kernels_of_module": "gpunet.latency.gpu.networks",
    "kernels_of_onnx": "gpunet.latency.gpu.networks",
    "kernels_of_spec": "gpunet.latency.gpu.networks",
    "known_sheets": "gpunet.latency.gpu.sheets",
    "read_sheets": "gpunet.latency.gpu.sheets",
    "sheet_named": "gpunet.latency.gpu.sheets",
}

__all__ = list(_LAZY)
__getattr__, __dir__ = lazily(__name__, _LAZY)
