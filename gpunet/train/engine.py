"""Train a network, in one process or many, so that a run which is killed at any moment ends as if it had not been.

out/run.json              what is trained: network, recipe, data, seed, versions
out/metrics.jsonl         a line a step that is logged, and an epoch
out/checkpoints/          the last ones and the best (gpunet.train.checkpoint)
out/model.safetensors     at the end: the best epoch's weights, averaged where the recipe says so
out/result.json           at the end: every epoch's score
"""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from gpunet.core.arguments import checked_integer
from gpunet.core.files import atomic_path, write_text
from gpunet.core.signals import sigterm_asked
from gpunet.errors import InvalidArgumentError
from gpunet.model.origin import weights_bytes
from gpunet.model.preprocessing import num_classes_of
from gpunet.train.checkpoint import CHECKPOINTS, Checkpoints, Position, told, under
from gpunet.train.data.datasets import ImageData
from gpunet.train.folder import RESULT, RUN, WEIGHTS, Standing, alone, check_run, read_result, standing
from gpunet.train.identity import identity_of
from gpunet.train.processes import processes
from gpunet.train.randomness import kept_generators
from gpunet.train.recipe import Recipe
from gpunet.train.run import Run
from gpunet.train.score import EpochScore, TrainingResult
from gpunet.train.settings import RunSettings
from gpunet.train.tasks.classification import Classification
from gpunet.train.tasks.task import Job

if TYPE_CHECKING:
    from gpunet.train.distillation.teacher import Teacher

_PACKAGES = ("gpunet", "torch", "timm", "torchvision")


