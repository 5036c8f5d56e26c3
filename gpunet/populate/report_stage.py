"""The report of a run: what was sampled, searched, measured and published, as far as it is there."""

from __future__ import annotations

from pathlib import Path

from gpunet.errors import StudyError
from gpunet.latency.table import LatencyTable
from gpunet.populate.context import Context
from gpunet.populate.search_stage import study_name, study_of
from gpunet.populate.tier_stage import TierFound, is_done, tiers_of
from gpunet.populate.winner_stage import Winner, doubts_of, rejected_of, winner_of
from gpunet.populate.workbench import Workbench
from gpunet.report.data import NetworkReport, Report, Sample, TierReport, TrialPoint, WholePoint, write_report
from gpunet.report.save import save_report
from gpunet.runtime.sidecar import now_utc
from gpunet.search.spaces.space import architecture_dict
from gpunet.search.study.definition import software_versions
from gpunet.search.study.study import Study
from gpunet.search.study.trials import TrialRecord

UNKNOWN = "not known yet"
_STATES = {"failed": "fail"}


def run(context: Context, *, pictures: bool = True) -> Path:
    """Write report.json, the page and its pictures; the page's path."""
    report = gathered(context)
    for doubt in report.doubts:
        context.say(f"[report] NOTE: {doubt}")
    write_report(report, context.place.folder)
    page, _ = save_report(report, context.place.folder, pictures=pictures)
    return page


def gathered(context: Context) -> Report:
    """What there is of a run now, and in `missing` what is not there yet; nothing is written.

    Raises:
        StudyUnavailableError: (a RuntimeError) the studies are kept where nobody answers.
        InvalidArgumentError, TableError: what there is, is damaged.
    """
    plan, missing, doubts = context.plan, [], []
    whole: tuple[WholePoint, ...] = ()
    worth = ""
    board, runtime, version = UNKNOWN, plan.device.runtime or UNKNOWN, ""
    if context.place.table.exists():
        with LatencyTable(context.place.table) as table:
            machine = table.conditions.fingerprint
            board, runtime, version = machine.processor, machine.runtime, machine.runtime_version
            if not is_done(context):
                missing.append(f"tiers; the latency table has {len(table)} layers and {len(table.networks())} of "
                               f"{plan.table.networks} networks so far")  # fmt: skip
    else:
        missing.append("the latency table, and all that comes after it")
    tiers, known = tiers_of(context) if is_done(context) else [], context.kept_worth
    if known is not None:
        whole = tuple(WholePoint(each.layers, each.estimated_ms, each.measured_ms) for each in known.networks)
        worth = f"The latency table {known}."
        if known.disturbed:
            doubts.append(f"the latency table {known}")
    reports, networks = [], []
    for tier in tiers:
        reports.append(_tier(context, tier, missing))
        winner = _winner(context, tier, missing)
        if winner is not None:
            networks.append(_network(context, winner))
            doubts += doubts_of(context, winner)
    return Report(
        title=f"{plan.name}: a search" + ("" if board == UNKNOWN else f" on {board}"),
        chip=plan.device.chip, board=board, runtime=runtime, runtime_version=version,
        precision=plan.device.precision, batch_size=plan.device.batch_size,
        data=f"ranked on a part of {plan.search.data.data} by recipe {plan.search.recipe.name}; winners fine-tuned by "
        f"{plan.fine_tune.recipe.name} and scored on its validation images",
        created=now_utc(), tiers=tuple(reports), networks=tuple(networks), versions=software_versions(),
        missing=tuple(missing), doubts=tuple(doubts), whole=whole, worth=worth,
        dataset=f"{plan.search.data.data} ({plan.search.data.validation_split})",
    )  # fmt: skip


def trial_points(trials: list[TrialRecord]) -> tuple[TrialPoint, ...]:
    """Trials as a report has them."""
    return tuple(
        TrialPoint(each.number, _STATES.get(each.state, each.state), each.estimated_ms, each.top1_percent,
                   each.measured_ms, each.least_ms)
        for each in trials
    )  # fmt: skip


def trials_of(study: Study, missing: list[str]) -> list[TrialRecord]:
    """A study's trials; where its budget is not spent, `missing` gets to say so."""
    trials, budget = study.trials(), study.max_trials()
    ended = sum(each.ended for each in trials)
    if ended < budget:
        missing.append(f"{study.name}: {ended} of {budget} trials have ended")
    return trials


def _name(tier: TierFound) -> str:
    return f"tier {tier.number}"


def _tier(context: Context, tier: TierFound, missing: list[str]) -> TierReport:
    trials = _trials(context, tier, missing)
    random = _trials(context, tier, missing, random=True) if context.plan.search.random_trials else []
    return TierReport(
        _name(tier), tier.low_ms, tier.high_ms, Sample(tier.count, tuple(tier.edges_ms), tuple(tier.counts)),
        trial_points(trials),
        tuple(each.top1_percent for each in random if each.state == "complete" and each.top1_percent is not None),
    )  # fmt: skip


def _trials(context: Context, tier: TierFound, missing: list[str], *, random: bool = False) -> list[TrialRecord]:
    try:
        study = study_of(context, tier.number, random=random, reading=True)
    except StudyError:
        missing.append(f"{study_name(context, tier.number, random=random)}: the search has not begun")
        return []
    try:
        return trials_of(study, missing)
    finally:
        study.storage.close()


def _winner(context: Context, tier: TierFound, missing: list[str]) -> Winner | None:
    name = context.plan.entry_name(tier.number)
    try:
        winner = winner_of(context, tier, Workbench(context, reading=True))
    except StudyError:
        winner = None
    if winner is None:
        tried = rejected_of(context, tier)
        found = "none yet" if tried is None else f"none of {tried} networks that were measured lies inside the tier"
        missing.append(f"{name}, the winner of {_name(tier)} ({tier.label}): {found}")
        return None
    if not (context.place.zoo / name / "entry.json").is_file():
        missing.append(f"{name}, the winner of {_name(tier)}, has not been published yet")
    return winner


def _network(context: Context, winner: Winner) -> NetworkReport:
    space, said, vector = context.plan.space, winner.measurement, list(winner.vector)
    num_classes = study_of(context, winner.tier.number, reading=True).definition.num_classes
    parameters = sum(each.numel() for each in space.build(vector, num_classes=num_classes).parameters())
    works = [key.work() for key in space.keys(winner.vector, num_classes=num_classes)]
    multiply_adds = sum(each.multiply_adds + each.depthwise_multiply_adds for each in works)
    return NetworkReport(
        context.plan.entry_name(winner.tier.number), _name(winner.tier), winner.top1_percent, winner.estimated_ms,
        said.latency_ms, said.spread_percent / 100 * said.latency_ms, parameters, multiply_adds,
        architecture_dict(space.decode(winner.vector)), f"trial {winner.trial}", said.min_ms,
    )  # fmt: skip
