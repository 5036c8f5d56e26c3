"""BatchNorm over the batches of all processes, as one process with the whole batch has it.

torch's own runs on GPUs only; there it is taken (timm's, which keeps the activation). On a processor this one is.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from timm.layers import convert_sync_batchnorm
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn.modules.batchnorm import _BatchNorm


class _Sum(torch.autograd.Function):
    """The sum over all processes; so is its gradient."""

    @staticmethod
    def forward(_: Any, value: Tensor) -> Tensor:
        value = value.clone()
        dist.all_reduce(value)
        return value

    @staticmethod
    def backward(_: Any, *gradients: Tensor) -> Tensor:
        gradient = gradients[0].clone()
        dist.all_reduce(gradient)
        return gradient


class SyncedBatchNorm2d(nn.BatchNorm2d):
    """BatchNorm of `N x C x H x W` with the statistics of all processes while training, then what timm's layer does."""

    drop: nn.Module
    act: nn.Module

    def forward(self, x: Tensor) -> Tensor:
        """`N x C x H x W` in and out."""
        return self.act(self.drop(self._synced(x) if self.training else super().forward(x)))

    def _synced(self, x: Tensor) -> Tensor:
        count = torch.tensor([x.numel() / x.shape[1]], dtype=torch.float32, device=x.device)
        sums = _Sum.apply(torch.cat([x.float().sum((0, 2, 3)), count]))
        total = sums[-1].detach()
        mean = sums[:-1] / total
        centred = x - mean.to(x.dtype)[None, :, None, None]
        variance = _Sum.apply(centred.float().square().sum((0, 2, 3))) / total
        if self.track_running_stats and self.running_mean is not None and self.running_var is not None:
            with torch.no_grad():
                done: Any = self.num_batches_tracked
                done.add_(1)
                factor = 1 / float(done) if self.momentum is None else self.momentum
                self.running_mean.lerp_(mean.to(self.running_mean.dtype), factor)
                unbiased = variance * (total / (total - 1).clamp(min=1))
                self.running_var.lerp_(unbiased.to(self.running_var.dtype), factor)
        scaled = centred * (variance + self.eps).rsqrt().to(x.dtype)[None, :, None, None]
        if self.affine:
            scaled = scaled * self.weight[None, :, None, None] + self.bias[None, :, None, None]
        return scaled


@contextlib.contextmanager
def synced(model: nn.Module, device: torch.device) -> Iterator[None]:
    """Let a model's BatchNorms see the batches of all processes inside the block; parameters stay the same objects."""
    swapped: list[tuple[nn.Module, str, nn.Module]] = []
    for parent in [*model.modules()]:
        for name, child in [*parent.named_children()]:
            if isinstance(child, _BatchNorm) and not isinstance(child, nn.SyncBatchNorm):
                setattr(parent, name, convert_sync_batchnorm(child) if device.type == "cuda" else _on_processor(child))
                swapped.append((parent, name, child))
    try:
        yield
    finally:
        for parent, name, child in swapped:
            inner = getattr(parent, name)
            child.num_batches_tracked = inner.num_batches_tracked
            child.train(inner.training)
            setattr(parent, name, child)


def _on_processor(layer: _BatchNorm) -> SyncedBatchNorm2d:
    made = SyncedBatchNorm2d(
        layer.num_features, layer.eps, layer.momentum, layer.affine, layer.track_running_stats, device="meta"
    )
    made.weight, made.bias = layer.weight, layer.bias
    made.running_mean, made.running_var = layer.running_mean, layer.running_var
    made.num_batches_tracked = layer.num_batches_tracked
    made.drop, made.act = getattr(layer, "drop", nn.Identity()), getattr(layer, "act", nn.Identity())
    return made.train(layer.training)
