"""The seven released recipes against three steps that numpy took by the release's rules (see derive.py)."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gpunet.model.network import GPUNet
from gpunet.train import recipe_named
from gpunet.train.loss import Loss
from gpunet.train.optimization import average_from_recipe, optimizer_from_recipe, scheduler_from_recipe
from gpunet.train.recipes import PROCESSES
from gpunet.zoo.catalog import entry_named

FIGURES: dict[str, dict[str, Any]] = json.loads(Path(__file__).with_name("figures.json").read_text(encoding="utf-8"))
EACH = pytest.mark.parametrize("name", FIGURES)


def sines(rows: int, columns: int, by: float) -> Tensor:
    return torch.from_numpy(np.sin(by * np.arange(1, rows * columns + 1)).reshape(rows, columns)).float()


@EACH
def test_three_steps(name: str) -> None:
    figures, recipe = FIGURES[name], recipe_named(name)
    model = nn.Linear(6, 4)
    with torch.no_grad():
        model.weight.copy_(sines(4, 6, 0.7))
        model.bias.copy_(sines(1, 4, 1.3)[0])
    answers = None if figures["teacher"] is None else 3 * sines(8, 4, 2.1)
    loss_of, optimizer = Loss(recipe), optimizer_from_recipe(model, recipe, PROCESSES)
    scheduler = scheduler_from_recipe(optimizer, recipe, updates_per_epoch=1)
    average = average_from_recipe(model, recipe)
    assert average is not None
    for step, wanted in enumerate(figures["steps"]):
        loss = loss_of(model(sines(8, 6, 0.3 + 0.1 * step)), torch.arange(8) % 4, answers)
        optimizer.zero_grad()
        loss.backward()
        gradients = {each: parameter.grad.tolist() for each, parameter in model.named_parameters()}  # type: ignore[union-attr]
        rate = optimizer.param_groups[0]["lr"]
        optimizer.step()
        average.update(model, step=step + 1)
        scheduler.step_update(step + 1)
        scheduler.step(step + 1)
        assert loss.item() == pytest.approx(wanted["loss"], rel=1e-5)
        assert rate == pytest.approx(wanted["learning_rate"], rel=1e-12)
        for found, of in (
            (gradients, wanted["gradients"]),
            ({each: value.tolist() for each, value in model.state_dict().items()}, wanted["weights"]),
            ({each: value.tolist() for each, value in average.module.state_dict().items()}, wanted["average"]),
        ):
            for part in ("weight", "bias"):
                np.testing.assert_allclose(found[part], of[part], rtol=1e-4, atol=1e-6)


@EACH
def test_rates_to_the_last_epoch(name: str) -> None:
    figures, recipe = FIGURES[name], recipe_named(name)
    assert recipe.epochs == figures["epochs"]
    optimizer = optimizer_from_recipe(nn.Linear(1, 1), recipe, PROCESSES)
    scheduler = scheduler_from_recipe(optimizer, recipe, updates_per_epoch=1)
    for epoch, rate in figures["rates"].items():
        scheduler.step(int(epoch))
        assert optimizer.param_groups[0]["lr"] == pytest.approx(rate, rel=1e-12), epoch


@EACH
def test_what_is_dropped_and_who_teaches(name: str) -> None:
    figures, recipe = FIGURES[name], recipe_named(name)
    with torch.device("meta"):
        network: Any = GPUNet(entry_named(name).spec)
    network.set_drop_rates(recipe.dropout, recipe.drop_path, recipe.drop_path_over)
    layers = [layer for stage in network.blocks for layer in stage if getattr(layer, "residual", False)]
    found = [getattr(layer.drop_path, "drop_prob", 0.0) for layer in layers]
    assert found == pytest.approx(figures["drop_paths"])
    assert network.drop_rate == figures["dropout"]
    assert recipe.batch_size == figures["batch_size"]
    taught = recipe.distillation
    assert (taught and taught.teacher, taught and taught.teacher_px) == (figures["teacher"], figures["teacher_px"])
    assert (recipe.initialization, recipe.batch_norm, recipe.precision) == ("torch", "local", "fp16")


def test_the_figures_are_those_that_the_rules_give() -> None:
    derived = runpy.run_path(str(Path(__file__).with_name("derive.py")))["figures"]()
    for name, wanted in FIGURES.items():
        for key, value in wanted.items():
            assert derived[name][key] == value if key != "steps" else len(derived[name][key]) == 3
