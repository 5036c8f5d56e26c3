"""Small runs on digits: a network of 16 px, two steps or a few epochs."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from gpunet.model.network import GPUNet
from gpunet.model.parts import HeadSpec, StageSpec, StemSpec
from gpunet.model.spec import NetworkSpec
from gpunet.train import ImageData, Optimization, Recipe, Schedule, TrainingResult, open_data, train
from gpunet.train.recipe import Augmentation

SPEC = NetworkSpec(
    16,
    StemSpec(8, activation="swish"),
    (StageSpec("conv", 8), StageSpec("irb", 16, layers=2, stride=2, expansion=2, squeeze_excitation=True)),
    HeadSpec(24),
)
RECIPE = Recipe(
    "test",
    epochs=2,
    batch_size=32,
    optimization=Optimization("adamw", 5e-3),
    schedule=Schedule("cosine", by_update=True),
    augmentation=Augmentation(scale=(0.8, 1.0), horizontal_flip=0.0, color_jitter=0.0, interpolation="bilinear"),
    ema_decay=0.9,
)


def network(seed: int = 0, **kwargs: Any) -> GPUNet:
    torch.manual_seed(seed)
    return GPUNet(SPEC, **{"num_classes": 10, **kwargs})


def recipe(**changes: Any) -> Recipe:
    return dataclasses.replace(RECIPE, **changes)


def digits(images: int = 160) -> ImageData:
    """The first of the training images."""
    return dataclasses.replace(open_data("digits"), rows=tuple(range(images)))


def validation(images: int = 64) -> ImageData:
    return dataclasses.replace(open_data("digits", split="validation"), rows=tuple(range(images)))


def run(out: Path, *, model: GPUNet | None = None, how: Recipe = RECIPE, data: ImageData | None = None,
        **kwargs: Any) -> TrainingResult:  # fmt: skip
    return train(model or network(), how, data or digits(), out, validation=kwargs.pop("validation", validation()),
                 **{"log_every_steps": 1, **kwargs})  # fmt: skip


class Damaged:
    """64 of the training images, of which two cannot be read."""

    classes = tuple("0123456789")

    def __init__(self) -> None:
        self.inner = digits().dataset

    def __len__(self) -> int:
        return 64

    def __getitem__(self, index: int) -> object:
        if index in (3, 40):
            raise OSError("cut off")
        return self.inner[index]


def weights(out: Path) -> dict[str, torch.Tensor]:
    return load_file(out / "model.safetensors")


def losses(out: Path) -> list[float]:
    lines = map(json.loads, (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
    return [line.get("loss") if line["kind"] == "step" else line["train_loss"] for line in lines]


def checkpoints(out: Path) -> list[str]:
    return sorted(path.name for path in (out / "checkpoints").iterdir())
