"""A publication of a network of 0.1 million random parameters, as the tests of publishing need it."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import nn

from gpunet.core.machine import available_threads, fingerprint
from gpunet.model.entry import Accuracy, LatencyRecord
from gpunet.model.network import GPUNet
from gpunet.model.small import SMALL
from gpunet.runtime import get
from gpunet.runtime.measurement import Measurement
from gpunet.train.recipes import recipe_named
from gpunet.zoo.measured import record_from_measurement
from gpunet.zoo.publishing.publication import Publication

NAME = "digits_tier0"
RUNTIME = "pytorch"


def small_network(seed: int = 0, **kwargs: Any) -> GPUNet:
    """An untrained network whose logits tell weights apart: its running statistics are not at their start."""
    torch.manual_seed(seed)
    network = GPUNet(SMALL, **{"num_classes": 10, **kwargs})
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.8, 1.2)
    return network.eval()


def measurement(latency_ms: float = 1.25, **conditions: Any) -> Measurement:
    """As gpunet.benchmark would give it on this machine."""
    here = fingerprint(
        runtime=RUNTIME, runtime_version=get(RUNTIME).version(), precision="fp32", threads=available_threads()
    )
    said = {**here.to_dict(), "batch_size": 1, "input_shape": [1, 3, 32, 32], "gpunet_version": "0.1.0",
            "date": "2026-03-02T10:00:00+00:00", "waited_percent": 0.0, **conditions}  # fmt: skip
    figures = dict.fromkeys(("latency_ms", "mean_ms", "min_ms", "p25_ms", "p90_ms", "p99_ms"), latency_ms)
    return Measurement(**figures, spread_percent=2.5, repeats=80, warmup=16, conditions=said)


def record(latency_ms: float = 1.25, model: str = NAME, **conditions: Any) -> LatencyRecord:
    """The record of such a measurement."""
    return record_from_measurement(model, measurement(latency_ms, **conditions))


def publication(**changes: Any) -> Publication:
    """A whole one; `changes` replace fields."""
    name = changes.get("name", NAME)
    whole: dict[str, Any] = {
        "name": name,
        "model": small_network(),
        "records": (record(model=name), dataclasses.replace(record(2.5, model=name), chip="orin", board="Orin | 64GB")),
        "accuracy": Accuracy(97.5, "digits (validation)", "gpunet eval, epoch 12 of 12", 99.75),
        "data": "scikit-learn's digits (1437 images)",
        "recipe": recipe_named("quick").to_dict(),
        "licence": "Apache-2.0",
        "classes": tuple("0123456789"),
        "seed": 3,
        "versions": {"torch": "2.6.0", "gpunet": "0.1.0"},
        "tier_ms": (1.0, 1.5),
        "estimated_ms": 1.3,
        "note": "Searched on digits.",
        "sources": ("the tests",),
    }
    return Publication(**{**whole, **changes})
