"""Zero-cost scores: of a network with random weights, from one batch.

synflow   Tanaka et al., "Pruning neural networks without any data", 2020; as a score of networks, Abdelfattah et al.,
          "Zero-Cost Proxies for Lightweight NAS", 2021: sum over weights of |w dR/dw|, R the output for an image of
          ones with all weights at their absolute values
naswot    Mellor et al., "Neural Architecture Search without Training", 2021: log det of the matrix of how many units
          are on or off alike for each two images
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

ACTIVATIONS = (nn.ReLU, nn.ReLU6, nn.SiLU, nn.GELU, nn.Hardswish)


def synflow(network: nn.Module, images: Tensor) -> float:
    """Its logarithm; batch normalisations act by what they have learned, which is nothing yet."""
    network = network.eval().double()
    for each in [*network.parameters(), *network.buffers()]:
        if each.is_floating_point():
            each.data.abs_()
    network.zero_grad()
    network(torch.ones_like(images[:1]).double()).sum().backward()
    found = sum(
        float((each.detach() * each.grad).abs().sum()) for each in network.parameters() if each.grad is not None
    )
    return math.log(found) if found > 0 and math.isfinite(found) else -math.inf


def naswot(network: nn.Module, images: Tensor) -> float:
    """The logarithm of |det K|, by the signs behind each activation."""
    agreeing = np.zeros((len(images), len(images)))

    def hear(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        on = (output > 0).flatten(1).float()
        agreeing[:] += (on @ on.T + (1 - on) @ (1 - on).T).numpy()

    hooks = [each.register_forward_hook(hear) for each in network.modules() if isinstance(each, ACTIVATIONS)]
    with torch.no_grad():
        network.train()(images)  # random weights: by the batch's own statistics
    for each in hooks:
        each.remove()
    return float(np.linalg.slogdet(agreeing)[1])
