"""Stages 4 to 6: of a tier's best networks the first that measures inside it, fine-tuned, exported, measured whole.

This is the choice; what is done for it is `gpunet.populate.workbench`.

Latency does not depend on weights, so candidates are measured before any is fine-tuned; the file that is exported in
the end is measured again, and if that lies outside, the next candidate takes its place.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpunet.errors import InvalidArgumentError
from gpunet.populate.context import Context
from gpunet.populate.fine_tune import run_folder
from gpunet.populate.place import damaged, read_state, write_json
from gpunet.populate.tier_stage import TierFound
from gpunet.populate.workbench import Workbench
from gpunet.runtime.measurement import Measurement
from gpunet.search.study.trials import TrialRecord, ranked

_TRIES = 3  # of a measurement while the machine is not quiet
_ROUNDS = 3  # through the tiers that such measurements have left without a winner


@dataclass(frozen=True)
class Winner:
    """A tier's network, ready to be published.

    Args:
        tier: it won.
        trial: of the tier's study.
        vector: choice indices.
        weights: file of the fine-tuned weights.
        artefact: the exported file.
        measurement: of that file.
        estimated_ms: by the table.
        top1_percent, top5_percent: on the validation images; top5 None for fewer than 6 classes.
        images: how many those are.
        data: their name.
    """

    tier: TierFound
    trial: int
    vector: tuple[int, ...]
    weights: Path
    artefact: Path
    measurement: Measurement
    estimated_ms: float
    top1_percent: float
    top5_percent: float | None
    images: int
    data: str


def run(context: Context, bench: Workbench | None = None) -> None:
    """Find every tier's winner, as far as there is one.

    Where none was found while the machine was not quiet, the tier is looked through again after the others.
    """
    bench = Workbench(context) if bench is None else bench
    left = bench.tiers()
    if all(winner_of(context, tier, bench) is not None for tier in left):
        return
    bench.check_machine()
    for _ in range(_ROUNDS):
        left = [tier for tier in left if winner_of(context, tier, bench) is None and not _find(context, bench, tier)]
    for tier in left:
        context.say(f"[winner] tier {tier.number}: run the same command again when the machine is quiet")


def winner_of(context: Context, tier: TierFound, bench: Workbench | None = None) -> Winner | None:
    """A tier's winner; None while there is none."""
    bench = Workbench(context) if bench is None else bench
    said = read_state(_file(context, tier))
    if not said:
        return None
    chosen_by = _chosen_by(context, bench, tier)
    try:
        if said.get("winner") is None or said.get("chosen_by") != chosen_by:
            return None
        body, folder = said["winner"], context.place.folder
        if not all((folder / body[name]).is_file() for name in ("weights", "artefact")):
            return None
        return Winner(
            tier, body["trial"], tuple(body["vector"]), folder / body["weights"], folder / body["artefact"],
            Measurement.from_dict(body["measurement"]), body["estimated_ms"], body["top1_percent"],
            body["top5_percent"], body["images"], body["data"],
        )  # fmt: skip
    except (KeyError, TypeError, AttributeError, InvalidArgumentError):
        raise damaged(_file(context, tier)) from None


def rejected_of(context: Context, tier: TierFound) -> int | None:
    """How many networks were measured for a tier in vain; None where none has been looked for, or one was found."""
    said = read_state(_file(context, tier))
    if not isinstance(said, dict) or said.get("winner") is not None:
        return None
    return len(said.get("rejected", ()))


def fits(context: Context, tier: TierFound, measured_ms: float) -> bool:
    """Whether a measured latency lies in a tier: the upper bound is a promise, the lower one has a tolerance."""
    low_ms = tier.low_ms * (1 - context.tolerance_percent / 100)
    return low_ms <= measured_ms and (tier.high_ms is None or measured_ms < tier.high_ms)


