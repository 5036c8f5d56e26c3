"""The plain loop that gpunet.train is compared with trains the same recipe."""

from __future__ import annotations

import dataclasses

import torch
from training_benchmark.learning import learning_recipe
from training_benchmark.plain import PlainLoop

from gpunet.model.network import GPUNet
from gpunet.model.preprocessing import image_config
from gpunet.model.small import SMALL
from gpunet.train import open_data, train


def test_both_loops_lower_the_loss_of_the_same_network_alike(tmp_path):
    """Without augmentation and half precision they differ by the order of the images alone."""
    recipe = learning_recipe(2)
    recipe = dataclasses.replace(
        recipe, precision="fp32", ema_decay=None, augmentation=dataclasses.replace(recipe.augmentation, scale=(1, 1))
    )
    data, validation = open_data("digits"), open_data("digits", split="validation")
    small = dataclasses.replace(data, rows=tuple(range(320)))
    torch.manual_seed(0)
    ours, plain = GPUNet(SMALL, num_classes=10), GPUNet(SMALL, num_classes=10)
    plain.load_state_dict(ours.state_dict())
    before = {name: value.clone() for name, value in plain.state_dict().items()}
    pictures = [data.dataset[row] for row in range(320)]
    loop = PlainLoop(plain, recipe, pictures, validation.dataset, image_config(plain), 0)
    assert min(loop.epoch(0), loop.epoch(1)) > 0
    result = train(ours, recipe, small, tmp_path)  # no validation: the last epoch's weights
    moved = [
        torch.cat([(after - before[name]).flatten() for name, after in model.state_dict().items() if "weight" in name])
        for model in (ours, plain)
    ]
    assert 0.8 < float(moved[0].norm() / moved[1].norm()) < 1.25  # as many steps, as long
    assert loop.top1_percent() > 10
    assert result.scores[-1].train_loss < result.scores[0].train_loss
