"""How a network is trained, as frozen, validated data that is JSON both ways.

The defaults are timm's, so that a recipe holds what is particular to it. A wrong value is refused with its path:
``optimization.learning_rate: 0 is out of range; it is above 0``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gpunet.core.fields import (
    check_flag,
    check_name,
    check_number,
    check_one_of,
    checked_range,
    in_file,
    part_from_dict,
    part_to_dict,
)
from gpunet.core.versions import body_of
from gpunet.errors import ABSENT_EXIT_CODE, SpecError
from gpunet.model.parts import DROP_PATHS_OVER, INITIALIZATIONS

RECIPE_VERSION = 1
PRECISIONS = ("fp32", "fp16", "bf16")
BATCH_NORMS = ("local", "synced")
ERASING_MODES = ("const", "rand", "pixel")
TEACHER_LOSSES = ("kl-divergence", "cross-entropy")


@dataclass(frozen=True)
class Optimization:
    """The optimiser, and what is done to gradients.

    Args:
        optimizer: a name of timm's, e.g. 'rmsproptf', 'sgd', 'adamw', 'lamb'.
        learning_rate: at the batch that it is for; see `batch_of_learning_rate`.
        batch_of_learning_rate: images a step that `learning_rate` is for: it is scaled linearly to the global batch
            that a run has; None for no scaling.
        weight_decay: not applied to biases and normalisation, as timm does.
        momentum: where the optimiser has one.
        epsilon: the optimiser's; None for its default.
        gradient_norm: clip the gradients' norm to it; None for no clipping.
    """

    optimizer: str = "sgd"
    learning_rate: float = 0.05
    batch_of_learning_rate: int | None = None
    weight_decay: float = 2e-5
    momentum: float = 0.9
    epsilon: float | None = None
    gradient_norm: float | None = None

    def check(self, path: str) -> None:
        """Raise SpecError, naming `path`, where a value breaks its rule."""
        check_name(f"{path}.optimizer", self.optimizer)
        check_number(f"{path}.learning_rate", self.learning_rate, 0, above=True)
        if self.batch_of_learning_rate is not None:
            check_number(f"{path}.batch_of_learning_rate", self.batch_of_learning_rate, 1, whole=True)
        check_number(f"{path}.weight_decay", self.weight_decay, 0)
        check_number(f"{path}.momentum", self.momentum, 0, 1, below=True)
        for name in ("epsilon", "gradient_norm"):
            if getattr(self, name) is not None:
                check_number(f"{path}.{name}", getattr(self, name), 0, above=True)


@dataclass(frozen=True)
class Schedule:
    """The learning rate over the epochs, by timm's schedulers.

    Args:
        scheduler: a name of timm's: 'cosine', 'step', 'multistep', 'poly', 'tanh', 'wsd', 'constant', ...
        warmup_epochs: from `warmup_learning_rate` up to the learning rate.
        warmup_learning_rate: the first.
        min_learning_rate: of those that have a floor.
        decay_epochs: between two decays ('step'), may be a fraction; None for timm's default.
        decay_rate: factor of a decay.
        by_update: let the rate follow the updates instead of the epochs.
    """

    scheduler: str = "cosine"
    warmup_epochs: float = 0
    warmup_learning_rate: float = 1e-5
    min_learning_rate: float = 0.0
    decay_epochs: float | None = None
    decay_rate: float = 0.1
    by_update: bool = False

    def check(self, path: str) -> None:
        """Raise SpecError, naming `path`, where a value breaks its rule."""
        check_name(f"{path}.scheduler", self.scheduler)
        if self.scheduler == "plateau":
            raise SpecError(f"{path}.scheduler: 'plateau' has no learning rate of an epoch", "Take another of timm's.")
        for name in ("warmup_epochs", "warmup_learning_rate", "min_learning_rate"):
            check_number(f"{path}.{name}", getattr(self, name), 0)
        if self.decay_epochs is not None:
            check_number(f"{path}.decay_epochs", self.decay_epochs, 0, above=True)
        check_number(f"{path}.decay_rate", self.decay_rate, 0, 1, above=True)
        check_flag(f"{path}.by_update", self.by_update)


@dataclass(frozen=True)
class Augmentation:
    """What is done to a training image, by timm's transforms.

    Args:
        policy: timm's name of a policy, e.g. 'rand-m9-mstd0.5'; None for none.
        scale, ratio: area and aspect of the random crop, as parts of the image's.
        horizontal_flip, vertical_flip: probabilities.
        color_jitter: strength; of no effect beside a policy.
        interpolation: 'bicubic', 'bilinear' or 'random' between both; '' for the model's.
        erasing: probability of random erasing.
        erasing_mode: 'const', 'rand' or 'pixel'.
        mixup, cutmix: their alphas; 0 for neither (the paper leaves both out).
        fixed: augment an image the same way in every epoch, so that a teacher's answers can be kept.
        enabled: False trains on what evaluation sees.
    """

    policy: str | None = None
    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    horizontal_flip: float = 0.5
    vertical_flip: float = 0.0
    color_jitter: float = 0.4
    interpolation: str = "random"
    erasing: float = 0.0
    erasing_mode: str = "const"
    mixup: float = 0.0
    cutmix: float = 0.0
    fixed: bool = False
    enabled: bool = True

    def check(self, path: str) -> None:
        """Raise SpecError, naming `path`, where a value breaks its rule."""
        if self.policy is not None:
            check_name(f"{path}.policy", self.policy)
        object.__setattr__(self, "scale", checked_range(f"{path}.scale", self.scale))
        object.__setattr__(self, "ratio", checked_range(f"{path}.ratio", self.ratio))
        check_number(f"{path}.scale", self.scale[1], 0, 1)
        for name in ("horizontal_flip", "vertical_flip", "erasing"):
            check_number(f"{path}.{name}", getattr(self, name), 0, 1)
        for name in ("color_jitter", "mixup", "cutmix"):
            check_number(f"{path}.{name}", getattr(self, name), 0)
        if self.interpolation:
            check_one_of(f"{path}.interpolation", self.interpolation, ("bicubic", "bilinear", "random"))
        check_one_of(f"{path}.erasing_mode", self.erasing_mode, ERASING_MODES)
        check_flag(f"{path}.fixed", self.fixed)
        check_flag(f"{path}.enabled", self.enabled)


@dataclass(frozen=True)
class Distillation:
    """A teacher's part in the loss: label_weight x cross-entropy + weight x temperature^2 x distance from the teacher.

    The distance is Kullback-Leibler's divergence of the student's classes from the teacher's, both softened by the
    temperature (Hinton, Vinyals, Dean, 2015), or their cross-entropy, which has the same gradient and is larger by the
    entropy of what the teacher answers.

    Args:
        teacher: a name of timm's or of the zoo's; None where the caller brings one.
        teacher_px: side of the images that the loader serves; they are scaled down to the student's. None for the
            teacher's own.
        temperature: above 0.
        weight: of the teacher's part.
        label_weight: of the labels' part; None for what `weight` leaves of 1.
        loss: 'kl-divergence' or 'cross-entropy'.
        cache: keep the teacher's answers on disk; needs fixed augmentation, or none.
    """

    teacher: str | None = None
    teacher_px: int | None = None
    temperature: float = 1.0
    weight: float = 0.5
    label_weight: float | None = None
    loss: str = "kl-divergence"
    cache: bool = False

    def check(self, path: str) -> None:
        """Raise SpecError, naming `path`, where a value breaks its rule."""
        if self.teacher is not None:
            check_name(f"{path}.teacher", self.teacher)
        if self.teacher_px is not None:
            check_number(f"{path}.teacher_px", self.teacher_px, 8, whole=True)
        check_number(f"{path}.temperature", self.temperature, 0, above=True)
        if self.label_weight is None:
            check_number(f"{path}.weight", self.weight, 0, 1)
        else:
            check_number(f"{path}.weight", self.weight, 0)
            check_number(f"{path}.label_weight", self.label_weight, 0)
        check_one_of(f"{path}.loss", self.loss, TEACHER_LOSSES)
        check_flag(f"{path}.cache", self.cache)


_PARTS: dict[str, Any] = {"optimization": Optimization, "schedule": Schedule, "augmentation": Augmentation}


@dataclass(frozen=True)
class Recipe:
    """All that decides a training run, but for the network, the data and the seed.

    Args:
        name: as in `recipe_named`; of a recipe of one's own, anything.
        epochs: passes over the data.
        batch_size: images a step of one process.
        accumulation_steps: batches whose gradients are added up for one update.
        optimization, schedule, augmentation: see their classes.
        label_smoothing: of the cross-entropy.
        dropout, drop_path: given to the network when it is built; drop-path grows linearly with depth.
        drop_path_over: of GPUNets: it grows over the 'layers', from 0 in the first to `drop_path` in the last; or over
            all 'items' of the release's descriptions, which count image and stem before the layers, and the head.
        initialization: of a GPUNet's first weights: 'timm' (as its EfficientNets) or 'torch' (its defaults).
        ema_decay: of the exponential moving average of the weights, which is what is scored and kept; None for none.
        ema_warmup: let the decay grow up to `ema_decay` (timm's): short runs need it.
        precision: 'fp32', 'fp16' (with loss scaling) or 'bf16': autocast of the forward pass.
        channels_last: memory format.
        compiled: torch.compile.
        batch_norm: 'local' statistics, or 'synced' over all processes: as one process with the whole batch has.
        head_epochs: of the epochs, the first in which the classifier alone learns, and nothing else moves.
        distillation: None for none.

    Raises:
        SpecError: (a ValueError) naming the path of the fault.
    """

    name: str
    epochs: int
    batch_size: int
    accumulation_steps: int = 1
    optimization: Optimization = field(default=Optimization())
    schedule: Schedule = field(default=Schedule())
    augmentation: Augmentation = field(default=Augmentation())
    label_smoothing: float = 0.1
    dropout: float = 0.0
    drop_path: float = 0.0
    drop_path_over: str = "layers"
    initialization: str = "timm"
    ema_decay: float | None = None
    ema_warmup: bool = False
    precision: str = "fp32"
    channels_last: bool = False
    compiled: bool = False
    batch_norm: str = "synced"
    head_epochs: int = 0
    distillation: Distillation | None = None

    def __post_init__(self) -> None:
        check_name("name", self.name)
        for name in ("epochs", "batch_size", "accumulation_steps"):
            check_number(name, getattr(self, name), 1, whole=True)
        rule = f"it is at least 0 and at most the epochs, {self.epochs}"
        check_number("head_epochs", self.head_epochs, 0, self.epochs, whole=True, rule=rule)
        for name, kind in _PARTS.items():
            part: Any = getattr(self, name)
            if not isinstance(part, kind):
                raise SpecError(f"{name}: {part!r} is not of {kind.__name__}")
            part.check(name)
        for name in ("label_smoothing", "dropout", "drop_path"):
            check_number(name, getattr(self, name), 0, 1, below=True)
        if self.ema_decay is not None:
            check_number("ema_decay", self.ema_decay, 0, 1, below=True)
        check_one_of("precision", self.precision, PRECISIONS)
        check_one_of("drop_path_over", self.drop_path_over, DROP_PATHS_OVER)
        check_one_of("initialization", self.initialization, INITIALIZATIONS)
        check_one_of("batch_norm", self.batch_norm, BATCH_NORMS)
        for name in ("ema_warmup", "channels_last", "compiled"):
            check_flag(name, getattr(self, name))
        if self.distillation is not None:
            self._check_distillation(self.distillation)
        mixing = self.augmentation.mixup > 0 or self.augmentation.cutmix > 0
        if mixing and self.batch_size % 2:
            raise SpecError(f"batch_size: {self.batch_size} is odd; Mixup and CutMix mix images in pairs")

    def _check_distillation(self, distillation: object) -> None:
        if not isinstance(distillation, Distillation):
            raise SpecError(f"distillation: {distillation!r} is not of Distillation")
        distillation.check("distillation")
        given = self.augmentation
        if distillation.cache and ((given.enabled and not given.fixed) or given.mixup or given.cutmix):
            raise SpecError(
                "distillation.cache: a teacher's answers can be kept only where an image looks the same in every epoch",
                "Set augmentation.fixed, and leave Mixup and CutMix out; or leave the cache out.",
            )

    def global_batch(self, processes: int = 1) -> int:
        """Images an update, over all processes and accumulated batches."""
        return self.batch_size * self.accumulation_steps * processes

    def learning_rate(self, processes: int = 1) -> float:
        """The learning rate of a run of so many processes."""
        given = self.optimization
        if given.batch_of_learning_rate is None:
            return given.learning_rate
        return given.learning_rate * self.global_batch(processes) / given.batch_of_learning_rate

    # ------------------------------------------------------------------ JSON

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Recipe:
        """The recipe that `to_dict` wrote; unknown or missing keys raise SpecError with their path."""
        body = body_of(data, "recipe", "recipe_version", RECIPE_VERSION, implied=True)
        for name, kind in {**_PARTS, "distillation": Distillation}.items():
            if body.get(name) is not None:
                body[name] = part_from_dict(kind, body[name], name)
        return part_from_dict(cls, body, "")

    @classmethod
    def from_json(cls, text: str) -> Recipe:
        """The recipe that `to_json` wrote. Raises SpecError for text that is not JSON too."""
        try:
            return cls.from_dict(json.loads(text))
        except (json.JSONDecodeError, RecursionError) as error:
            raise SpecError(f"recipe: not JSON: {error}") from None

    @classmethod
    def read(cls, path: str | Path) -> Recipe:
        """A recipe from a JSON file. Raises SpecError where it cannot be read as one."""
        try:
            text = Path(path).expanduser().read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            code = ABSENT_EXIT_CODE if isinstance(error, FileNotFoundError) else None
            hint = "Give the path of a JSON file."
            raise SpecError(f"recipe: cannot read {path}: {error}", hint, exit_code=code) from None
        with in_file(path):
            return cls.from_json(text)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; a field at its default is left out."""
        return {"recipe_version": RECIPE_VERSION, **part_to_dict(self)}

    def to_json(self, indent: int | None = None) -> str:
        """The recipe as JSON text; `from_json` gives an equal one back."""
        return json.dumps(self.to_dict(), indent=indent)