def doubts_of(context: Context, winner: Winner) -> list[str]:
    """What is not as it should be with a winner's latency, in sentences; nothing where all is well."""
    tier, measured_ms = winner.tier, winner.measurement.latency_ms
    name, found = context.plan.entry_name(tier.number), []
    if not (tier.low_ms <= measured_ms and (tier.high_ms is None or measured_ms < tier.high_ms)):
        found.append(f"{name} measures {measured_ms:.4g} ms, outside of its tier ({tier.label})")
    least_ms = winner.measurement.min_ms  # tables hold least figures too
    error_percent = 100 * (winner.estimated_ms / least_ms - 1)
    if abs(error_percent) > context.tolerance_percent:
        found.append(
            f"{name} was estimated at {winner.estimated_ms:.4g} ms and measures {least_ms:.4g} ms at the least: "
            f"{error_percent:+.1f} %, where the table's error promises {context.tolerance_percent:.1f}"
        )
    return found


def _find(context: Context, bench: Workbench, tier: TierFound) -> bool:
    """Look for a tier's winner; False if looking again, on a quiet machine, may find one that this time did not."""
    study = bench.study(tier)
    candidates = ranked(study.trials())[: context.plan.fine_tune.candidates]
    rejected: list[dict[str, Any]] = []
    quiet = True
    for record in candidates:
        context.leave_if_asked("winners")
        measurement, what = _candidate(context, bench, tier, record), f"estimated {record.estimated_ms:.3g} ms"
        if fits(context, tier, measurement.latency_ms):
            bench.fine_tune(tier, record)
            found = bench.exported(tier, record)
            measurement, what = Measurement.from_dict(found["measurement"]), "exported"
            if fits(context, tier, measurement.latency_ms):
                _keep(context, bench, tier, found, rejected)
                context.say(
                    f"[winner] tier {tier.number}: trial {record.number}, {found['top1_percent']:.2f} %, "
                    f"{measurement.latency_ms:.3g} ms measured, {record.estimated_ms:.3g} ms estimated"
                )
                return True
        context.say(_outside(tier, record.number, measurement.latency_ms, what))
        rejected.append({"trial": record.number, "measured_ms": measurement.latency_ms, "noisy": measurement.noisy})
        quiet = quiet and not measurement.noisy
    _keep(context, bench, tier, None, rejected)
    many = f"none of the {len(candidates)} best networks" if candidates else "no network"
    busy = "" if quiet else " while the machine was not quiet"
    context.say(f"[winner] tier {tier.number} ({tier.label}): {many} measures inside it{busy}; it gets no entry")
    return quiet


def _candidate(context: Context, bench: Workbench, tier: TierFound, record: TrialRecord) -> Measurement:
    """A candidate's latency, measured whole before it is fine-tuned; what a busy machine threw out is measured anew."""
    if record.measured is not None:
        known = Measurement.from_dict(record.measured["conditions"])
        if not known.noisy or fits(context, tier, known.latency_ms):
            return known
    found = bench.measured(record)
    bench.study(tier).record_measured(record.number, found.latency_ms, found.to_dict())
    return found


def _outside(tier: TierFound, trial: int, measured_ms: float, what: str) -> str:
    return (
        f"[winner] tier {tier.number} ({tier.label}): trial {trial} measures {measured_ms:.3g} ms ({what}): outside; "
        "the next is taken"
    )


def _file(context: Context, tier: TierFound) -> Path:
    return context.place.winner_folder(tier.number) / "winner.json"


def _keep(
    context: Context, bench: Workbench, tier: TierFound, winner: dict[str, Any] | None, rejected: list[dict[str, Any]]
) -> None:
    body = {"winner": winner, "rejected": rejected, "chosen_by": _chosen_by(context, bench, tier)}
    write_json(_file(context, tier), body)


def _chosen_by(context: Context, bench: Workbench, tier: TierFound) -> dict[str, Any]:
    """What a choice depends on: where it changes, the winner may be another one."""
    given = context.plan.fine_tune
    return {
        "trials": sum(each.ended for each in bench.study(tier).trials()),
        "candidates": given.candidates, "tolerance_percent": context.tolerance_percent,
        "run": run_folder(context.place, tier.number, 0).name,
    }  # fmt: skip
