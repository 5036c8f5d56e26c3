"""The same network trained by gpunet.train and by a plain loop on timm's parts: what they learn, and how fast."""

from __future__ import annotations

import dataclasses
import statistics
import tempfile
from pathlib import Path
from typing import Any

import torch
from scipy import stats

from gpunet.core import console
from gpunet.model.network import GPUNet
from gpunet.model.preprocessing import image_config
from gpunet.model.small import SMALL
from gpunet.train import Recipe, open_data, recipe_named, train
from training_benchmark.plain import PlainLoop

CONFIDENCE = 0.95


def learning_recipe(epochs: int) -> Recipe:
    """Mixed precision, clipped gradients, averaged weights, and the optimiser and steps of the paper's recipes."""
    quick = recipe_named("quick")
    return dataclasses.replace(
        quick, name="learning", epochs=epochs, batch_size=32, precision="bf16", ema_decay=0.98,
        optimization=dataclasses.replace(
            quick.optimization, optimizer="rmsproptf", learning_rate=2e-3, batch_of_learning_rate=32, epsilon=1e-3,
            weight_decay=1e-5, gradient_norm=2.0,
        ),
        schedule=dataclasses.replace(
            quick.schedule, scheduler="step", decay_epochs=1.0, decay_rate=0.8, by_update=False, warmup_epochs=1,
        ),
    )  # fmt: skip


def learning(seeds: int, epochs: int, workers: int) -> dict[str, Any]:
    """Top-1 of the last epoch by seed and loop, and images a second, epoch by epoch in turn."""
    recipe = learning_recipe(epochs)
    data, validation = open_data("digits"), open_data("digits", split="validation")
    top1: dict[str, list[float]] = {"gpunet": [], "plain": []}
    ratios: list[float] = []
    for seed in range(seeds):
        torch.manual_seed(seed)
        ours, plain = GPUNet(SMALL, num_classes=10), GPUNet(SMALL, num_classes=10)
        plain.load_state_dict(ours.state_dict())
        plain.set_drop_rates(recipe.dropout, recipe.drop_path, recipe.drop_path_over)
        config = image_config(plain)
        loop = PlainLoop(plain, recipe, data.dataset, validation.dataset, config, workers)

        def on_epoch(score: Any, loop: PlainLoop = loop) -> None:
            rate = loop.epoch(score.epoch - 1)
            if score.epoch > 1:  # the first warms up
                ratios.append(score.images_per_s / rate)

        with tempfile.TemporaryDirectory() as folder:
            result = train(
                ours, recipe, data, Path(folder), validation=validation, seed=seed, workers=workers, on_epoch=on_epoch
            )
        top1["gpunet"].append(result.scores[-1].top1_percent or 0.0)
        top1["plain"].append(loop.top1_percent())
    return _told(top1, ratios, len(validation))


def _told(top1: dict[str, list[float]], ratios: list[float], images: int) -> dict[str, Any]:
    difference = statistics.mean(top1["gpunet"]) - statistics.mean(top1["plain"])
    low, high = stats.ttest_ind(top1["gpunet"], top1["plain"], equal_var=False).confidence_interval(CONFIDENCE)
    rate = statistics.median(ratios)
    rows = [
        (name, *(f"{each:.2f}" for each in own), f"{statistics.mean(own):.2f}", f"{statistics.stdev(own):.2f}")
        for name, own in top1.items()
    ]
    columns = ["loop", *(f"seed {seed}>" for seed in range(len(top1["plain"]))), "mean>", "deviation>"]
    print(f"top-1 % on {images} images after the last epoch\n")
    print(console.table(columns, rows))
    print(
        f"\ndifference {difference:+.2f} points ({CONFIDENCE:.0%} interval {low:+.2f} to {high:+.2f}); images a second "
        f"{rate:.3f} of the plain loop's (median of {len(ratios)} epochs)\n"
    )
    return {"top1_percent": top1, "difference_percent": difference, "interval_percent": [float(low), float(high)],
            "rate_ratio": rate}  # fmt: skip
