"""The learning rates and averages of a run, beside timm's own driven as timm's training script drives them."""

from __future__ import annotations

import dataclasses
from argparse import Namespace
from pathlib import Path

import pytest
import torch
from helpers.runs import digits, network, recipe, run
from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler_v2, scheduler_kwargs
from timm.utils import ModelEmaV3
from torch.nn import functional

from gpunet.errors import SpecError
from gpunet.model.preprocessing import image_config
from gpunet.train import Optimization, Schedule, recipe_named
from gpunet.train.checkpoint import Checkpoints, under
from gpunet.train.data.loader import TrainingLoader
from gpunet.train.data.transforms import training_transform
from gpunet.train.optimization import optimizer_from_recipe, scheduler_from_recipe
from gpunet.train.recipe import Augmentation

# gpunet_0's settings as options of timm's training script.
TIMM = Namespace(
    sched="step", epochs=450, decay_epochs=2.4, decay_rate=0.97, warmup_lr=1e-6, warmup_epochs=3, warmup_prefix=False,
    min_lr=0.0, cooldown_epochs=0, patience_epochs=10, decay_milestones=[90, 180, 270], lr_noise=None,
    lr_noise_pct=0.67, lr_noise_std=1.0, seed=42, lr_cycle_mul=1.0, lr_cycle_decay=0.5, lr_cycle_limit=1,
    lr_k_decay=1.0, eval_metric="top1", sched_on_updates=False,
)  # fmt: skip


EPOCHS = 12


def test_rates_of_gpunet_0_are_timms_over_all_its_epochs() -> None:
    how = recipe_named("gpunet_0")
    ours, theirs = (optimizer_from_recipe(network(), how, processes=8) for _ in range(2))
    updates_per_epoch = 834
    scheduler = scheduler_from_recipe(ours, how, updates_per_epoch)
    wanted, epochs = create_scheduler_v2(theirs, **scheduler_kwargs(TIMM), updates_per_epoch=updates_per_epoch)
    assert epochs == how.epochs
    for epoch in range(epochs):
        for updates in (epoch * updates_per_epoch, epoch * updates_per_epoch + 1):
            scheduler.step_update(updates)
            wanted.step_update(updates)
            assert ours.param_groups[0]["lr"] == theirs.param_groups[0]["lr"]
        scheduler.step(epoch + 1)
        wanted.step(epoch + 1)
    assert ours.param_groups[0]["lr"] == pytest.approx(0.06 * 0.97**187)


def test_rates_and_averages_of_a_run_by_gpunet_0s_recipe_are_timms_step_by_step(tmp_path: Path) -> None:
    """Every learning rate, and at the end the weights and their averages."""
    given = recipe_named("gpunet_0")
    how = dataclasses.replace(
        given, epochs=EPOCHS, batch_size=16, precision="fp32", channels_last=False, dropout=0.0, drop_path=0.0,
        augmentation=Augmentation(enabled=False),
        optimization=dataclasses.replace(given.optimization, batch_of_learning_rate=None, learning_rate=0.06),
    )  # fmt: skip
    data = digits(16)
    rates: list[float] = []
    result = run(
        tmp_path, how=how, data=data, validation=None, on_epoch=lambda score: rates.append(score.learning_rate)
    )
    assert result.best.epoch == EPOCHS

    torch.manual_seed(0)
    model = network()
    loader = TrainingLoader(data, training_transform(image_config(model), how.augmentation), 10, 16, seed=0, fixed=True)
    optimizer = create_optimizer_v2(model, "rmsproptf", lr=0.06, weight_decay=1e-5, momentum=0.9, eps=1e-3)
    scheduler, _ = create_scheduler_v2(optimizer, **scheduler_kwargs(TIMM), updates_per_epoch=1)
    average = ModelEmaV3(model, decay=0.9999)
    theirs, updates = [], 0
    for epoch in range(EPOCHS):
        model.train()
        for batch in loader.epoch(epoch):
            loss = functional.cross_entropy(model(batch.images), batch.targets, label_smoothing=0.1)
            loss.backward()
            theirs.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            optimizer.zero_grad()
            updates += 1
            average.update(model, step=updates)
            scheduler.step_update(num_updates=updates)
        scheduler.step(epoch + 1)
    assert rates == theirs
    assert theirs[0] == 1e-6
    assert theirs[3] == pytest.approx(0.06 * 0.97)
    tensors, _ = Checkpoints(tmp_path / "checkpoints", 2).load(Checkpoints(tmp_path / "checkpoints", 2).positions()[-1])
    for prefix, wanted in (("model", model.state_dict()), ("ema", average.module.state_dict())):
        own = under(prefix, tensors)
        assert own.keys() == wanted.keys()
        for name, value in wanted.items():
            torch.testing.assert_close(own[name], value, rtol=1e-5, atol=1e-6)


def test_what_timm_cannot_make_is_said() -> None:
    with pytest.raises(SpecError, match=r"optimization.optimizer: timm cannot make 'addam'"):
        optimizer_from_recipe(network(), recipe(optimization=Optimization("addam")))
    optimizer = optimizer_from_recipe(network(), recipe())
    with pytest.raises(SpecError, match=r"schedule.scheduler: timm has no 'none'"):
        scheduler_from_recipe(optimizer, recipe(schedule=Schedule("none")), 5)
    with pytest.raises(SpecError, match=r"schedule: timm cannot make 'zigzag'"):
        scheduler_from_recipe(optimizer, recipe(schedule=Schedule("zigzag")), 5)
