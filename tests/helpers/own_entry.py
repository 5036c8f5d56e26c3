"""An entry of one's own whose weights are data: the network that has learned handwritten digits, with named classes."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from gpunet.zoo.own import write_entry
from helpers.trained_digits import WEIGHTS, trained

NAME = "digit_reader"
CLASSES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def make_entry(folder: Path) -> Path:
    """Write the entry's folder; returns it."""
    folder.mkdir(parents=True)
    weights = folder / "model.safetensors"
    shutil.copyfile(WEIGHTS, weights)
    write_entry(folder, NAME, trained()[0], weights, classes=CLASSES)
    return folder


def make_pictures(folder: Path, count: int = 3) -> list[Path]:
    """Pictures of noise, by name."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number}.png" for number in range(count)]
    for number, path in enumerate(paths):
        values = np.random.default_rng(number).integers(0, 256, (20, 24, 3), dtype=np.uint8)
        Image.fromarray(values).save(path)
    return paths
