"""All stages, one after the other; each skips what is done."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gpunet.core.text import duration
from gpunet.populate import publish_stage, report_stage, search_stage, table_stage, tier_stage, winner_stage
from gpunet.populate.check import check_plan
from gpunet.populate.context import Context
from gpunet.populate.stages import PARTS, STAGES


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
