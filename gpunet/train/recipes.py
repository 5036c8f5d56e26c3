"""Recipes by name: the released networks', the paper's two stages, small data, and fine-tuning to one's own.

Sources: the paper, section 4.1 (300 epochs to rank, 150 to fine-tune; RandAugment of magnitude 9 and deviation 0.5,
decay x0.97 every 2.4 epochs, EMA 0.9999, crop 1, RMSprop); the commands published beside the released networks; and
the program that these start (NVIDIA DeepLearningExamples, PyTorch/Classification/GPUNet), which ignores some of their
options. A recipe is what was run; `..._as_published` is what the command says. docs/training.md has both. Fine-tuning
goes on at the rate at which ranking ends: both together are the release's 450 epochs. Rates are for 8 processes, and
scale with the batch where a run has others.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gpunet.errors import InvalidArgumentError, SpecError
from gpunet.train.recipe import Augmentation, Distillation, Optimization, Recipe, Schedule

PROCESSES = 8  # GPUs that the released networks were trained on


def _released(
    name: str,
    batch_size: int,
    learning_rate: float,
    teacher: str | None = None,
    px: int | None = None,
    drop_path: float = 0.2,
) -> Recipe:
    """As the release's program ran it: `px` is the student's too, since the teacher sees the student's images."""
    return Recipe(
        name,
        epochs=450,
        batch_size=batch_size,
        optimization=Optimization(
            "rmsproptf", learning_rate, batch_size * PROCESSES, weight_decay=1e-5, momentum=0.9, epsilon=1e-3
        ),
        schedule=Schedule("step", warmup_epochs=3, warmup_learning_rate=1e-6, decay_epochs=2.4, decay_rate=0.97),
        augmentation=Augmentation("rand-m9-mstd0.5", erasing=0.2, erasing_mode="pixel"),
        dropout=0.2,
        drop_path=drop_path,
        drop_path_over="items",
        initialization="torch",
        ema_decay=0.9999,
        precision="fp16",
        channels_last=True,
        batch_norm="local",
        distillation=None if teacher is None
        else Distillation(teacher, px, weight=1.0, label_weight=1.0, loss="cross-entropy"),
    )  # fmt: skip


def _as_published(recipe: Recipe, teacher_px: int | None = None) -> Recipe:
    """What the published command asks for: --drop 0.3, --drop-connect 0.2 as timm means it, --teacher-img-size."""
    taught = recipe.distillation
    return dataclasses.replace(
        recipe,
        name=f"{recipe.name}_as_published",
        dropout=0.3,
        drop_path=0.2,
        drop_path_over="layers",
        distillation=taught and dataclasses.replace(taught, teacher_px=teacher_px or taught.teacher_px),
    )


_PLAIN = _released("gpunet_0", 192, 0.06)
_RELEASED = (
    _PLAIN,
    dataclasses.replace(_PLAIN, name="gpunet_1"),
    dataclasses.replace(_PLAIN, name="gpunet_2"),
    _released("gpunet_p0", 256, 0.08, "tf_efficientnet_b2.aa_in1k", 224),
    _released("gpunet_p1", 256, 0.08, "tf_efficientnet_b2.aa_in1k", 224),
    _released("gpunet_d1", 192, 0.06, "tf_efficientnet_b5.ns_jft_in1k", 456, drop_path=0.0),
    _released("gpunet_d2", 128, 0.06, "tf_efficientnet_b6.ns_jft_in1k", 528, drop_path=0.0),
)
_TEACHER_PX_AS_PUBLISHED = {"gpunet_p0": 260, "gpunet_p1": 260}

