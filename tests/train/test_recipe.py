from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpunet.errors import ABSENT_EXIT_CODE, SpecError
from gpunet.train.recipe import Augmentation, Distillation, Optimization, Recipe
from gpunet.train.recipes import PROCESSES, recipe_named, recipe_names

MINIMAL = {"name": "mine", "epochs": 3, "batch_size": 8}


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_is_json_both_ways(name: str) -> None:
    recipe = recipe_named(name)
    assert Recipe.from_json(recipe.to_json()) == recipe
    assert recipe_named(recipe) is recipe


@given(
    epochs=st.integers(1, 1000),
    rate=st.floats(1e-6, 10),
    scale=st.tuples(st.floats(0.01, 0.5), st.floats(0.5, 1)),
    weight=st.floats(0, 1),
    decay=st.none() | st.floats(0, 0.99999),
)
def test_any_recipe_is_json_both_ways(
    epochs: int, rate: float, scale: tuple[float, float], weight: float, decay: float | None
) -> None:
    recipe = Recipe(
        "any", epochs, 8, optimization=Optimization(learning_rate=rate), augmentation=Augmentation(scale=scale),
        ema_decay=decay, distillation=Distillation("resnet18", weight=weight),
    )  # fmt: skip
    assert Recipe.from_dict(json.loads(recipe.to_json(indent=2))) == recipe


