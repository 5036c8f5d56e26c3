"""How long networks take: layers measured one by one, kept in tables, and added up (paper, section 3.2).

    layers, terms, lookup   networks as layer keys; search spaces as array look-ups
    layer_graph             the ONNX graphs that are measured (graph_builder, conv_graph, transformer)
    meter, recheck          how a layer is measured
    table, build, merge     measured latencies in SQLite, and what fills them
    estimate                sums, corrected (calibrate) and completed (completion)

Every public name loads its module on first use (PEP 562).
"""

from __future__ import annotations

from gpunet.core.lazy import lazily

_LAZY = {
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
