"""All stages, one after the other; each skips what is done.

What is wrong with a plan on this machine is found before the first, and not after days of the ones before.
"""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gpunet.core.text import duration
from gpunet.errors import ABSENT_EXIT_CODE, DataError, InvalidArgumentError, SpecError, UnknownModelError
from gpunet.populate import publish_stage, report_stage, search_stage, table_stage, tier_stage, winner_stage
from gpunet.populate.context import Context
from gpunet.populate.fine_tune import teacher_of
from gpunet.populate.stages import PARTS, STAGES
from gpunet.search.study.training import RecipeTrainer


@dataclass(frozen=True)
class PopulateResult:
    """What a run came to.

    Args:
        entries: folders of the published entries.
        page: the report; None where the run ended before it.
        tiers: how many there are.
    """

    entries: tuple[Path, ...] = ()
    page: Path | None = None
    tiers: int = 0


def populate(context: Context, until: str = STAGES[-1], clock: Callable[[], float] = time.monotonic) -> PopulateResult:
    """Run every stage that is not done, up to one, which may be named by a part of it."""
    until = PARTS.get(until, until)
    entries: list[Path] = []
    page: Path | None = None
    stages = STAGES[: STAGES.index(until) + 1]
    context.say("[plan] is checked: data, recipes, this machine")
    check_plan(context, stages)
    for stage in stages:
        context.leave_if_asked(stage)
        began_s = clock()
        if stage == "table" and table_stage.is_done(context):
            context.say("[table] nothing is missing")
            continue
        if stage == "tiers" and tier_stage.is_done(context):
            context.say("[tiers] are there")
            continue
        context.say(f"[{stage}] begins")
        if stage == "table":
            table_stage.run(context)
        elif stage == "tiers":
            tier_stage.run(context)
        elif stage == "search":
            search_stage.run(context)
        elif stage == "winners":
            winner_stage.run(context)
        elif stage == "publish":
            entries = publish_stage.run(context)
        else:
            page = report_stage.run(context)
            context.say(f"[report] {page}")
        context.say(f"[{stage}] done in {duration(clock() - began_s)}")
    tiers = len(tier_stage.tiers_of(context)) if tier_stage.is_done(context) else 0
    return PopulateResult(tuple(entries), page, tiers)


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
    if context.plan.table.from_records and "winners" in stages:
        raise SpecError(
            "table.from_records: winners are measured on the device, and nothing here is a V100",
            "End before: --until search. 'gpunet search recommend' then names each tier's network.",
        )
    if context.plan.table.from_records:
        from gpunet.latency.gpu.table_from_records import conditions

        _about("device.batch_size", lambda: conditions(context.plan.device.batch_size))
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