def train(
    model: nn.Module,
    recipe: Recipe,
    data: ImageData,
    out: str | Path,
    *,
    validation: ImageData | None = None,
    teacher: Teacher | None = None,
    seed: int = 0,
    device: str | None = None,
    workers: int = 0,
    resume: bool = True,
    keep: int = 2,
    checkpoint_minutes: float | None = 15,
    log_every_steps: int = 50,
    max_unreadable: int = 10,
    classes: Sequence[str] | None = None,
    tensorboard: bool = False,
    progress: bool = False,
    on_start: Callable[[Standing], None] | None = None,
    on_epoch: Callable[[EpochScore], bool | None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> TrainingResult:
    """Train a network by a recipe, or go on with a run that was left or killed.

    Under torchrun every process calls it alike; the first writes.

    Args:
        model: with as many classes as the data; a new run begins with its weights. Dropout and drop-path of a GPUNet
            are set by the recipe; any other network is built with them.
        recipe: see `Recipe`; `gpunet.train.recipe_named` knows the released ones.
        data: images to train on.
        out: folder of the run; see above.
        validation: images that every epoch is scored on; None for no scores, and the last epoch's weights.
        teacher: for a recipe with distillation.
        seed: of the order of the images, augmentation and dropout.
        device: 'cpu', 'cuda', ...; None for a GPU where there is one.
        workers: processes that prepare images, for each process that trains; 0 for none.
        resume: go on with what is in `out`; False refuses a folder that holds a run.
        keep: how many of the last checkpoints are kept, beside the best.
        checkpoint_minutes: between two checkpoints within an epoch; None for one at each epoch's end only.
        log_every_steps: of metrics.jsonl.
        max_unreadable: images that may be unreadable before it is an error.
        classes: names of the model's classes, checked against the data's.
        tensorboard: write for TensorBoard into `out/tensorboard` too.
        progress: show a bar with rate and time left.
        on_start: told how far the run is, before it begins, goes on, or is found to have ended.
        on_epoch: sees every epoch's score; True ends the run there, as a search does that prunes. A run that goes on
            shows it the epochs before first.
        should_stop: asked after every step; True leaves as SIGTERM does.

    Returns:
        The result; `model` has the weights that were kept, and is in evaluation mode.

    Raises:
        PreemptedError: SIGTERM, or should_stop: a checkpoint was written. The same call goes on from there.
        TrainingError: the folder holds another run, or one is at work in it; the loss is not a number (the batch is
            kept beside the checkpoints).
        DataError: (a ValueError) classes differ, or too many images cannot be read.
        InvalidArgumentError: (a ValueError) an argument makes no sense.
    """
    _check_run(keep, log_every_steps, max_unreadable, workers, seed, checkpoint_minutes)
    _check_teacher(recipe, teacher)
    num_classes = num_classes_of(model)
    if num_classes < 2:
        raise InvalidArgumentError(f"the model must have two classes or more, but has {num_classes}.")
    data = data.for_model(num_classes, classes)
    validation = None if validation is None else validation.for_model(num_classes, classes or data.classes)
    job = Job(
        functools.partial(Classification, data=data, validation=validation, num_classes=num_classes, teacher=teacher),
        lambda processes: identity_of(model, recipe, data, validation, seed, processes),
        data.classes_by_number(num_classes),
    )
    return carry_out(
        job, model, recipe, out, seed=seed, device=device, workers=workers, resume=resume, keep=keep,
        checkpoint_minutes=checkpoint_minutes, log_every_steps=log_every_steps, max_unreadable=max_unreadable,
        tensorboard=tensorboard, progress=progress, on_start=on_start, on_epoch=on_epoch, should_stop=should_stop,
    )  # fmt: skip


def carry_out(
    job: Job,
    model: nn.Module,
    recipe: Recipe,
    out: str | Path,
    *,
    seed: int = 0,
    device: str | None = None,
    workers: int = 0,
    resume: bool = True,
    keep: int = 2,
    checkpoint_minutes: float | None = 15,
    log_every_steps: int = 50,
    max_unreadable: int = 10,
    tensorboard: bool = False,
    progress: bool = False,
    on_start: Callable[[Standing], None] | None = None,
    on_epoch: Callable[[EpochScore], bool | None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> TrainingResult:
    """Train a network for a task: what `train` does for classification, with its arguments, result and errors."""
    out = Path(out)
    _check_run(keep, log_every_steps, max_unreadable, workers, seed, checkpoint_minutes)
    with processes(device) as group, kept_generators(), sigterm_asked() as sigterm, alone(out, group):
        checkpoints = Checkpoints(out / CHECKPOINTS, keep)
        group.wait()
        identity = dict(job.identity(group.place.processes))
        check_run(out, identity, resume)
        stands = standing(out)
        if on_start is not None and group.first:
            on_start(stands)
        if stands.finished:
            result = read_result(out)
        else:
            group.wait()
            if group.first:
                write_text(out / RUN, json.dumps({**identity, "versions": _versions()}, indent=2) + "\n")
            settings = RunSettings(
                out=out, seed=seed, workers=workers, checkpoint_minutes=checkpoint_minutes,
                log_every_steps=log_every_steps, max_unreadable=max_unreadable, tensorboard=tensorboard,
                progress=progress, on_epoch=on_epoch,
                asked_to_leave=lambda: sigterm() or (should_stop is not None and should_stop()),
            )  # fmt: skip
            with Run(model, recipe, settings, checkpoints, group, job) as run:
                result = run.to_the_end()
            if group.first:
                averaged = recipe.ema_decay is not None
                _keep_weights(out, checkpoints, result.best, averaged=averaged, classes=job.classes)
                write_text(out / RESULT, json.dumps(result.to_dict(), indent=2) + "\n")
            group.wait()
        _load_weights(model, out)
    return result


def _check_teacher(recipe: Recipe, teacher: Teacher | None) -> None:
    if (recipe.distillation is None) != (teacher is None):
        raise InvalidArgumentError(
            f"the recipe {recipe.name} {'has no' if recipe.distillation is None else 'has a'} distillation, but "
            f"{'a teacher' if teacher is not None else 'no teacher'} is given.",
            "Give a teacher with a recipe that has distillation, and neither without the other.",
        )


def _check_run(
    keep: int, log_every_steps: int, max_unreadable: int, workers: int, seed: int, checkpoint_minutes: float | None
) -> None:
    for name, value, least in (
        ("keep", keep, 1), ("log_every_steps", log_every_steps, 1), ("max_unreadable", max_unreadable, 0),
        ("workers", workers, 0), ("seed", seed, 0),
    ):  # fmt: skip
        checked_integer(name, value, least)
    if seed >= 2**63:
        raise InvalidArgumentError(f"seed must be below 2^63, but got {seed}.")
    if checkpoint_minutes is not None and not checkpoint_minutes > 0:
        raise InvalidArgumentError(
            f"checkpoint_minutes must be above 0, but got {checkpoint_minutes!r}.", "None: at an epoch's end only."
        )


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return {**found, "written": time.strftime("%Y-%m-%d")}


def _keep_weights(
    out: Path, checkpoints: Checkpoints, best: EpochScore, *, averaged: bool, classes: Sequence[str] | None
) -> None:
    tensors, _ = checkpoints.load(Position(best.epoch))
    with told(out / WEIGHTS), atomic_path(out / WEIGHTS) as part:
        part.write_bytes(weights_bytes(under("ema" if averaged else "model", tensors), classes))


def _load_weights(model: nn.Module, out: Path) -> None:
    from safetensors.torch import load_file

    model.load_state_dict(load_file(out / WEIGHTS))
    model.eval()