def test_a_recipe_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(MINIMAL), encoding="utf-8")
    assert recipe_named(path) == recipe_named(str(path)) == Recipe("mine", 3, 8)
    with pytest.raises(SpecError, match=r"cannot read .*nothing.json") as caught:
        recipe_named(tmp_path / "nothing.json")
    assert caught.value.exit_code == ABSENT_EXIT_CODE
    with pytest.raises(
        SpecError, match=r"recipe: 'qiuck' is none of quick, finetune, detection, detection-quick, paper-rank"
    ):
        recipe_named("qiuck")
    with pytest.raises(SpecError) as near:
        recipe_named("fintune")
    assert near.value.nearest[0] == "finetune"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"epochs": 0}, "epochs: 0 is out of range; it is at least 1"),
        ({"epochs": 2.5}, "epochs: 2.5 is not an integer"),
        ({"batch_size": True}, "batch_size: True is not an integer"),
        ({"name": ""}, "name: '' is not a name"),
        ({"dropout": 1}, "dropout: 1 is out of range; it is at least 0 and below 1"),
        ({"ema_decay": 1.0}, "ema_decay: 1.0 is out of range"),
        ({"precision": "fp8"}, "precision: 'fp8' is not one of fp32, fp16, bf16"),
        ({"batch_norm": "none"}, "batch_norm: 'none' is not one of local, synced"),
        ({"compiled": 1}, "compiled: 1 is not true or false"),
        ({"optimization": {"learning_rate": 0}}, r"optimization.learning_rate: 0 is out of range; it is above 0"),
        ({"optimization": {"momentum": 1}}, r"optimization.momentum: 1 is out of range; it is at least 0 and below 1"),
        ({"optimization": {"epsilon": float("nan")}}, r"optimization.epsilon: nan is not a finite number"),
        ({"optimization": {"optimizer": 3}}, r"optimization.optimizer: 3 is not a name"),
        ({"optimization": {"lr": 0.1}}, r"optimization.lr: unknown key"),
        ({"optimization": {"batch_of_learning_rate": 0}}, r"batch_of_learning_rate: 0 is out of range"),
        ({"schedule": {"scheduler": "plateau"}}, "schedule.scheduler: 'plateau' has no learning rate of an epoch"),
        ({"schedule": {"decay_rate": 0}}, r"schedule.decay_rate: 0 is out of range; it is above 0 and at most 1"),
        ({"augmentation": {"scale": [0.5]}}, r"augmentation.scale: \[0.5\] is not a pair of numbers"),
        ({"augmentation": {"scale": [0.9, 0.1]}}, r"augmentation.scale: low <= high must hold, but got \[0.9, 0.1\]"),
        ({"augmentation": {"scale": [0.5, 1.5]}}, r"augmentation.scale: 1.5 is out of range"),
        ({"augmentation": {"erasing_mode": "x"}}, r"augmentation.erasing_mode: 'x' is not one of const, rand, pixel"),
        ({"augmentation": {"interpolation": "area"}}, r"augmentation.interpolation: 'area' is not one of bicubic"),
        ({"batch_size": 9, "augmentation": {"mixup": 0.2}}, "batch_size: 9 is odd; Mixup and CutMix mix images in"),
        ({"distillation": {"temperature": 0}}, r"distillation.temperature: 0 is out of range; it is above 0"),
        ({"distillation": {"cache": True}}, "distillation.cache: a teacher's answers can be kept only where an image"),
        ({"distillation": {"teacher_px": 4}}, r"distillation.teacher_px: 4 is out of range"),
        ({"head_epochs": 4}, "head_epochs: 4 is out of range; it is at least 0 and at most the epochs, 3"),
        ({"head_epochs": True}, "head_epochs: True is not an integer"),
        ({"recipe_version": 2}, "recipe_version: 2 is not 1"),
        ({"epoch": 3}, "epoch: unknown key"),
        ({"distillation": Optimization()}, r"distillation: Optimization\(.*is not"),
    ],
)
def test_a_wrong_value_is_named_with_its_path(change: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError, match=f"^{said}|{said}"):
        Recipe.from_dict({**MINIMAL, **change})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "recipe: not JSON"),
        ("[" * 100_000, "recipe: not JSON"),
        ("[]", r"recipe: \[\] is not an object"),
        ("{}", "name: missing"),
    ],
)
def test_what_is_no_recipe(text: str, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        Recipe.from_json(text)


def test_parts_must_be_parts() -> None:
    with pytest.raises(SpecError, match="schedule: 'cosine' is not of Schedule"):
        Recipe("mine", 1, 8, schedule="cosine")  # type: ignore[arg-type]
    with pytest.raises(SpecError, match="distillation: 'b2' is not of Distillation"):
        Recipe("mine", 1, 8, distillation="b2")  # type: ignore[arg-type]


def test_answers_may_be_kept_where_an_image_stays_the_same() -> None:
    for augmentation in (Augmentation(fixed=True), Augmentation(enabled=False)):
        assert Recipe("mine", 1, 8, augmentation=augmentation, distillation=Distillation(cache=True))


def test_the_learning_rate_follows_the_batch_where_asked() -> None:
    scaled = recipe_named("gpunet_0")
    assert scaled.learning_rate(PROCESSES) == pytest.approx(0.06)
    assert scaled.learning_rate(1) == pytest.approx(0.06 / 8)
    assert dataclasses.replace(scaled, accumulation_steps=8).learning_rate(1) == pytest.approx(0.06)
    fixed = dataclasses.replace(
        scaled, optimization=dataclasses.replace(scaled.optimization, batch_of_learning_rate=None)
    )
    assert fixed.learning_rate(1) == fixed.learning_rate(8) == 0.06


def test_recipes_as_published_are_what_the_commands_say() -> None:
    for name in ("gpunet_0", "gpunet_p0", "gpunet_d2"):
        ran, published = recipe_named(name), recipe_named(f"{name}_as_published")
        assert (ran.dropout, published.dropout) == (0.2, 0.3)
        assert (published.drop_path, published.drop_path_over) == (0.2, "layers")
        assert (published.augmentation, published.schedule) == (ran.augmentation, ran.schedule)
        assert (ran.augmentation.policy, ran.augmentation.erasing_mode) == ("rand-m9-mstd0.5", "pixel")
    names = ("gpunet_0_as_published", "gpunet_p0_as_published", "gpunet_d1_as_published")
    teachers = [recipe_named(name).distillation for name in names]
    assert [None if each is None else each.teacher_px for each in teachers] == [None, 260, 456]
    assert (recipe_named("paper-rank").epochs, recipe_named("paper-finetune").epochs) == (300, 150)
