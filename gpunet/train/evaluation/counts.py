"""How many of a batch are right, added up over batches and processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from gpunet.train.processes import Processes

TOP = 5


class Counts:
    """Images, right ones, those whose class is among the first five, and the sum of their losses."""

    def __init__(self, num_classes: int, sums: Tensor | None = None) -> None:
        self._num_classes = num_classes
        self.sums = torch.zeros(4, dtype=torch.float64) if sums is None else sums

    def __iadd__(self, sums: Tensor) -> Counts:
        self.sums = self.sums.to(sums.device) + sums
        return self

    def over(self, group: Processes) -> Counts:
        """Those of all processes."""
        return Counts(self._num_classes, group.sum(self.sums.to(group.device)).cpu())

    @property
    def images(self) -> int:
        """How many were scored."""
        return int(self.sums[0])

    @property
    def is_finite(self) -> bool:
        """Whether every loss was a number."""
        return bool(self.sums.isfinite().all())

    @property
    def top1_percent(self) -> float | None:
        """None for no image."""
        return self._percent(1)

    @property
    def top5_percent(self) -> float | None:
        """None for no image, and for fewer than 6 classes."""
        return self._percent(2) if self._num_classes > TOP else None

    @property
    def loss(self) -> float | None:
        """Mean cross-entropy; None for no image."""
        return float(self.sums[3]) / self.images if self.images else None

    def _percent(self, place: int) -> float | None:
        return 100 * float(self.sums[place]) / self.images if self.images else None


def count(logits: Tensor, targets: Tensor, num_classes: int) -> Tensor:
    """Images, right ones, those right among five, and the sum of the losses: 4 float64, of `n x classes` logits."""
    labelled = targets >= 0
    logits, targets = logits[labelled], targets[labelled]
    first = logits.topk(min(TOP, num_classes), dim=1).indices == targets[:, None]
    loss = functional.cross_entropy(logits, targets, reduction="sum") if len(targets) else logits.sum()
    right = (first[:, :1].sum(), first.sum(), loss)
    return torch.stack([torch.tensor(len(targets), device=logits.device).double(), *(each.double() for each in right)])
