"""A plain training loop on timm's public parts alone: its loader, optimiser, scheduler and average of the weights."""

from __future__ import annotations

import time
from typing import Any

import torch
from timm.data import create_loader
from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler_v2
from timm.utils import ModelEmaV3
from torch import nn
from torch.utils.data import Dataset

from gpunet.train import Recipe


class Pictures(Dataset[Any]):
    """Pictures and classes as timm's loader wants them: it sets `transform`."""

    def __init__(self, images: Any) -> None:
        self._images = images
        self.transform: Any = None

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        picture, target = self._images[index]
        return self.transform(picture), target


class PlainLoop:
    """Epochs of a network by a recipe, without anything of gpunet.train.

    Args:
        model: begins as it is.
        recipe: without distillation, Mixup or a policy of augmentation.
        data, validation: datasets of (picture, class).
        config: timm's, of the pictures that the network takes.
        workers: of the training loader.
    """

    def __init__(
        self, model: nn.Module, recipe: Recipe, data: Any, validation: Any, config: dict[str, Any], workers: int
    ) -> None:
        given, drawn = recipe.optimization, recipe.augmentation
        how = {
            "input_size": config["input_size"], "batch_size": recipe.batch_size, "use_prefetcher": False,
            "mean": config["mean"], "std": config["std"],
        }  # fmt: skip
        loader_of: Any = create_loader  # takes any dataset that has a transform to set
        self.loader = loader_of(
            Pictures(data), is_training=True, scale=drawn.scale, ratio=drawn.ratio, hflip=drawn.horizontal_flip,
            color_jitter=drawn.color_jitter, interpolation=drawn.interpolation or config["interpolation"],
            num_workers=workers, persistent_workers=workers > 0, **how,
        )  # fmt: skip
        self._scored = loader_of(
            Pictures(validation), interpolation=config["interpolation"], crop_pct=config["crop_pct"], num_workers=0,
            persistent_workers=False, **how,
        )  # fmt: skip
        self._layout = torch.channels_last if recipe.channels_last else torch.contiguous_format
        self.model = model.to(memory_format=self._layout)
        self._half = recipe.precision == "bf16"
        self._smoothing, self._norm = recipe.label_smoothing, given.gradient_norm
        options = {} if given.epsilon is None else {"eps": given.epsilon}
        self._optimizer = create_optimizer_v2(
            self.model, given.optimizer, lr=recipe.learning_rate(1), weight_decay=given.weight_decay,
            momentum=given.momentum, **options,
        )  # fmt: skip
        rates: dict[str, Any] = {}
        if recipe.schedule.decay_epochs is not None:
            rates["decay_epochs"] = recipe.schedule.decay_epochs
        self._scheduler, _ = create_scheduler_v2(
            self._optimizer, recipe.schedule.scheduler, num_epochs=recipe.epochs, decay_rate=recipe.schedule.decay_rate,
            min_lr=recipe.schedule.min_learning_rate, warmup_lr=recipe.schedule.warmup_learning_rate,
            warmup_epochs=int(recipe.schedule.warmup_epochs), step_on_epochs=not recipe.schedule.by_update,
            updates_per_epoch=len(self.loader), **rates,
        )  # fmt: skip
        self._average = (
            None if recipe.ema_decay is None else ModelEmaV3(model, recipe.ema_decay, use_warmup=recipe.ema_warmup)
        )
        self._updates = 0

    def epoch(self, epoch: int) -> float:
        """Train an epoch, counted from 0; its images a second."""
        self.model.train()
        began_s, images_done = time.perf_counter(), 0
        for images, targets in self.loader:
            images = images.contiguous(memory_format=self._layout)
            with torch.autocast("cpu", torch.bfloat16, enabled=self._half):
                logits = self.model(images)
            loss = nn.functional.cross_entropy(logits.float(), targets, label_smoothing=self._smoothing)
            loss.backward()
            if self._norm is not None:
                nn.utils.clip_grad_norm_(self.model.parameters(), self._norm)
            self._optimizer.step()
            self._optimizer.zero_grad()
            self._updates += 1
            if self._average is not None:
                self._average.update(self.model, step=self._updates)
            self._scheduler.step_update(self._updates)
            images_done += len(images)
        rate = images_done / (time.perf_counter() - began_s)
        self._scheduler.step(epoch + 1)
        return rate

    def top1_percent(self) -> float:
        """Of the validation images, by the averaged weights where there is an average."""
        model = self.model if self._average is None else self._average.module
        model.eval()
        right = total = 0
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=self._half):
            for images, targets in self._scored:
                found = model(images.contiguous(memory_format=self._layout)).argmax(dim=1)
                right += int((found == targets).sum())
                total += len(targets)
        return 100.0 * right / total