_RECIPES = (
    Recipe(
        "quick",
        epochs=20,
        batch_size=64,
        optimization=Optimization("adamw", 4e-3, 64, weight_decay=0.02),
        schedule=Schedule("cosine", warmup_epochs=1, warmup_learning_rate=1e-4, by_update=True),
        augmentation=Augmentation(
            scale=(0.7, 1.0), ratio=(0.85, 1.18), horizontal_flip=0.0, color_jitter=0.0, interpolation="bilinear"
        ),
        ema_decay=0.995,
        ema_warmup=True,
        channels_last=True,
    ),
    Recipe(
        "finetune",
        epochs=10,
        batch_size=64,
        optimization=Optimization("adamw", 1e-3, 64, weight_decay=0.02),
        schedule=Schedule("cosine", by_update=True),
        augmentation=Augmentation(scale=(0.35, 1.0), color_jitter=0.2),
        dropout=0.2,
        ema_decay=0.99,
        ema_warmup=True,
        channels_last=True,
        head_epochs=1,
    ),
    Recipe(
        "detection",
        epochs=12,
        batch_size=2,
        optimization=Optimization("sgd", 0.02, 16, weight_decay=1e-4, momentum=0.9, gradient_norm=35.0),
        schedule=Schedule("cosine", warmup_epochs=0.25, warmup_learning_rate=2e-5, by_update=True),
        augmentation=Augmentation(scale=(1.0, 1.0), ratio=(1.0, 1.0), color_jitter=0.0),
        label_smoothing=0.0,
        ema_decay=0.999,
        ema_warmup=True,
        batch_norm="local",
    ),
    Recipe(
        "detection-quick",
        epochs=20,
        batch_size=4,
        optimization=Optimization("adamw", 1e-3, 4, weight_decay=0.02, gradient_norm=35.0),
        schedule=Schedule("cosine", warmup_epochs=1, warmup_learning_rate=1e-5, by_update=True),
        augmentation=Augmentation(scale=(1.0, 1.0), ratio=(1.0, 1.0), color_jitter=0.0),
        label_smoothing=0.0,
        ema_decay=0.99,
        ema_warmup=True,
        batch_norm="local",
    ),
    dataclasses.replace(_PLAIN, name="paper-rank", epochs=300),
    dataclasses.replace(
        _PLAIN,
        name="paper-finetune",
        epochs=150,
        optimization=dataclasses.replace(_PLAIN.optimization, learning_rate=0.06 * 0.97**125),
        schedule=dataclasses.replace(_PLAIN.schedule, warmup_epochs=0),
    ),
    *_RELEASED,
    *(_as_published(recipe, _TEACHER_PX_AS_PUBLISHED.get(recipe.name)) for recipe in _RELEASED),
)


def recipe_names() -> tuple[str, ...]:
    """Names that `recipe_named` knows."""
    return tuple(recipe.name for recipe in _RECIPES)


def recipe_named(name: str | Path | Recipe) -> Recipe:
    """A recipe by name, or from a JSON file; a recipe is given back as it is.

    Raises:
        SpecError: (a ValueError) there is none of that name, or the file cannot be read as one.
    """
    if isinstance(name, Recipe):
        return name
    if isinstance(name, Path) or str(name).endswith(".json"):
        return Recipe.read(name)
    for recipe in _RECIPES:
        if recipe.name == name:
            return recipe
    raise SpecError(
        f"recipe: {name!r} is none of {', '.join(recipe_names())}", "Give one of these, or the path of a JSON file.",
        nearest=difflib.get_close_matches(str(name), recipe_names()),
    )  # fmt: skip


def changed_recipe(recipe: Recipe, changes: Iterable[str]) -> Recipe:
    """A recipe with changes, each KEY=VALUE: the key a path as 'optimization.learning_rate', the value JSON or text.

    Raises:
        InvalidArgumentError: (a ValueError) a change is none.
        SpecError: (a ValueError) a value breaks its rule.
    """
    body = recipe.to_dict()
    for change in changes:
        key, equals, value = change.partition("=")
        if not equals or not key:
            raise InvalidArgumentError(f"--set takes KEY=VALUE, but got {change!r}.", "E.g. --set dropout=0.2")
        *parts, last = key.split(".")
        place: dict[str, Any] = body
        for part in parts:
            if not isinstance(place.get(part, {}), dict):
                raise InvalidArgumentError(f"--set {change}: {part} holds no {last}.")
            place = place.setdefault(part, {})
        try:
            place[last] = json.loads(value)
        except (json.JSONDecodeError, RecursionError):
            place[last] = value
    return Recipe.from_dict(body)
