"""`gpunet detect`: detectors on the zoo's networks: trained, scored, and what they find."""

from __future__ import annotations

from gpunet.cli.command import group

DETECT = group(
    "detect",
    {
        "train": "detect.train:train",
        "eval": "detect.evaluate:evaluate",
        "predict": "detect.predict:predict",
        "export": "detect.export:export",
    },
    "Detectors on networks of the zoo (Cascade R-CNN), on data in COCO's format: train, eval, predict, export.",
    panel="Detect",
)
