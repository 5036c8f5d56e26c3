"""Stages 4 to 6: of a tier's best networks the first that measures inside it, fine-tuned, exported, measured whole.

Latency does not depend on weights, so candidates are measured before any is fine-tuned; the file that is exported in
the end is measured again, and if that lies outside, the next candidate takes its place.
"""

from __future__ import annotations

import os
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpunet import runtime as runtimes
from gpunet.launch.child import Job
from gpunet.launch.processes import places
from gpunet.populate.context import Context
from gpunet.populate.fine_tune import run_folder
from gpunet.populate.place import read_json, write_json
from gpunet.populate.search_stage import study_name, study_of
from gpunet.populate.tier_stage import TierFound, tiers_of
from gpunet.runtime.measurement import Measurement
from gpunet.runtime.timing import NoisyMachineWarning
from gpunet.search.study.study import Study
from gpunet.search.study.trials import TrialRecord, ranked
from gpunet.zoo.benchmark import benchmark

if TYPE_CHECKING:
    from torch import nn

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


def run(context: Context) -> None:
    """Find every tier's winner, as far as there is one.

    Where none was found while the machine was not quiet, the tier is looked through again after the others.
    """
    left = tiers_of(context)
    if all(winner_of(context, tier) is not None for tier in left):
        return
    _check_machine(context)
    for _ in range(_ROUNDS):
        left = [tier for tier in left if winner_of(context, tier) is None and not _find(context, tier)]
    for tier in left:
        context.say(f"[winner] tier {tier.number}: run the same command again when the machine is quiet")


def winner_of(context: Context, tier: TierFound) -> Winner | None:
    """A tier's winner; None while there is none."""
    said = read_json(_file(context, tier))
    if not said or said.get("winner") is None or said.get("chosen_by") != _chosen_by(context, tier):
        return None
    body, folder = said["winner"], context.place.folder
    if not all((folder / body[name]).is_file() for name in ("weights", "artefact")):
        return None
    return Winner(
        tier, body["trial"], tuple(body["vector"]), folder / body["weights"], folder / body["artefact"],
        Measurement.from_dict(body["measurement"]), body["estimated_ms"], body["top1_percent"], body["top5_percent"],
        body["images"], body["data"],
    )  # fmt: skip


def fits(context: Context, tier: TierFound, measured_ms: float) -> bool:
    """Whether a measured latency lies in a tier: the upper bound is a promise, the lower one has a tolerance."""
    low_ms = tier.low_ms * (1 - context.plan.fine_tune.tolerance_percent / 100)
    return low_ms <= measured_ms and (tier.high_ms is None or measured_ms < tier.high_ms)


def _find(context: Context, tier: TierFound) -> bool:
    """Look for a tier's winner; False if looking again, on a quiet machine, may find one that this time did not."""
    study = study_of(context, tier.number)
    candidates = ranked(study.trials())[: context.plan.fine_tune.candidates]
    rejected: list[dict[str, Any]] = []
    quiet = True
    for record in candidates:
        context.leave_if_asked("winners")
        measurement, what = _candidate(context, tier, study, record), f"estimated {record.estimated_ms:.3g} ms"
        if fits(context, tier, measurement.latency_ms):
            _fine_tune(context, tier, record)
            found = _exported(context, tier, record)
            measurement, what = Measurement.from_dict(found["measurement"]), "exported"
            if fits(context, tier, measurement.latency_ms):
                _keep(context, tier, found, rejected)
                context.say(
                    f"[winner] tier {tier.number}: trial {record.number}, {found['top1_percent']:.2f} %, "
                    f"{measurement.latency_ms:.3g} ms measured"
                )
                return True
        context.say(_outside(tier, record.number, measurement.latency_ms, what))
        rejected.append({"trial": record.number, "measured_ms": measurement.latency_ms, "noisy": measurement.noisy})
        quiet = quiet and not measurement.noisy
    _keep(context, tier, None, rejected)
    many = f"none of the {len(candidates)} best networks" if candidates else "no network"
    busy = "" if quiet else " while the machine was not quiet"
    context.say(f"[winner] tier {tier.number} ({tier.label}): {many} measures inside it{busy}; it gets no entry")
    return quiet


def _candidate(context: Context, tier: TierFound, study: Study, record: TrialRecord) -> Measurement:
    """A candidate's latency, measured whole before it is fine-tuned; what a busy machine threw out is measured anew."""
    if record.measured is not None:
        known = Measurement.from_dict(record.measured["conditions"])
        if not known.noisy or fits(context, tier, known.latency_ms):
            return known
    found = _measured(context, network_of(context, record.vector))
    study.record_measured(record.number, found.latency_ms, found.to_dict())
    return found


