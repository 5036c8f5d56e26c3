"""The teacher of `gpunet train`: which it is, whether there is one, and the network itself."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gpunet.core import console
from gpunet.core.device import LOCAL
from gpunet.core.json_files import parsed_json
from gpunet.errors import InvalidArgumentError, WeightsError

if TYPE_CHECKING:
    from torch import nn

    from gpunet.train.data.datasets import ImageData
    from gpunet.train.distillation.teacher import Teacher
    from gpunet.train.recipe import Recipe


_QUERY = re.compile(r"best[- ]under\s+(\d+(?:\.\d+)?)\s*ms", re.IGNORECASE)


def with_teacher(recipe: Recipe, teacher: str | None, no_distillation: bool) -> Recipe:
    """The recipe, with the teacher that the command line names, or without one."""
    from gpunet.train.recipe import Distillation

    if no_distillation:
        if teacher:
            raise InvalidArgumentError("--teacher and --no-distillation contradict each other.", "Leave one out.")
        return dataclasses.replace(recipe, distillation=None)
    if teacher:
        given = recipe.distillation or Distillation()
        px = given.teacher_px if given.teacher == teacher else None
        return dataclasses.replace(recipe, distillation=dataclasses.replace(given, teacher=teacher, teacher_px=px))
    return recipe


def teacher_found(
    recipe: Recipe, device: str | None, images: ImageData, validation: ImageData, out: Path, zoo: Sequence[str] | None
) -> Recipe:
    """The recipe with a teacher by name, where it names one by a query: 'best-under 20ms'.

    The most accurate network of the zoo within a latency on a device, by accuracies of the validation images where the
    zoo has such, else of ImageNet's. A run that has begun goes on with the teacher that it has.

    Raises:
        InvalidArgumentError: the query cannot be read, a device is given without one, or the network that it finds
            tells other classes apart than the images have.
        NothingFitsError: nothing is so fast.
    """
    given = recipe.distillation
    asked = "" if given is None else str(given.teacher or "")
    if given is None or not re.match(r"best[- ]under\b", asked, re.IGNORECASE):
        if device is not None:
            raise InvalidArgumentError(
                "--teacher-device is given, but the teacher is no query.", "Such as --teacher 'best-under 20ms'."
            )
        return recipe
    found = _QUERY.fullmatch(asked.strip())
    if found is None or not float(found[1]):
        raise InvalidArgumentError(
            f"--teacher {asked!r} is no query.", "Write --teacher 'best-under 20ms': a number of milliseconds."
        )
    name = teacher_of_run(out)
    if name is None:
        name = _most_accurate(float(found[1]), device or LOCAL, images, validation, zoo)
    return dataclasses.replace(recipe, distillation=dataclasses.replace(given, teacher=name))


def _most_accurate(
    max_ms: float, device: str, images: ImageData, validation: ImageData, zoo: Sequence[str] | None
) -> str:
    from gpunet.model.dataset_names import canonical_dataset
    from gpunet.zoo.catalog import catalog
    from gpunet.zoo.choice.conditions import Query
    from gpunet.zoo.query import best

    own = canonical_dataset(validation.name)
    known = {entry.dataset for entry in catalog(zoo).values()}
    match = best(Query(device=device, max_ms=max_ms, dataset=own if own in known else None), zoo)
    classes = None if images.classes is None else len(images.classes)
    if classes not in (None, match.entry.num_classes):
        raise InvalidArgumentError(
            f"the most accurate network within {max_ms:g} ms, {match.name}, tells {match.entry.num_classes} classes "
            f"apart, but {images.name} has {classes}.",
            f"Fine-tune one first, and name its folder: gpunet train {match.name} --finetune ... -o DIR, then "
            "--teacher DIR, or --zoo with the folder above it.",
        )
    console.note(f"the teacher: {match}")
    return match.name


def teacher_of_run(out: Path) -> str | None:
    """The teacher of the run in a folder; None where there is no run, or none that can be read."""
    from gpunet.train.folder import RUN

    try:
        teacher = parsed_json((out / RUN).read_bytes())["recipe"]["distillation"]["teacher"]
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return teacher if isinstance(teacher, str) else None


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
