"""Detection: Cascade R-CNN on any backbone that gives feature maps, trained and scored on data in COCO's format.

Needs the extra `detection` for COCO's metrics. Every public name loads its module on first use (PEP 562).
"""

from __future__ import annotations

from gpunet.core.lazy import lazily

_LAZY = {
    "CocoData": "gpunet.detection.data.coco",
    "Detector": "gpunet.detection.detector",
    "DetectorSpec": "gpunet.detection.spec",
    "cascade_rcnn": "gpunet.detection.detector",
    "detector_from_spec": "gpunet.detection.detector",
    "faster_rcnn": "gpunet.detection.detector",
    "load_detector": "gpunet.detection.training",
    "open_coco": "gpunet.detection.data.coco",
    "train_detector": "gpunet.detection.training",
}

__all__ = list(_LAZY)
__getattr__, __dir__ = lazily(__name__, _LAZY)
