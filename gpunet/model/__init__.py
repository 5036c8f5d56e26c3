"""A network as data and as a module: specs and the shapes that follow from them, blocks, and a zoo's entry.

Every public name loads its module, and with it torch, on first use (PEP 562).
"""

from __future__ import annotations

from gpunet.core.lazy import lazily

_LAZY = {
    "Accuracy": "gpunet.model.entry",
    "Entry": "gpunet.model.entry",
    "GPUNet": "gpunet.model.network",
    "HeadSpec": "gpunet.model.parts",
    "LatencyRecord": "gpunet.model.entry",
    "Match": "gpunet.model.entry",
    "NetworkSpec": "gpunet.model.spec",
    "SMALL": "gpunet.model.small",
    "StageSpec": "gpunet.model.parts",
    "StemSpec": "gpunet.model.parts",
    "image_config": "gpunet.model.preprocessing",
}

__all__ = list(_LAZY)
__getattr__, __dir__ = lazily(__name__, _LAZY)
