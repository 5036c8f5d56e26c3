"""How a network takes a picture: resolution, crop and normalisation, as timm's transforms."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from timm.data import create_transform, resolve_data_config, resolve_model_data_config
from torch import Tensor, nn

from gpunet.errors import InvalidArgumentError

Transform = Callable[[Any], Tensor]


def image_config(model: nn.Module | Mapping[str, Any], side_px: int | None = None) -> dict[str, Any]:
    """How a network takes images: input_size, mean, std, interpolation, crop_pct. All that prepare images ask here.

    An entry's own say is in the model's `pretrained_cfg`, where timm's would be: see `gpunet.zoo.models`.

    Args:
        model: a GPUNet or a model of timm's; or what is said of one, with ImageNet's in place of what is not.
        side_px: another side than the model's own.
    """
    if isinstance(model, Mapping):
        # timm's default, said because timm refuses to fill in what is empty.
        return dict(resolve_data_config(pretrained_cfg={"crop_mode": "center", **model}))
    config: dict[str, Any] = dict(resolve_model_data_config(model))
    sides = config["input_size"][1:]
    spec: Any = getattr(model, "spec", None)
    if spec is not None and getattr(model, "pretrained_cfg", None) is None:
        sides = (spec.resolution_px, spec.resolution_px)
        config["crop_pct"] = 1.0
    if side_px is not None:
        check_side(model, (side_px, side_px))
        sides = (side_px, side_px)
    return {**config, "input_size": (_channels_of(model, config["input_size"][0]), *sides)}


def check_side(model: nn.Module, sides: tuple[int, int]) -> None:
    """Raise InvalidArgumentError where a network of a fixed input size is to take images of another.

    Args:
        model: a GPUNet or a model of timm's, which says so in its `pretrained_cfg`.
        sides: height and width of the images, in px.
    """
    cfg: Any = getattr(model, "pretrained_cfg", None) or {}
    patches = getattr(model, "patch_embed", None)
    # One that was built for another size (timm's img_size=) has that one, and its pretrained_cfg does not say so.
    own = tuple(getattr(patches, "img_size", None) or tuple(cfg.get("input_size") or ())[1:])
    open_to_others = getattr(patches, "dynamic_img_size", False)
    if cfg.get("fixed_input_size") and own and own != tuple(sides) and not open_to_others:
        raise InvalidArgumentError(
            f"{cfg.get('architecture') or type(model).__name__} takes images of {own[0]} x {own[1]} px alone, but "
            f"{sides[0]} x {sides[1]} are asked for.",
            "Leave the size out, or choose a network of any size.",
        )


def _channels_of(model: nn.Module, usual: int) -> int:
    """Channels of a network's images: its `in_chans`, else what its first convolution takes, else the usual."""
    said: Any = getattr(model, "in_chans", None)
    if said is None:
        first = next((part for part in model.modules() if isinstance(part, nn.Conv2d)), None)
        said = usual if first is None else first.in_channels
    return int(said)


def says_its_images(model: nn.Module) -> bool:
    """Whether a network says of what size its images are."""
    cfg: Any = getattr(model, "pretrained_cfg", None) or {}
    return cfg.get("input_size") is not None or getattr(model, "spec", None) is not None


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
