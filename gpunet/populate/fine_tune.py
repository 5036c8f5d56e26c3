"""Stage 4, in a process of its own: train a tier's winner to its end (paper, section 4.1); torchrun may start several.

python -m gpunet.populate.fine_tune STATE TIER TRIAL
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from gpunet.core import console
from gpunet.launch.child import KILL_AFTER_S
from gpunet.launch.processes import asked_by_end_of_input
from gpunet.populate.cores import training_lock
from gpunet.populate.place import StateFolder, read_state
from gpunet.populate.plan import Plan
from gpunet.populate.plan_file import plan_from_dict
from gpunet.search.study.opening import open_study
from gpunet.search.study.training import RecipeTrainer

if TYPE_CHECKING:
    from gpunet.train.distillation.teacher import Teacher


def fine_tune(
    plan: Plan, place: StateFolder, study_name: str, tier: int, trial: int, should_stop: Callable[[], bool]
) -> None:
    """Train, or go on; `winners/tier-N/trial-NNNNN` holds the run."""
    study = open_study(place.storage, study_name, folder=place.search_folder(study_name))
    record = next(each for each in study.trials() if each.number == trial)
    trainer = RecipeTrainer(
        plan.space, plan.fine_tune.recipe, plan.search.data, device=plan.search.device,
        workers=plan.fine_tune.image_workers,
        teacher=(lambda: teacher_of(plan)) if plan.fine_tune.teacher else None,
    )  # fmt: skip
    result = trainer.fine_tune(
        list(record.vector), study.trial_folder(trial) / (record.weights or "model.safetensors"),
        run_folder(place, tier, trial), plan.fine_tune.recipe, seed=study.definition.seed_of(trial),
        should_stop=should_stop,
    )  # fmt: skip
    if os.environ.get("RANK", "0") == "0":
        print(f"trial {trial}: {result.best.top1_percent:.2f} % after epoch {result.best.epoch}", flush=True)


def run_folder(place: StateFolder, tier: int, trial: int) -> Path:
    """Of a winner's fine-tuning: another one where it is done in another way."""
    given = place.plan.fine_tune
    how = [given.recipe.to_dict(), given.teacher, given.teacher_weights, given.processes]
    digest = hashlib.sha256(json.dumps(how, sort_keys=True).encode()).hexdigest()
    return place.winner_folder(tier) / f"trial-{trial:05d}-{digest[:8]}"


def teacher_of(plan: Plan, *, pretrained: bool = True) -> Teacher:
    """The plan's teacher; not `pretrained`, to see that there is one, without its weights."""
    from gpunet.train.distillation.teacher import Teacher
    from gpunet.zoo.named import network_named

    given, recipe = plan.fine_tune, plan.fine_tune.recipe
    weights = None if given.teacher_weights is None or not pretrained else Path(given.teacher_weights)
    network = network_named(
        str(given.teacher), pretrained=pretrained, weights=weights, timm_too=True, timeout_s=given.teacher_timeout_s
    )
    return Teacher(network, image_px=None if recipe.distillation is None else recipe.distillation.teacher_px)


def main() -> None:
    """Run as a process."""
    folder, study_name, tier, trial = sys.argv[1:]
    orphaned = asked_by_end_of_input()  # first of all: opening the study, or waiting for a training, takes seconds
    plan = plan_from_dict(read_state(Path(folder) / "plan.json"))
    place = StateFolder(folder, plan)
    leads = os.environ.get("RANK", "0") == "0"
    with training_lock(place).acquire(timeout=KILL_AFTER_S) if leads else contextlib.nullcontext():
        fine_tune(plan, place, study_name, int(tier), int(trial), orphaned)


if __name__ == "__main__":
    console.run(main)
