"""A recipe's optimiser, learning rates and averaged weights: timm's, made from the recipe's names."""

from __future__ import annotations

from typing import Any, cast

from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler_v2
from timm.scheduler.scheduler import Scheduler
from timm.utils import ModelEmaV3
from torch import nn
from torch.optim import Optimizer

from gpunet.errors import SpecError
from gpunet.train.recipe import Recipe


def optimizer_from_recipe(model: nn.Module, recipe: Recipe, processes: int = 1) -> Optimizer:
    """The optimiser of a run of so many processes.

    Raises:
        SpecError: (a ValueError) timm knows none of that name, or it lacks a package or an option.
    """
    given = recipe.optimization
    options: dict[str, Any] = {} if given.epsilon is None else {"eps": given.epsilon}
    try:
        return create_optimizer_v2(
            model, given.optimizer, lr=recipe.learning_rate(processes), weight_decay=given.weight_decay,
            momentum=given.momentum, **options,
        )  # fmt: skip
    except (AssertionError, ImportError, TypeError, ValueError) as error:
        raise SpecError(
            f"optimization.optimizer: timm cannot make {given.optimizer!r}: {error}",
            "timm.optim.list_optimizers() names what it can.",
        ) from error


def scheduler_from_recipe(optimizer: Optimizer, recipe: Recipe, updates_per_epoch: int) -> Scheduler:
    """The learning rates of a run.

    Raises:
        SpecError: (a ValueError) timm knows no scheduler of that name.
    """
    given = recipe.schedule
    options: dict[str, Any] = {} if given.decay_epochs is None else {"decay_epochs": given.decay_epochs}
    try:
        scheduler, _ = create_scheduler_v2(
            optimizer, given.scheduler, num_epochs=recipe.epochs, decay_rate=given.decay_rate,
            min_lr=given.min_learning_rate, warmup_lr=given.warmup_learning_rate,
            warmup_epochs=cast(int, given.warmup_epochs), step_on_epochs=not given.by_update,
            updates_per_epoch=updates_per_epoch, **options,
        )  # fmt: skip
    except (AssertionError, ValueError) as error:
        raise SpecError(f"schedule: timm cannot make {given.scheduler!r}: {error}") from error
    if scheduler is None:
        raise SpecError(
            f"schedule.scheduler: timm has no {given.scheduler!r}.",
            "It has cosine, step, multistep, poly, constant, ...",
        )
    return scheduler


def average_from_recipe(model: nn.Module, recipe: Recipe) -> ModelEmaV3 | None:
    """The moving average of a model's weights; None where the recipe has none."""
    if recipe.ema_decay is None:
        return None
    return ModelEmaV3(model, recipe.ema_decay, use_warmup=recipe.ema_warmup)
