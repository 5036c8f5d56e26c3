"""How a network takes a picture: resolution, crop and normalisation, as timm's transforms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from timm.data import create_transform, resolve_model_data_config
from torch import Tensor, nn

Transform = Callable[[Any], Tensor]


def image_config(model: nn.Module, side_px: int | None = None) -> dict[str, Any]:
    """How a network takes images: input_size, mean, std, interpolation, crop_pct.

    Args:
        model: a GPUNet or a model of timm's.
        side_px: another side than the model's own.
    """
    config: dict[str, Any] = dict(resolve_model_data_config(model))
    spec = getattr(model, "spec", None)
    if spec is not None and getattr(model, "pretrained_cfg", None) is None:
        config |= {"input_size": (model.in_chans, spec.resolution_px, spec.resolution_px), "crop_pct": 1.0}
    if side_px is not None:
        config["input_size"] = (config["input_size"][0], side_px, side_px)
    return config


def num_classes_of(model: nn.Module) -> int:
    """Classes that a network tells apart; 0 where it does not say."""
    said: Any = getattr(model, "num_classes", 0)
    return int(said or 0)


def evaluation_transform(config: dict[str, Any]) -> Transform:
    """A PIL image -> `C x H x W`: resize, centre crop, normalise."""
    made: Transform = for_channels(
        config["input_size"][0], create_transform(**three_channels(config), is_training=False)
    )
    return made


def three_channels(config: dict[str, Any]) -> dict[str, Any]:
    """The same for a picture, which has three."""
    return {**config, "input_size": (3, *config["input_size"][1:])}


def for_channels(channels: int, transform: Any) -> Transform:
    """Pictures have three channels; a network of one gets their mean, one of more gets them repeated."""
    if channels == 3:
        same: Transform = transform
        return same

    def adapted(picture: Any) -> Tensor:
        image: Tensor = transform(picture)
        if channels == 1:
            return image.mean(dim=0, keepdim=True)
        return image[[channel % 3 for channel in range(channels)]]

    return adapted
