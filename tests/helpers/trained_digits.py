"""A small GPUNet that has learned scikit-learn's handwritten digits: its weights are data, the same on any processor.

`python tests/helpers/trained_digits.py` trains it anew, in half a minute, and writes them.
"""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from sklearn.datasets import load_digits
from torch.nn import functional

from gpunet.model.network import GPUNet

WEIGHTS = Path(__file__).parents[1] / "data" / "digits.safetensors"
SPEC = {
    "resolution_px": 16,
    "stem": {"filters": 16, "activation": "swish"},
    "stages": [
        {"type": "fused_irb", "filters": 16, "expansion": 2, "activation": "swish"},
        {"type": "irb", "filters": 24, "stride": 2, "expansion": 3, "squeeze_excitation": True},
        {"type": "irb", "filters": 24, "expansion": 3},
    ],
    "head": {"filters": 48},
}
SEEN = 1437


@functools.cache
def trained() -> tuple[GPUNet, np.ndarray, np.ndarray]:
    """The network, and 360 digits that it has not seen: `360 x 3 x 16 x 16`, and their classes."""
    pictures, labels = _digits()
    network = GPUNet(SPEC, num_classes=10)
    network.load_state_dict(load_file(WEIGHTS))
    return network.eval(), pictures[SEEN:].contiguous().numpy(), labels[SEEN:].numpy()


def _digits() -> tuple[torch.Tensor, torch.Tensor]:
    digits = load_digits()
    pictures = torch.tensor(digits.images, dtype=torch.float32)[:, None] / 8 - 1
    pictures = functional.interpolate(pictures, 16, mode="bilinear", align_corners=False).expand(-1, 3, -1, -1)
    order = torch.randperm(len(pictures), generator=torch.Generator().manual_seed(0))
    return pictures[order], torch.tensor(digits.target)[order]


def _train() -> None:
    pictures, labels = _digits()
    torch.manual_seed(0)
    network = GPUNet(SPEC, num_classes=10)
    epochs, batch_size = 20, 48
    optimizer = torch.optim.AdamW(network.parameters(), 5e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    for _ in range(epochs):
        for rows in torch.randperm(SEEN).split(batch_size):
            loss = functional.cross_entropy(network(pictures[rows]), labels[rows], label_smoothing=0.1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        schedule.step()
    right = network.eval()(pictures[SEEN:]).argmax(1) == labels[SEEN:]
    save_file(network.state_dict(), WEIGHTS)
    print(f"{WEIGHTS}: {100 * right.float().mean():.1f} % of the digits that it has not seen")


if __name__ == "__main__":
    _train()
