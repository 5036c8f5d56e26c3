"""Derive `figures.json`: three steps of each released recipe, from the rules of the release's training program alone.

    python tests/train/released/derive.py

Numpy only, and nothing of gpunet: an error in the product cannot repeat itself here. Read from NVIDIA
DeepLearningExamples, PyTorch/Classification/GPUNet: train.py, models/gpunet_builder.py, models/gpunet_modules.py,
configs/batch1/GV100/*.json and train_params/*.

The network is a linear classifier of 6 features and 4 classes, on 8 images an update, an update an epoch, so that the
rate moves from step to step. Inputs, first weights and the teacher's answers are sines of their index: no generator of
random numbers has to agree.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

CLASSES, FEATURES, IMAGES, STEPS = 4, 6, 8, 3
SMOOTHING, ALPHA, MOMENTUM, EPSILON, WEIGHT_DECAY, EMA = 0.1, 0.9, 0.9, 1e-3, 1e-5, 0.9999
WARMUP_RATE, WARMUP_EPOCHS, DECAY, DECAY_EPOCHS = 1e-6, 3, 0.97, 2.4

# Of each configuration: batch a GPU, rate, items, those of them that are residual layers (data and head are items 0 and
# 1, the tail is the last), whether its "distill" is true (the builder then takes no drop-path), and the teacher's and
# the student's side.
NETWORKS: dict[str, tuple[int, float, int, list[int], bool, str | None, int | None]] = {
    "gpunet_0": (192, 0.06, 15, [5, 7, 8, 10, 11, 13], False, None, None),
    "gpunet_1": (192, 0.06, 17, [4, 6, 9, 10, 11, 13, 14, 15], False, None, None),
    "gpunet_2": (
        192, 0.06, 35,
        [7, 8, 10, 11, 12, 13, 14, 16, 17, 18, 20, 21, 22, 23, 24, 25, 26, 28, 29, 30, 31, 32, 33], False, None, None,
    ),
    "gpunet_p0": (256, 0.08, 17, [6, 7, 9, 10, 12, 13, 14], False, "tf_efficientnet_b2.aa_in1k", 224),
    "gpunet_p1": (256, 0.08, 18, [5, 6, 8, 10, 11, 13, 14, 15], False, "tf_efficientnet_b2.aa_in1k", 224),
    "gpunet_d1": (
        192, 0.06, 25, [2, 4, 5, 7, 8, 9, 11, 12, 13, 15, 16, 17, 19, 20, 21, 22, 23], True,
        "tf_efficientnet_b5.ns_jft_in1k", 456,
    ),
    "gpunet_d2": (
        128, 0.06, 28, [2, 4, 5, 7, 8, 9, 11, 12, 13, 14, 16, 17, 18, 19, 21, 22, 23, 24, 25, 26], True,
        "tf_efficientnet_b6.ns_jft_in1k", 528,
    ),
}  # fmt: skip


def sines(rows: int, columns: int, by: float) -> np.ndarray:
    """Made-up numbers in [-1, 1], `rows x columns`."""
    return np.sin(by * np.arange(1, rows * columns + 1)).reshape(rows, columns)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Of each row."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def rate(epoch: int, full: float) -> float:
    """Of an epoch, counted from 0: linear to the full rate in the first three, steps of 2.4 epochs beside it."""
    if epoch < WARMUP_EPOCHS:
        return WARMUP_RATE + (full - WARMUP_RATE) * epoch / WARMUP_EPOCHS
    return full * DECAY ** int(epoch // DECAY_EPOCHS)


def three_steps(full: float, taught: bool) -> list[dict[str, Any]]:
    """Loss, gradients, rate, weights and their average of each step."""
    weight, bias = sines(CLASSES, FEATURES, 0.7), sines(1, CLASSES, 1.3)[0]
    answers = 3 * sines(IMAGES, CLASSES, 2.1)
    labels = np.eye(CLASSES)[np.arange(IMAGES) % CLASSES]
    wanted = labels * (1 - SMOOTHING) + SMOOTHING / CLASSES
    square = {"weight": np.ones_like(weight), "bias": np.ones_like(bias)}  # TensorFlow's start, not 0
    velocity = {name: np.zeros_like(each) for name, each in square.items()}
    average = {"weight": weight.copy(), "bias": bias.copy()}
    steps = []
    for step in range(STEPS):
        images = sines(IMAGES, FEATURES, 0.3 + 0.1 * step)
        found = softmax(images @ weight.T + bias)
        loss = -(wanted * np.log(found)).sum(axis=1).mean()
        error = (found - wanted) / IMAGES
        if taught:  # beside the labels' part, whole: one and one
            teacher = softmax(answers)
            loss -= (teacher * np.log(found)).sum(axis=1).mean()
            error = error + (found - teacher) / IMAGES
        gradients = {"weight": error.T @ images, "bias": error.sum(axis=0)}
        learning_rate = rate(step, full)
        for name, value in (("weight", weight), ("bias", bias)):
            decayed = gradients[name] + (WEIGHT_DECAY * value if name == "weight" else 0)  # none on biases
            square[name] += (decayed**2 - square[name]) * (1 - ALPHA)
            # epsilon within the root, and the rate within the momentum, as TensorFlow has it
            velocity[name] = MOMENTUM * velocity[name] + learning_rate * decayed / np.sqrt(square[name] + EPSILON)
            value -= velocity[name]
            average[name] += (value - average[name]) * (1 - EMA)
        steps.append(
            {
                "loss": float(loss),
                "learning_rate": learning_rate,
                "gradients": {name: each.tolist() for name, each in gradients.items()},
                "weights": {"weight": weight.tolist(), "bias": bias.tolist()},
                "average": {name: each.tolist() for name, each in average.items()},
            }
        )
    return steps


def figures() -> dict[str, Any]:
    """Those of all seven."""
    found = {}
    for name, (batch, full, items, residual, distilling, teacher, px) in NETWORKS.items():
        found[name] = {
            "epochs": 450,
            "batch_size": batch,
            "dropout": 0.2,
            "drop_paths": [0.0 if distilling else 0.2 * item / (items - 1) for item in residual],
            "teacher": teacher,
            "teacher_px": px,
            "rates": {str(epoch): rate(epoch, full) for epoch in (0, 1, 2, 3, 4, 5, 7, 100, 449)},
            "steps": three_steps(full, taught=teacher is not None),
        }
    return found


if __name__ == "__main__":
    Path(__file__).with_name("figures.json").write_text(json.dumps(figures()) + "\n", encoding="utf-8")