def _outside(tier: TierFound, trial: int, measured_ms: float, what: str) -> str:
    return (
        f"[winner] tier {tier.number} ({tier.label}): trial {trial} measures {measured_ms:.3g} ms ({what}): outside; "
        "the next is taken"
    )


def network_of(context: Context, vector: tuple[int, ...]) -> nn.Module:
    """A vector's network, untrained, in evaluation mode."""
    return context.plan.space.build(list(vector), num_classes=context.num_classes).eval()


def _measured(context: Context, model: nn.Module | Path) -> Measurement:
    """Latency here; of a machine that is not quiet, the least of several measurements."""
    device = context.plan.device
    found: list[Measurement] = []
    for _ in range(_TRIES):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NoisyMachineWarning)
            how: dict[str, Any] = {"batch_size": device.batch_size, "threads": device.threads}
            if not isinstance(model, Path):
                how |= {"runtime": device.runtime, "precision": device.precision}
            elif model.suffix == ".onnx":  # several runtimes run it
                how["runtime"] = device.runtime
            found.append(benchmark(model, **how))
        if not found[-1].noisy:
            return found[-1]
    best = min(found, key=lambda each: each.latency_ms)
    context.say(f"[winner] the machine is not quiet: {best}")
    return best


def _fine_tune(context: Context, tier: TierFound, record: TrialRecord) -> None:
    """In a process of its own, or several that train together."""
    from gpunet.populate import fine_tune

    script = [fine_tune.__name__, str(context.place.folder), study_name(context, tier.number), str(tier.number),
              str(record.number)]  # fmt: skip
    processes = context.plan.fine_tune.processes
    command = [sys.executable, "-m", *script]
    if processes > 1:
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes),
                   "-m", *script]  # fmt: skip
    on_cpu = context.plan.search.device == "cpu"
    environment = {} if processes > 1 else places(1, gpus=0 if on_cpu else None)[0]
    environment["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parents[1]), *filter(None, sys.path)])
    context.run_jobs("fine-tune", [Job(f"tier {tier.number}", command, environment)])


def _exported(context: Context, tier: TierFound, record: TrialRecord) -> dict[str, Any]:
    """Export the fine-tuned network, proved; measure the file, and score the network."""
    from gpunet.exporters.deployment import deploy
    from gpunet.model.preprocessing import image_config
    from gpunet.train.evaluation.evaluate import evaluate, runner_from_model
    from gpunet.zoo.weights.loading import load_weights

    device, folder = context.plan.device, run_folder(context.place, tier.number, record.number)
    model, weights = network_of(context, record.vector), folder / "model.safetensors"
    load_weights(model, weights)
    written = runtimes.file_formats()[runtimes.available(device.runtime).name]
    artefact = folder / f"model{written.suffixes[0]}"
    deploy(model.eval(), artefact, target=written.name, precision=device.precision, batch_size=device.batch_size)
    measurement = _measured(context, artefact)
    data = context.plan.search.data
    _, scored, num_classes = data.whole(context.plan.fine_tune.recipe.batch_size)
    score = evaluate(runner_from_model(model), scored, image_config(model), num_classes)
    home = context.place.folder
    return {
        "trial": record.number, "vector": list(record.vector), "weights": str(weights.relative_to(home)),
        "artefact": str(artefact.relative_to(home)), "measurement": measurement.to_dict(),
        "estimated_ms": record.estimated_ms, "top1_percent": score.top1_percent, "top5_percent": score.top5_percent,
        "images": score.images, "data": scored.name,
    }  # fmt: skip


def _file(context: Context, tier: TierFound) -> Path:
    return context.place.winner_folder(tier.number) / "winner.json"


def _keep(context: Context, tier: TierFound, winner: dict[str, Any] | None, rejected: list[dict[str, Any]]) -> None:
    body = {"winner": winner, "rejected": rejected, "chosen_by": _chosen_by(context, tier)}
    write_json(_file(context, tier), body)


def _chosen_by(context: Context, tier: TierFound) -> dict[str, Any]:
    """What a choice depends on: where it changes, the winner may be another one."""
    given = context.plan.fine_tune
    return {
        "trials": sum(each.ended for each in study_of(context, tier.number).trials()),
        "candidates": given.candidates, "tolerance_percent": given.tolerance_percent,
        "run": run_folder(context.place, tier.number, 0).name,
    }  # fmt: skip


def _check_machine(context: Context) -> None:
    """See that this machine is the one that the table, and so the tiers, are of.

    Raises:
        TableError: it is another, or its runtime is.
    """
    from gpunet.latency.meter import LayerMeter
    from gpunet.latency.table import LatencyTable

    device = context.plan.device
    runtime = runtimes.get(device.runtime) if device.runtime else runtimes.best()
    meter = LayerMeter(runtime, precision=device.precision, batch_size=device.batch_size, threads=device.threads)
    with LatencyTable(context.place.table, meter.conditions):
        pass
