"""config.json: what `timm.create_model('local-dir:FOLDER')` and `hf-hub:USER/NAME` read beside model.safetensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from gpunet.errors import EntryError
from gpunet.model.preprocessing import image_config, num_classes_of


def timm_config(model: nn.Module, *, licence: str, classes: Sequence[str] | None = None) -> dict[str, Any]:
    """A model as timm's config.json, in plain JSON types.

    A GPUNet is the architecture 'gpunet', which `import gpunet.registry` gives timm, with its spec among the model's
    arguments.

    Args:
        model: a GPUNet, or a model of timm's.
        licence: of the weights.
        classes: names of the classes, in order.

    Raises:
        EntryError: (a ValueError) the model pools otherwise than an entry's network does, or timm does not know it.
    """
    spec = getattr(model, "spec", None)
    known: dict[str, Any] = getattr(model, "pretrained_cfg", None) or {}
    architecture = "gpunet" if spec is not None else known.get("architecture")
    if not architecture:
        raise EntryError(f"a {type(model).__name__} has no name in timm, so nothing could build it again.")
    pooling = getattr(getattr(model, "global_pool", None), "pool_type", "avg")
    if spec is not None and pooling != "avg":
        raise EntryError(f"an entry's network pools by 'avg', but the model by {pooling!r}.")
    image = image_config(model)
    config: dict[str, Any] = {
        "architecture": architecture,
        "num_classes": num_classes_of(model),
        "num_features": int(getattr(model, "num_features", 0)),
        "pretrained_cfg": {
            "input_size": [int(size) for size in image["input_size"]],
            "fixed_input_size": False,
            "interpolation": image["interpolation"],
            "crop_pct": float(image["crop_pct"]),
            "crop_mode": image.get("crop_mode", "center"),
            "mean": [float(value) for value in image["mean"]],
            "std": [float(value) for value in image["std"]],
            "num_classes": num_classes_of(model),
            "first_conv": known.get("first_conv", "conv_stem"),
            "classifier": known.get("classifier", "classifier"),
            "license": licence,
        },
    }
    if classes:
        config["label_names"] = list(classes)
    if spec is not None:
        config["model_args"] = {"spec": spec.to_dict()}
    elif getattr(model, "model_args", None):
        config["model_args"] = dict(model.model_args)  # type: ignore[arg-type]
    return config
