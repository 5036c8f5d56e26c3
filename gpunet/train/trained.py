"""The network as a step calls it: wrapped for many processes, compiled, and first the classifier alone.

While the classifier learns alone all else is held still: its parameters have no gradient, and its modules are in
evaluation mode, so that BatchNorm's statistics stay what they were.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from gpunet.errors import TrainingError
from gpunet.train.processes import Processes
from gpunet.train.recipe import Recipe


class Trained:
    """A network in the epochs of a run.

    Args:
        model: on its device.
        recipe, group: of the run.

    Raises:
        TrainingError: the classifier is to learn alone, but there is none.
    """

    def __init__(self, model: nn.Module, recipe: Recipe, group: Processes) -> None:
        self._model, self._recipe, self._group = model, recipe, group
        self._wrapped: tuple[bool, nn.Module] | None = None  # for which of both phases
        self._heads = _classifiers(model) if recipe.head_epochs else []
        own = {id(parameter) for head in self._heads for parameter in head.parameters()}
        self._body = [each for each in model.parameters() if each.requires_grad and id(each) not in own]

    def at(self, epoch: int) -> nn.Module:
        """The network for the steps of an epoch, counted from 0; in training mode, or its classifier alone."""
        head_alone = epoch < self._recipe.head_epochs
        if self._wrapped is None or self._wrapped[0] is not head_alone:
            self._learn(not head_alone)
            self._wrapped = head_alone, self._wrap()  # anew: gradients are exchanged for what has them when it is made
        wrapped = self._wrapped[1].train()
        if head_alone:
            self._model.eval()
            for head in self._heads:
                head.train()
        return wrapped

    def release(self) -> None:
        """Let all parameters learn again that did before."""
        self._learn(True)

    def _learn(self, body: bool) -> None:
        for parameter in self._body:
            parameter.requires_grad_(body)

    def _wrap(self) -> nn.Module:
        wrapped = self._model
        if self._group.many:
            device = self._group.device
            ids = [device.index] if device.type == "cuda" else None
            wrapped = DistributedDataParallel(
                wrapped, device_ids=ids, broadcast_buffers=self._recipe.batch_norm == "local"
            )
        return torch.compile(wrapped) if self._recipe.compiled else wrapped  # type: ignore[return-value]


def _classifiers(model: nn.Module) -> list[nn.Module]:
    """What timm's interface names as the classifier; some networks have two."""
    asked = getattr(model, "get_classifier", None)
    found = asked() if callable(asked) else None
    heads = [each for each in (found if isinstance(found, (tuple, list)) else [found]) if isinstance(each, nn.Module)]
    if not any(True for head in heads for _ in head.parameters()):
        raise TrainingError(
            f"the recipe's head_epochs let the classifier learn alone, but a {type(model).__name__} names none.",
            "Let all of it learn from the beginning: --set head_epochs=0.",
        )
    return heads
