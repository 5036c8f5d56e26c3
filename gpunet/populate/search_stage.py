"""Stage 3, the search: a study a tier, worked on by processes of this machine, of a cluster, or of whoever joins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from gpunet.errors import WorkerError
from gpunet.launch.child import Job
from gpunet.launch.processes import gpunet_command, places
from gpunet.populate.context import Context
from gpunet.populate.tier_stage import TierFound, tiers_of
from gpunet.search.study.definition import Pruning, StudyDefinition, defined
from gpunet.search.study.opening import open_study
from gpunet.search.study.study import Study
from gpunet.search.study.tables import estimator_from_table
from gpunet.search.tiers.tier import LatencyEstimates
from gpunet.search.work.creation import create_study

_READING_PATIENCE_S = 10.0


def study_name(context: Context, tier: int, *, random: bool = False) -> str:
    """Of a tier's study, or of random search beside it."""
    return f"{context.plan.name}-tier-{tier}{'-random' if random else ''}"


def study_of(context: Context, tier: int, *, random: bool = False, reading: bool = False) -> Study:
    """A tier's study, as it stands; `reading` writes nothing, and waits for its storage no longer than seconds.

    Raises:
        StudyError: it has not been made.
    """
    return _opened(context, study_name(context, tier, random=random), reading=reading)


def check(context: Context) -> None:
    """See that the workers can be started, before hours are spent on what comes first.

    Raises:
        WorkerError: there are fewer GPUs than workers.
    """
    if context.plan.search.cluster == "local":
        _places(context)


def run(context: Context) -> None:
    """Make the studies that are missing, and work on those that have trials left.

    Raises:
        WorkerError: workers left before the end, and others that were started did no better.
    """
    work_off(_made(context), partial(_work, context), partial(_progress, context))


@dataclass(frozen=True)
class StudyProgress:
    """How far a study is: trials that have ended, trials that have not, and the budget."""

    ended: int
    open: int
    budget: int


def work_off(
    left: dict[str, StudyProgress], work: Callable[[list[str]], None], progress: Callable[[str], StudyProgress]
) -> None:
    """Have workers work on studies until all have ended, or no more is done.

    Args:
        left: studies that have trials left.
        work: starts workers for these studies, and returns when they have left.
        progress: of a study now.

    Raises:
        WorkerError: workers left before the end, and others that were started did no better.
    """
    while left:
        work(list(left))
        now = {name: progress(name) for name in left}
        if now == left:  # a tier of fewer networks than the budget ends so too
            break
        left = {name: each for name, each in now.items() if each.ended < each.budget}
    for name, each in left.items():
        if each.open:
            raise WorkerError(
                f"{name}: {each.open} trials have not ended, and the workers have left.", "Run the same command again."
            )


def _made(context: Context) -> dict[str, StudyProgress]:
    """Make the studies; those that have trials left."""
    plan, place = context.plan, context.place
    estimator = estimator_from_table(place.table, plan.space, context.num_classes)
    left = {}
    for tier in tiers_of(context):
        for random in (False, True) if plan.search.random_trials else (False,):
            trials = plan.search.random_trials if random else plan.search.trials
            definition = _definition(context, tier, estimator, trials, random=random)
            name = study_name(context, tier.number, random=random)
            study = create_study(place.storage, name, definition, folder=place.search_folder(name))
            study.move(place.search_folder(name))  # the folder of state may have been
            if study.max_trials() != trials:
                study.set_max_trials(trials)
            study.storage.close()
            found = _progress(context, name)
            context.say(f"[search] {name}: {found.ended} of {trials} trials have ended")
            if found.ended < trials:
                left[name] = found
    return left


def _progress(context: Context, name: str) -> StudyProgress:
    study = _opened(context, name)
    try:
        ended = [each.ended for each in study.trials()]
        return StudyProgress(sum(ended), len(ended) - sum(ended), study.max_trials())
    finally:
        study.storage.close()


def _opened(context: Context, name: str, *, reading: bool = False) -> Study:
    patience: dict[str, Any] = {"patience_s": _READING_PATIENCE_S} if reading else {}
    return open_study(
        context.place.storage, name, folder=context.place.search_folder(name), reading=reading, **patience
    )


def _definition(
    context: Context, tier: TierFound, estimator: LatencyEstimates, trials: int, *, random: bool
) -> StudyDefinition:
    plan = context.plan
    return defined(
        plan.space, estimator, tier.low_ms, float("inf") if tier.high_ms is None else tier.high_ms,
        candidates=tier.candidates, trainer=context.trainer.to_dict(), epochs=plan.search.recipe.epochs,
        max_trials=trials, num_classes=context.num_classes, table=str(context.place.table),
        optimizer="random" if random else plan.search.optimizer, seed=plan.search.seed,
        pruning=Pruning() if random else plan.search.pruning,
    )  # fmt: skip


def _work(context: Context, studies: list[str]) -> None:
    search = context.plan.search
    command = gpunet_command(
        "search", "worker", "--study", context.place.storage, "--name", *studies, "--until-eof",
        "--table", str(context.place.table), "--heartbeat-s", f"{search.heartbeat_s:g}",
        "--grace-s", f"{search.grace_s:g}",
        "--loader-workers", str(search.image_workers),
        *([] if search.device is None else ["--on", search.device]),
        *([] if search.data.place is None else ["--data-root", search.data.place]),
    )  # fmt: skip
    if search.cluster == "ray":
        from gpunet.errors import PreemptedError
        from gpunet.launch.ray import run_on_ray

        jobs = [Job(f"worker {number}", command) for number in range(search.workers or 1)]
        gpus = 0 if search.gpus_per_worker is None and search.device == "cpu" else search.gpus_per_worker
        if run_on_ray(jobs, gpus=gpus, say=lambda line: context.say(f"[search] {line}")):
            raise PreemptedError("asked to leave in the stage search.", "The same command goes on from there.")
        return
    context.run_jobs(
        "search", [Job(f"worker {n}", command, environment) for n, environment in enumerate(_places(context))]
    )


def _places(context: Context) -> list[dict[str, str]]:
    search = context.plan.search
    return places(search.workers, gpus=0 if search.device == "cpu" else None)
