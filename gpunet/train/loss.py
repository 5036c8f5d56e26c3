"""The loss of a recipe: cross-entropy, and a teacher's part where there is one (Hinton, Vinyals, Dean, 2015)."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from gpunet.train.recipe import Recipe

UNLABELLED = -1
"""The class of an image that has none: it takes part in a teacher's share only."""


class Loss:
    """Mean over a batch; see `Distillation` for the formula."""

    def __init__(self, recipe: Recipe) -> None:
        self._smoothing, self._distillation = recipe.label_smoothing, recipe.distillation

    def __call__(self, logits: Tensor, targets: Tensor, answers: Tensor | None) -> Tensor:
        """A scalar.

        Args:
            logits: `n x classes`, the student's.
            targets: n classes, UNLABELLED for none; or `n x classes` soft ones, as Mixup gives them.
            answers: `n x classes` logits, the teacher's; None without one.
        """
        logits = logits.float()
        loss = self._from_labels(logits, targets)
        if answers is None or self._distillation is None:
            return loss
        given = self._distillation
        softened, soft_targets = logits / given.temperature, answers.float() / given.temperature
        if given.loss == "cross-entropy":
            distance = functional.cross_entropy(softened, soft_targets.softmax(dim=1))
        else:
            student, teacher = softened.log_softmax(dim=1), soft_targets.log_softmax(dim=1)
            distance = functional.kl_div(student, teacher, reduction="batchmean", log_target=True)
        label_weight = 1 - given.weight if given.label_weight is None else given.label_weight
        return label_weight * loss + given.weight * given.temperature**2 * distance

    def _from_labels(self, logits: Tensor, targets: Tensor) -> Tensor:
        if targets.ndim == 2:
            return -(targets * functional.log_softmax(logits, dim=1)).sum(dim=1).mean()
        total = functional.cross_entropy(
            logits, targets, ignore_index=UNLABELLED, label_smoothing=self._smoothing, reduction="sum"
        )
        return total / (targets != UNLABELLED).sum().clamp(min=1)
