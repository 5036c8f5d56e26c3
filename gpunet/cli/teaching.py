"""The teacher of `gpunet train`: which it is, whether there is one, and the network itself."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gpunet.core import console
from gpunet.errors import InvalidArgumentError, WeightsError

if TYPE_CHECKING:
    from torch import nn

    from gpunet.train.data.datasets import ImageData
    from gpunet.train.distillation.teacher import Teacher
    from gpunet.train.recipe import Recipe


def with_teacher(recipe: Recipe, teacher: str | None, no_distillation: bool) -> Recipe:
    """The recipe, with the teacher that the command line names, or without one."""
    from dataclasses import replace

    from gpunet.train.recipe import Distillation

    if no_distillation:
        if teacher:
            raise InvalidArgumentError("--teacher and --no-distillation contradict each other.", "Leave one out.")
        return replace(recipe, distillation=None)
    if teacher:
        given = recipe.distillation or Distillation()
        px = given.teacher_px if given.teacher == teacher else None
        return replace(recipe, distillation=replace(given, teacher=teacher, teacher_px=px))
    return recipe


def check_teacher(recipe: Recipe, given: dict[str, object]) -> None:
    """Raise InvalidArgumentError where options of a teacher are given and there is none, or it has no name."""
    for option, value in given.items():
        if recipe.distillation is None and value is not None:
            raise InvalidArgumentError(f"{option} is given, but there is no teacher.", "Pass --teacher MODEL.")
    if recipe.distillation is not None and recipe.distillation.teacher is None:
        raise InvalidArgumentError("the recipe has distillation, but names no teacher.", "Pass --teacher MODEL.")


def teacher_of(
    recipe: Recipe, student: nn.Module, out: Path, validation: ImageData, *, zoo: Sequence[str] | None,
    weights: Path | None, on: str | None, workers: int, least_top1: float | None, timeout_s: float | None,
) -> Teacher | None:  # fmt: skip
    """The recipe's teacher, scored first where it must be good; None where the recipe has none.

    Raises:
        WeightsError: its weights cannot be had.
        InvalidArgumentError: it scores less than `least_top1`, in percent.
    """
    given = recipe.distillation
    if given is None or given.teacher is None:
        return None
    from gpunet.model.preprocessing import num_classes_of
    from gpunet.train.distillation.teacher import Teacher
    from gpunet.train.processes import device_named
    from gpunet.zoo.named import network_named

    try:
        network = network_named(
            given.teacher, zoo=zoo, pretrained=True, weights=weights, timm_too=True, timeout_s=timeout_s,
            **({} if Path(given.teacher).exists() else {"num_classes": num_classes_of(student)}),
        )  # fmt: skip
    except WeightsError as error:  # a teacher has an option of its own, and is never untrained
        trained = re.sub(r"(?:[;,](?: or)? )?pretrained=False[^.,]*(?:, or )?", "", error.hint)
        error.hint = re.sub(r"\bweights=", "teacher_weights=", trained)
        raise
    teacher = Teacher(network, image_px=given.teacher_px, cache=out / "teacher-logits.f16" if given.cache else None)
    if least_top1 is not None:
        teacher.network.to(device_named(on))
        reached = teacher.checked_top1_percent(validation, least_top1, workers=workers)
        console.note(f"the teacher {given.teacher}: top-1 {reached:.2f} %")
    return teacher
