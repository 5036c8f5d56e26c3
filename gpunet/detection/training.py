"""Train a detector, in one process or many, by `gpunet.train`'s engine: a killed run goes on as if it had not been.

out/detector.json         what the detector is (`DetectorSpec`)
out/run.json, metrics.jsonl, checkpoints/, model.safetensors, result.json     as `gpunet.train.train` writes them
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gpunet.core.files import write_text
from gpunet.detection.data.coco import CocoData
from gpunet.detection.detector import Detector, detector_from_spec
from gpunet.detection.spec import DetectorSpec
from gpunet.detection.task import Detection, check_recipe
from gpunet.errors import ABSENT_EXIT_CODE, CheckpointError, DataError, UnknownModelError
from gpunet.train.engine import carry_out
from gpunet.train.folder import WEIGHTS, Standing
from gpunet.train.recipe import Recipe
from gpunet.train.score import TrainingResult
from gpunet.train.tasks.task import Job

DETECTOR = "detector.json"


def train_detector(
    model: Detector,
    recipe: Recipe,
    data: CocoData,
    out: str | Path,
    *,
    validation: CocoData | None = None,
    seed: int = 0,
    on_start: Callable[[Standing], None] | None = None,
    **options: Any,
) -> TrainingResult:
    """Train a detector by a recipe, or go on with a run that was left or killed.

    Args:
        model: of the data's classes; a new run begins with its weights.
        recipe: 'detection', or one's own: see `check_recipe` for what it cannot ask for.
        data: pictures to learn from.
        out: folder of the run.
        validation: pictures that every epoch is scored on (COCO's metrics; the best AP is kept); None for the last
            epoch's weights.
        seed: of the order of the pictures, augmentation and sampling.
        on_start: told how far the run is, before it begins, goes on, or is found to have ended.
        options: device, workers, resume, keep, checkpoint_minutes, log_every_steps, max_unreadable, tensorboard,
            progress, on_epoch, should_stop: see `gpunet.train.train`.

    Returns:
        The result; `model` has the weights that were kept, and is in evaluation mode.

    Raises:
        SpecError: (a ValueError) the recipe asks for what detectors are not trained with.
        DataError: (a ValueError) the data has no box to learn from, or classes differ.
        PreemptedError, TrainingError, InvalidArgumentError: see `gpunet.train.train`.
    """
    check_recipe(recipe)
    data = data.for_classes(model.classes)
    validation = None if validation is None else validation.for_classes(model.classes)
    if not any(not box.crowd and box.width > 0 and box.height > 0 for each in data.pictures for box in each.boxes):
        raise DataError(f"{data.name} has no box to learn from: {data.about()}.", "Annotate some pictures with boxes.")
    out = Path(out)

    def begin(stands: Standing) -> None:
        if not (out / DETECTOR).is_file():
            write_text(out / DETECTOR, json.dumps(model.spec.to_dict(), indent=2) + "\n")
        if on_start is not None:
            on_start(stands)

    job = Job(
        functools.partial(Detection, data=data, validation=validation),
        functools.partial(_identity, model.spec, recipe, data, validation, seed),
        model.classes,
    )
    return carry_out(job, model, recipe, out, seed=seed, on_start=begin, **options)


def load_detector(folder: str | Path) -> Detector:
    """The detector that a run's folder holds, in evaluation mode.

    Raises:
        UnknownModelError: (a LookupError) the folder holds no detector, or its run has not ended.
        SpecError: (a ValueError) its description is damaged.
        CheckpointError: (a RuntimeError) its weights are damaged, or another network's.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    folder = Path(folder).expanduser()
    for name, hint in ((DETECTOR, "Train one: gpunet detect train --data FOLDER."),
                       (WEIGHTS, "Its training has not ended: the same command goes on.")):  # fmt: skip
        if not (folder / name).is_file():
            raise UnknownModelError(f"{folder} holds no detector: it has no {name}.", hint, exit_code=ABSENT_EXIT_CODE)
    model = detector_from_spec(DetectorSpec.read(folder / DETECTOR))
    try:
        model.load_state_dict(load_file(folder / WEIGHTS))
    except (OSError, RuntimeError, SafetensorError) as error:
        first = str(error).strip().partition("\n")[0]
        raise CheckpointError(
            f"{folder / WEIGHTS} cannot be loaded into what {DETECTOR} describes: {first}", "Train it anew."
        ) from error
    return model.eval()


def _identity(
    spec: DetectorSpec, recipe: Recipe, data: CocoData, validation: CocoData | None, seed: int, processes: int
) -> dict[str, Any]:
    return {
        "run_version": 1,
        "detector": spec.to_dict(),
        "recipe": recipe.to_dict(),
        "global_batch": recipe.global_batch(processes),
        "data": _identity_of_data(data),
        "validation": None if validation is None else _identity_of_data(validation),
        "seed": seed,
    }


def _identity_of_data(data: CocoData) -> dict[str, Any]:
    digest = hashlib.sha256()
    for each in data.pictures:
        boxes = [(box.left, box.top, box.width, box.height, box.label, box.crowd) for box in each.boxes]
        digest.update(f"{each.file.name}\0{boxes}\n".encode(errors="surrogateescape"))
    return {
        "name": data.name, "pictures": len(data), "class_names": list(data.classes),
        "listing_sha256": digest.hexdigest(),
    }  # fmt: skip
