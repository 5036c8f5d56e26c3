"""How long networks take: layers measured one by one, kept in tables, and added up (paper, section 3.2).

    terms, lookup           networks as layer keys; search spaces as array look-ups
    layers/                 what a layer is: its key, its work, and the ONNX nodes that are measured
    meter, recheck          how a layer is measured
    table, build, merge     measured latencies in SQLite, and what fills them
    estimate                sums, corrected (calibrate) and completed (completion)

Every public name loads its module on first use (PEP 562).
"""

from __future__ import annotations

from gpunet.core.lazy import lazily

_LAZY = {
    "Derived": "gpunet.latency.terms",
    "LookupPlan": "gpunet.latency.terms",
    "Term": "gpunet.latency.terms",
    "Work": "gpunet.latency.layers.keys",
    "register_kinds": "gpunet.latency.layers.keys",
    "Calibration": "gpunet.latency.calibrate",
    "Completion": "gpunet.latency.completion",
    "Estimator": "gpunet.latency.estimate",
    "LatencyTable": "gpunet.latency.table",
    "LayerCosts": "gpunet.latency.estimate",
    "LayerKey": "gpunet.latency.layers.keys",
    "LayerMeter": "gpunet.latency.meter",
    "MeterSettings": "gpunet.latency.meter",
    "keys_from_spec": "gpunet.latency.layers.convolutional",
}

__all__ = list(_LAZY)
__getattr__, __dir__ = lazily(__name__, _LAZY)
