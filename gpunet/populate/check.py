"""What is wrong with a plan on this machine, found before the first stage and not after days of the ones before."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path

from gpunet.errors import ABSENT_EXIT_CODE, DataError, InvalidArgumentError, SpecError, UnknownModelError
from gpunet.populate import search_stage
from gpunet.populate.context import Context
from gpunet.populate.fine_tune import teacher_of
from gpunet.search.study.training import RecipeTrainer


def check_plan(context: Context, stages: tuple[str, ...]) -> None:
    """See that the stages find what they need: data, recipes, a teacher, and GPUs for the workers.

    Args:
        context: of the run.
        stages: that will be run.

    Raises:
        DataError, SpecError, InvalidArgumentError: (ValueErrors) naming the part of the plan and its fault.
        UnknownModelError: (a LookupError) nothing is called as the teacher.
        WorkerError: there are fewer GPUs than workers.
    """
    if "search" in stages:
        search_stage.check(context)
    _about("search", lambda: context.trainer)
    if "winners" in stages:
        _about("fine_tune", lambda: _check_fine_tuning(context))


def _check_fine_tuning(context: Context) -> None:
    plan, given = context.plan, context.plan.fine_tune
    if given.teacher_weights is not None and not Path(given.teacher_weights).is_file():
        raise InvalidArgumentError(
            f"teacher_weights: there is no file {given.teacher_weights}.", "Correct it in the plan.",
            exit_code=ABSENT_EXIT_CODE,
        )  # fmt: skip
    recipe, teacher = given.recipe, None
    if given.teacher is not None and ":" in given.teacher:  # of a hub: it is known when it is fetched
        recipe = dataclasses.replace(recipe, distillation=None)
    elif given.teacher is not None:
        teacher = functools.partial(teacher_of, plan, pretrained=False)
    RecipeTrainer(plan.space, recipe, plan.search.data, teacher=teacher).check_fine_tuning(recipe)


def _about(part: str, check: Callable[[], object]) -> None:
    """Run a check; what it finds begins with the part of the plan that it is about."""
    try:
        check()
    except (DataError, SpecError, InvalidArgumentError, UnknownModelError) as error:
        code = error.exit_code
        raise type(error)(f"{part}: {error.message}", error.hint, nearest=error.nearest, exit_code=code) from None
