"""The report of a run: what was sampled, searched, measured and published, as `gpunet report` shows it."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

from gpunet.latency.table import LatencyTable
from gpunet.populate.context import Context
from gpunet.populate.search_stage import study_of
from gpunet.populate.tier_stage import TierFound, tiers_of
from gpunet.populate.winner_stage import Winner, winner_of
from gpunet.populate.workbench import network_of
from gpunet.report.data import NetworkReport, Report, Sample, TierReport, TrialPoint, write_report
from gpunet.report.save import save_report
from gpunet.search.spaces.space import architecture_dict
from gpunet.search.study.definition import software_versions
from gpunet.search.study.trials import TrialRecord

_STATES = {"failed": "fail"}


def run(context: Context, *, pictures: bool = True) -> Path:
    """Write report.json, the page and its pictures; the page's path."""
    plan, folder = context.plan, context.place.folder
    with LatencyTable(context.place.table) as table:
        machine = table.conditions.fingerprint
    tiers = tiers_of(context)
    winners = [winner for winner in (winner_of(context, tier) for tier in tiers) if winner is not None]
    report = Report(
        title=f"{plan.name}: a search on {machine.processor}",
        chip=plan.device.chip, board=machine.processor, runtime=machine.runtime,
        runtime_version=machine.runtime_version,
        precision=plan.device.precision, batch_size=plan.device.batch_size,
        data=f"ranked on a part of {plan.search.data.data} by recipe {plan.search.recipe.name}; winners fine-tuned by "
        f"{plan.fine_tune.recipe.name} and scored on its validation images",
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        tiers=tuple(_tier(context, tier) for tier in tiers),
        networks=tuple(_network(context, winner) for winner in winners), versions=software_versions(),
    )  # fmt: skip
    write_report(report, folder)
    page, _ = save_report(report, folder, pictures=pictures)
    return page


def _name(tier: TierFound) -> str:
    return f"tier {tier.number}"


def _tier(context: Context, tier: TierFound) -> TierReport:
    trials = study_of(context, tier.number).trials()
    random: list[TrialRecord] = []
    if context.plan.search.random_trials:
        random = study_of(context, tier.number, random=True).trials()
    return TierReport(
        _name(tier), tier.low_ms, tier.high_ms, Sample(tier.count, tuple(tier.edges_ms), tuple(tier.counts)),
        tuple(
            TrialPoint(
                each.number, _STATES.get(each.state, each.state), each.estimated_ms, each.top1_percent, each.measured_ms
            )
            for each in trials
        ),
        tuple(each.top1_percent for each in random if each.state == "complete" and each.top1_percent is not None),
    )  # fmt: skip


def _network(context: Context, winner: Winner) -> NetworkReport:
    space, said = context.plan.space, winner.measurement
    parameters = sum(each.numel() for each in network_of(context, winner.vector).parameters())
    works = [key.work() for key in space.keys(winner.vector, num_classes=context.num_classes)]
    multiply_adds = sum(each.multiply_adds + each.depthwise_multiply_adds for each in works)
    return NetworkReport(
        context.plan.entry_name(winner.tier.number), _name(winner.tier), winner.top1_percent, winner.estimated_ms,
        said.latency_ms, said.spread_percent / 100 * said.latency_ms, parameters, multiply_adds,
        architecture_dict(space.decode(winner.vector)), f"trial {winner.trial}",
    )  # fmt: skip
