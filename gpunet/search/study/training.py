"""How a search trains one network of a space, and the winner to its end.

A study knows a `Trainer` alone: a callable that trains a vector's network in a folder. `RecipeTrainer` is one, made of
data that a study records, so that a worker on another machine makes the same one again.

    folder/network.json         which vector of which space is trained there
    folder/...                  as gpunet.train.engine has it; a trial that has ended keeps no checkpoints
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpunet.core.arguments import checked_integer
from gpunet.core.fields import part_from_dict, part_to_dict
from gpunet.core.files import sha256_of, write_text
from gpunet.core.json_files import parsed_json
from gpunet.core.versions import body_of
from gpunet.errors import DataError, InvalidArgumentError, SpecError, TrainingError
from gpunet.search.spaces.space import not_one_of
from gpunet.search.study.search_data import SearchData
from gpunet.search.study.trainer import Trained
from gpunet.train.recipe import Recipe

if TYPE_CHECKING:
    from torch import nn

    from gpunet.search.spaces.space import SearchSpace
    from gpunet.train.data.datasets import ImageData
    from gpunet.train.distillation.teacher import Teacher
    from gpunet.train.score import EpochScore, TrainingResult

TRAINER_VERSION = 1
NETWORK, CHECKPOINTS = "network.json", "checkpoints"


class RecipeTrainer:
    """A trainer by a recipe: see `Trainer` and `gpunet.train.train`.

    Args:
        space: of the vectors.
        recipe: to rank networks by.
        data: the images; all networks see the same ones.
        teacher: makes the teacher, for a recipe with distillation; called once, and only for such a recipe. Leave its
            cache out: answers are of one seed and of one set of images.
        device, workers, checkpoint_minutes, keep: of this machine; see `gpunet.train.train`.
    """

    def __init__(
        self, space: SearchSpace, recipe: Recipe, data: SearchData, *, teacher: Callable[[], Teacher] | None = None,
        device: str | None = None, workers: int = 0, checkpoint_minutes: float | None = 15, keep: int = 1,
    ) -> None:  # fmt: skip
        self.space, self.recipe, self.data = space, recipe, data
        self._make_teacher = teacher
        self._machine: dict[str, Any] = {
            "device": device, "workers": workers, "checkpoint_minutes": checkpoint_minutes, "keep": keep
        }  # fmt: skip

    def check(self) -> None:
        """Look for the device, open the data, build a network and what trains it: faults show before a trial starts.

        Raises:
            DataError: (a ValueError) the data cannot be opened or divided, does not say its classes, or is less than a
                batch.
            SpecError: (a ValueError) timm knows no such optimiser, schedule or augmentation.
            InvalidArgumentError: (a ValueError) the recipe has distillation, but there is no teacher, or one of other
                classes.
            TrainingError: the device is not there.
        """
        from gpunet.train.processes import device_named

        device_named(self._machine["device"])
        images, _, num_classes = self._ranking
        self._check(self.recipe, images, num_classes)

    def check_fine_tuning(self, recipe: Recipe) -> None:
        """As `check`, of what `fine_tune` does with the whole of the data, and with its validation split.

        Raises:
            DataError, SpecError, InvalidArgumentError: (ValueErrors) see `check`.
        """
        images, _, num_classes = self.data.whole(recipe.batch_size)
        self._check(recipe, images, num_classes)

    def _check(self, recipe: Recipe, images: ImageData, num_classes: int) -> None:
        from gpunet.model.preprocessing import image_config
        from gpunet.train.data.transforms import training_transform
        from gpunet.train.optimization import optimizer_from_recipe, scheduler_from_recipe

        if len(images) < recipe.global_batch():
            raise DataError(
                f"{images.name} has {len(images)} images, too few for one update of {recipe.global_batch()}.",
                "Lower the recipe's batch_size or accumulation_steps.",
            )
        model = self._build([0] * len(self.space.digits), recipe, num_classes, seed=0)
        scheduler_from_recipe(optimizer_from_recipe(model, recipe), recipe, updates_per_epoch=1)
        training_transform(image_config(model), recipe.augmentation)
        teacher = self._teacher_of(recipe)
        if teacher is not None and teacher.num_classes != num_classes:
            raise InvalidArgumentError(
                f"the teacher has {teacher.num_classes} classes and {images.name} has {num_classes}.",
                "Both must tell the same classes apart.",
            )

    def __call__(
        self, vector: Sequence[int], folder: Path, *, seed: int,
        report: Callable[[int, float, float], bool], should_stop: Callable[[], bool],
    ) -> Trained:  # fmt: skip
        """See `Trainer`.

        Raises:
            PreemptedError: see `Trainer`.
            TrainingError: the folder holds another network's run, or one is at work in it.
            DataError: (a ValueError) see `check`.
        """
        images, ranking, num_classes = self._ranking
        seen, ended = 0, False

        def ends(score: EpochScore) -> bool:
            nonlocal seen, ended
            seen += 1
            ended = ended or report(score.epoch, score.top1_percent or 0.0, score.train_loss)
            return ended

        model = self._build(vector, self.recipe, num_classes, seed)
        self._claim(folder, vector)
        result = self._train(model, self.recipe, images, ranking, folder, seed, ends, should_stop)
        for score in result.scores[seen:]:  # of a run that had ended before its result was told
            if not ended:
                ends(score)
        shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
        return Trained(
            result.best.top1_percent or 0.0, len(result.scores), result.stopped_early or ended, result.weights,
            sum(score.train_s + score.evaluation_s for score in result.scores),
        )  # fmt: skip

    def fine_tune(
        self, vector: Sequence[int], weights: Path, folder: Path, recipe: Recipe, *, seed: int,
        validation: str | None = None, fraction: float = 1.0, should_stop: Callable[[], bool] | None = None,
    ) -> TrainingResult:  # fmt: skip
        """Train a trial's network further, on the whole training split, scored on the validation split.

        The second stage of the paper (section 4.1). Images that were kept out to rank networks are trained on too. The
        same call goes on with a run that was left; checkpoints are kept.

        Args:
            vector: the trial's.
            weights: its safetensors file; the run begins with them.
            folder: of the run, another than the trial's.
            recipe: of the fine-tuning.
            seed: of the order of the images, augmentation and dropout.
            validation: split; None for the data's. Its scores choose the epoch that is kept, as `gpunet train` does.
            fraction: part of the training split that is trained on.
            should_stop: as in `Trainer`.

        Raises:
            PreemptedError: see `Trainer`.
            TrainingError: the folder holds another run, of other weights too, or one is at work in it.
            WeightsError: the weights are damaged, or of another network.
            DataError: (a ValueError) see `check`.
        """
        from gpunet.zoo.weights.loading import load_weights

        images, scored, num_classes = self.data.whole(recipe.batch_size, validation, fraction)
        model = self._build(vector, recipe, num_classes, seed)
        load_weights(model, weights)
        self._claim(folder, vector, weights_sha256=sha256_of(weights))
        return self._train(model, recipe, images, scored, folder, seed, None, should_stop)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types: recipe and data; neither the space, the teacher nor what is of this machine."""
        body = {"recipe": self.recipe.to_dict(), "data": part_to_dict(self.data)}
        return {"trainer": "recipe", "trainer_version": TRAINER_VERSION, **body}

    # -------------------------------------------------------------------- parts

    @property
    def num_classes(self) -> int:
        """Classes of the data, and of the networks."""
        return self._ranking[2]

    @cached_property
    def _ranking(self) -> tuple[ImageData, ImageData, int]:
        return self.data.ranking(self.recipe.batch_size)

    @cached_property
    def _teacher(self) -> Teacher | None:
        return None if self._make_teacher is None else self._make_teacher()

    def _teacher_of(self, recipe: Recipe) -> Teacher | None:
        if recipe.distillation is None:
            return None
        if self._teacher is None:
            raise InvalidArgumentError(
                f"the recipe {recipe.name} has distillation, but there is no teacher.",
                "Give what makes one (teacher=), or leave the recipe's distillation out.",
            )
        return self._teacher

    def _build(self, vector: Sequence[int], recipe: Recipe, num_classes: int, seed: int) -> nn.Module:
        """A vector's network with the seed's weights; the caller's generators stay as they are."""
        import torch

        from gpunet.model.network import GPUNet
        from gpunet.train.randomness import kept_generators

        rates = {"drop_rate": recipe.dropout, "drop_path_rate": recipe.drop_path}
        with kept_generators():
            torch.manual_seed(checked_integer("seed", seed, 0, 2**63 - 1))
            model = self.space.build(
                list(vector), num_classes=num_classes, **{name: rate for name, rate in rates.items() if rate}
            )
            if recipe.initialization != "timm" and isinstance(model, GPUNet):
                model.initialize(recipe.initialization)
            return model

    def _claim(self, folder: Path, vector: Sequence[int], **more: str) -> None:
        """Note what is trained in a folder: a run's own record cannot tell all networks of any space apart."""
        own = json.loads(json.dumps({"space": self.space.to_dict(), "vector": [int(each) for each in vector], **more}))
        path = folder / NETWORK
        try:
            if not path.exists():
                folder.mkdir(parents=True, exist_ok=True)
                write_text(path, json.dumps(own) + "\n")
            found = parsed_json(path.read_bytes())
        except (OSError, ValueError) as error:
            raise TrainingError(
                f"{path} cannot be written or read: {error}", "Give another folder, or delete this one."
            ) from None
        if found != own:
            raise TrainingError(
                f"{folder} holds another run: its vector, space or first weights are not these.",
                "Give another folder; or, to begin anew, delete it.",
            )

    def _train(
        self, model: nn.Module, recipe: Recipe, images: ImageData, scored: ImageData, folder: Path, seed: int,
        on_epoch: Callable[[EpochScore], bool] | None, should_stop: Callable[[], bool] | None,
    ) -> TrainingResult:  # fmt: skip
        from gpunet.train.engine import train

        return train(
            model, recipe, images, folder, validation=scored, teacher=self._teacher_of(recipe), seed=seed,
            on_epoch=on_epoch, should_stop=should_stop, **self._machine,
        )  # fmt: skip


def trainer_from_dict(data: Mapping[str, Any], space: SearchSpace, **machine_options: Any) -> RecipeTrainer:
    """The trainer that `to_dict` wrote.

    Args:
        data: the dict.
        space: of the study.
        machine_options: see RecipeTrainer: teacher, device, workers, checkpoint_minutes, keep.

    Raises:
        SpecError: it is no trainer's dict; the message names the path.
    """
    kind = data.get("trainer") if isinstance(data, Mapping) else "recipe"
    if kind != "recipe":
        raise SpecError(not_one_of("trainer", kind, ["recipe"]))
    body = body_of(data, "trainer", "trainer_version", TRAINER_VERSION)
    del body["trainer"]
    parts = part_from_dict(_Parts, body, "trainer")
    return RecipeTrainer(
        space, Recipe.from_dict(parts.recipe), part_from_dict(SearchData, parts.data, "data"), **machine_options
    )


@dataclass(frozen=True)
class _Parts:
    recipe: Mapping[str, Any]
    data: Mapping[str, Any]
