"""Stage 7, publishing: each winner as an entry that gpunet, timm and the Hugging Face hub read, and read again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gpunet.api import load
from gpunet.errors import VerificationError
from gpunet.model.entry import Accuracy
from gpunet.populate.context import Context
from gpunet.populate.search_stage import study_of
from gpunet.populate.tier_stage import tiers_of
from gpunet.populate.winner_stage import Winner, winner_of
from gpunet.populate.workbench import network_of
from gpunet.search.optimize.named import optimizer_named
from gpunet.search.study.definition import software_versions
from gpunet.zoo.measured import record_from_measurement
from gpunet.zoo.publishing.publication import Publication
from gpunet.zoo.publishing.publish import publish_entry

_DIFFERENCE_PERCENT = 0.01  # that a network's accuracy may change on its way through the zoo


def run(context: Context) -> list[Path]:
    """Publish, load each entry from the zoo, and score it again; the entries' folders."""
    found = []
    for tier in tiers_of(context):
        winner = winner_of(context, tier)
        if winner is not None:
            found.append(publish_entry(context.place.zoo, _publication(context, winner), replace=True))
            _check(context, winner)
    return found


def _publication(context: Context, winner: Winner) -> Publication:
    from gpunet.zoo.weights.loading import load_weights

    plan, name = context.plan, context.plan.entry_name(winner.tier.number)
    model = network_of(context, winner.vector)
    load_weights(model, winner.weights)
    study = study_of(context, winner.tier.number)
    images, scored, _ = plan.search.data.whole(plan.fine_tune.recipe.batch_size)
    rank, fine_tune = plan.search.recipe, plan.fine_tune.recipe
    source = (
        f"gpunet, {winner.images} images of {winner.data}; of {fine_tune.epochs} epochs of fine-tuning the one that is "
        "best on these images is kept"
    )
    high_ms = winner.tier.high_ms
    return Publication(
        name, model,
        records=[record_from_measurement(name, winner.measurement, chip=plan.device.chip)],
        accuracy=Accuracy(winner.top1_percent, scored.name, source, winner.top5_percent),
        data=f"{images.name} ({len(images)} images)", recipe={**fine_tune.to_dict(), "begun_by": rank.to_dict()},
        licence=plan.publish.licence, weights=winner.weights, classes=images.classes,
        seed=study.definition.seed_of(winner.trial), versions=software_versions(),
        tier_ms=None if high_ms is None else (winner.tier.low_ms, high_ms), estimated_ms=winner.estimated_ms,
        note=plan.publish.note or f"Found by {optimizer_named(plan.search.optimizer).title}: trial {winner.trial} of "
        f"{len(study.trials())} in its latency tier.",
    )  # fmt: skip


def _check(context: Context, winner: Winner) -> None:
    """What was published must be what was trained: load it as a user does, and score it again.

    Raises:
        VerificationError: its accuracy is another one.
    """
    name = context.plan.entry_name(winner.tier.number)
    top1_percent = rescored_percent(context, name)
    if abs(top1_percent - winner.top1_percent) > _DIFFERENCE_PERCENT:
        raise VerificationError(
            f"{name} has {top1_percent:.2f} % when it is loaded from {context.place.zoo}, but was published with "
            f"{winner.top1_percent:.2f} %.",
            "Delete the entry and run the same command again.",
        )
    context.say(
        f"[publish] {name}: {top1_percent:.2f} % (re-checked), {winner.measurement.latency_ms:.3g} ms, "
        f"{context.place.zoo / name}"
    )


def rescored_percent(context: Context, name: str) -> float:
    """Top-1 in percent of a published network, as `gpunet.load` gives it, on the validation images."""
    from gpunet.model.preprocessing import image_config
    from gpunet.train.evaluation.evaluate import evaluate, runner_from_model

    model = load(name, zoo=context.place.zoo)
    _, scored, num_classes = context.plan.search.data.whole(context.plan.fine_tune.recipe.batch_size)
    return evaluate(runner_from_model(model), scored, image_config(model), num_classes).top1_percent


def push(context: Context, entries: Sequence[Path], repository: str, *, dry_run: bool, private: bool) -> list[Any]:
    """Upload the entries to the hub: one to `repository`, several to `repository-N`, N the tier's number."""
    from gpunet.zoo.publishing.hub import push_to_hub

    plans = []
    for tier in tiers_of(context):
        folder = context.place.zoo / context.plan.entry_name(tier.number)
        if folder in entries:
            name = repository if len(entries) == 1 else f"{repository}-{tier.number}"
            plans.append(push_to_hub(folder, name, dry_run=dry_run, private=private))
            context.say(f"[push] {'would upload' if dry_run else 'uploaded'} {folder.name} to {name}:")
            for each in plans[-1].files:
                context.say(f"[push]   {each.path}  {each.size_bytes:,} bytes  sha256 {each.sha256[:12]}")
    return plans
