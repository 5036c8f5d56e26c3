"""A small data set in COCO's format, small backbones, and a detector of them that is quick."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from PIL import Image

QUICK: dict[str, Any] = {
    "pretrained_backbone": False, "short_px": 64, "long_px": 96, "pyramid_channels": 16, "head_features": 32,
    "anchor_strides": 4, "proposals": 50, "sampled_boxes": 32,
}  # fmt: skip
PLAIN = {
    "resolution_px": 64,
    "stem": {"filters": 8},
    "stages": [
        {"type": "conv", "filters": 8},
        {"type": "fused_irb", "filters": 12, "stride": 2, "expansion": 2, "kernel_size": 5, "pad_strided": False},
        {"type": "fused_irb", "filters": 16, "stride": 2, "expansion": 2, "pad_strided": False},
        {"type": "irb", "filters": 24, "stride": 2, "expansion": 2},
        {"type": "irb", "filters": 32, "stride": 2, "expansion": 2},
    ],
    "head": {"filters": 32},
}
"""A GPUNet of strides 2 to 32 whose fused stages do not pad, as gpunet_2's."""


def annotations(**changes: Any) -> dict[str, Any]:
    """Two pictures, 80 x 60 and 60 x 60 px, with three boxes of two classes whose ids have a gap."""
    return {
        "images": [{"id": 7, "file_name": "a.png", "width": 80, "height": 60},
                   {"id": 3, "file_name": "b.png", "width": 60, "height": 60}],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 9, "bbox": [10, 10, 20, 30], "area": 500, "iscrowd": 0},
            {"id": 2, "image_id": 7, "category_id": 2, "bbox": [40, 5.5, 30, 30], "area": 900, "iscrowd": 0},
            {"id": 3, "image_id": 3, "category_id": 2, "bbox": [5, 5, 40, 40], "area": 1600, "iscrowd": 0},
        ],
        "categories": [{"id": 9, "name": "dog"}, {"id": 2, "name": "cat"}],
        **changes,
    }  # fmt: skip


def write_coco(folder: Path, said: Any = None, split: str = "train") -> Path:
    """The folder with these annotations (or text), and pictures of the sizes that they name."""
    said = annotations() if said is None else said
    (folder / "annotations").mkdir(parents=True, exist_ok=True)
    (folder / split).mkdir(exist_ok=True)
    text = said if isinstance(said, str) else json.dumps(said)
    (folder / "annotations" / f"instances_{split}.json").write_text(text, encoding="utf-8")
    for number, each in enumerate(annotations()["images"]):
        Image.new("RGB", (each["width"], each["height"]), (90 * number, 80, 120)).save(
            folder / split / each["file_name"]
        )
    return folder
