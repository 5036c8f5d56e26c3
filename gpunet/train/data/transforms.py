"""A recipe's augmentation, on top of how a network takes a picture."""

from __future__ import annotations

from typing import Any

from timm.data import Mixup, create_transform

from gpunet.errors import SpecError
from gpunet.model.preprocessing import Transform, evaluation_transform, for_channels, three_channels
from gpunet.train.recipe import Augmentation, Recipe


def training_transform(config: dict[str, Any], augmentation: Augmentation) -> Transform:
    """A PIL image -> `C x H x W`, augmented.

    Raises:
        SpecError: (a ValueError) timm knows no policy of that name.
    """
    if not augmentation.enabled:
        return evaluation_transform(config)
    try:
        made = create_transform(
            **{**three_channels(config), "interpolation": augmentation.interpolation or config["interpolation"]},
            is_training=True,
            scale=augmentation.scale,
            ratio=augmentation.ratio,
            hflip=augmentation.horizontal_flip,
            vflip=augmentation.vertical_flip,
            color_jitter=augmentation.color_jitter,
            auto_augment=augmentation.policy,
            re_prob=augmentation.erasing,
            re_mode=augmentation.erasing_mode,
        )
    except (AssertionError, LookupError, ValueError) as error:
        raise SpecError(
            f"augmentation.policy: timm cannot make {augmentation.policy!r}: {error}",
            "It has rand-m9-mstd0.5, augmix-m5-w4-d2, 3a, original, v0, ...",
        ) from error
    return for_channels(config["input_size"][0], made)


def mixup(recipe: Recipe, num_classes: int) -> Mixup | None:
    """What mixes the images and the labels of a batch; None where the recipe mixes none."""
    mixing = recipe.augmentation
    if not (mixing.mixup or mixing.cutmix):
        return None
    return Mixup(mixing.mixup, mixing.cutmix, label_smoothing=recipe.label_smoothing, num_classes=num_classes)
