"""From an entry to a torch model: GPUNets by timm's builder, other architectures by timm itself."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import timm
from timm.data import create_transform
from timm.models import build_model_with_cfg
from torch import nn

from gpunet.core.hub import DOWNLOAD_TIMEOUT_S
from gpunet.errors import ABSENT_EXIT_CODE, GpunetError, InvalidArgumentError, UnknownModelError, WeightsError
from gpunet.model.entry import Entry
from gpunet.model.network import GPUNet
from gpunet.model.origin import DRAWN, NOT_STATED, TRAINED, UNTRAINED, WeightsOrigin, classes_of_weights, say_origin
from gpunet.model.preprocessing import image_config, num_classes_of
from gpunet.model.spec import NetworkSpec
from gpunet.zoo.weights.loading import find_weights, load_weights
from gpunet.zoo.weights.timm_files import timm_network


def pretrained_cfg(entry: Entry) -> dict[str, Any]:
    """Timm's pretrained configuration of an entry: resolution, crop, interpolation, normalisation, source."""
    cfg: dict[str, Any] = {
        "input_size": (entry.in_chans, entry.input_px, entry.input_px),
        "num_classes": entry.num_classes,
        "pool_size": None,
        "first_conv": "conv_stem",
        "classifier": "classifier",
        "license": entry.licence,
        "paper_name": "Searching the Deployable Convolution Neural Networks for GPUs",
    }
    cfg.update(_image_cfg(entry))
    if entry.weights is not None:
        cfg["url"] = entry.weights.ngc_url
        cfg["hf_hub_id"] = entry.weights.hf_repo
    return cfg


def _image_cfg(entry: Entry) -> dict[str, Any]:
    """How an entry takes pictures, in timm's words; nothing where it does not say."""
    given = entry.preprocessing
    if given is None:
        return {}
    return {
        "input_size": (entry.in_chans, given.input_px, given.input_px), "crop_pct": given.crop_pct,
        "interpolation": given.interpolation, "mean": given.mean, "std": given.std,
    }  # fmt: skip


def gpunet_from_spec(
    spec: NetworkSpec | Mapping[str, Any] | str | Path,
    *,
    variant: str = "gpunet",
    cfg: Mapping[str, Any] | None = None,
    prepare: Callable[[GPUNet], None] | None = None,
    **model_kwargs: Any,
) -> nn.Module:
    """A GPUNet, or with `features_only=True` timm's feature extractor around it.

    Args:
        spec: anything NetworkSpec.parse takes.
        variant: timm's name of it.
        cfg: timm's pretrained configuration; None for one made from the spec (bicubic, crop 1.0).
        prepare: called with the network before it is wrapped: loads weights.
        model_kwargs: GPUNet's arguments, and timm's (features_only, out_indices, pretrained, pretrained_cfg, ...).
    """
    spec = NetworkSpec.parse(spec)
    given = model_kwargs.pop("pretrained_cfg", None)
    side, channels = spec.resolution_px, model_kwargs.get("in_chans", 3)
    own = {"input_size": (channels, side, side), "crop_pct": 1.0, "interpolation": "bicubic",
           "first_conv": "conv_stem", "classifier": "classifier"}  # fmt: skip

    def make(**kwargs: Any) -> GPUNet:
        unknown = sorted(set(kwargs) - {"num_classes", "in_chans", "drop_rate", "drop_path_rate", "global_pool"})
        if unknown:
            raise InvalidArgumentError(
                f"unknown model argument {unknown[0]!r}.",
                "GPUNet takes num_classes, in_chans, drop_rate, drop_path_rate, global_pool; timm's builder "
                "features_only and out_indices.",
            )
        model = GPUNet(spec, **kwargs)
        if prepare is not None:
            prepare(model)
        return model

    return build_model_with_cfg(
        make,
        variant,
        model_kwargs.pop("pretrained", False),
        pretrained_cfg=given or dict(cfg or own),
        feature_cfg={"feature_cls": "getter", "out_indices": _all_levels(spec), **model_kwargs.pop("feature_cfg", {})},
        **model_kwargs,
    )


def _all_levels(spec: NetworkSpec) -> tuple[int, ...]:
    return tuple(range(1 + sum(stage.stride == 2 for stage in spec.stages)))


def model_from_entry(
    entry: Entry,
    *,
    pretrained: bool = True,
    weights: str | Path | None = None,
    timeout_s: float = DOWNLOAD_TIMEOUT_S,
    **model_kwargs: Any,
) -> nn.Module:
    """The entry's network, in evaluation mode, with `.entry` and `.transforms`.

    Args:
        pretrained: load the entry's weights, from wherever they are found first.
        weights: a file to take them from instead: safetensors, or NVIDIA's `.pth.tar` or zip.
        timeout_s: the most that downloading them may take, and waiting for another process that is at it.
        model_kwargs: e.g. num_classes, in_chans, drop_rate, features_only, out_indices.

    Raises:
        UnknownModelError: only figures of the network are known, or timm does not have it.
        WeightsError: the weights cannot be had; the hint says where to put a file fetched by hand.
    """
    if entry.architecture is None:
        raise UnknownModelError(
            f"{entry.name} cannot be built: only its published figures are known.",
            entry.note and f"Note: {entry.note}.",
        )
    wanted = pretrained or weights is not None
    model_kwargs.setdefault("num_classes", entry.num_classes)
    model_kwargs.setdefault("in_chans", entry.in_chans)
    if entry.spec is not None:

        def prepare(model: GPUNet) -> None:
            model.entry = entry
            if wanted:
                load_weights(model, find_weights(entry, weights, timeout_s=timeout_s))

        model: Any = gpunet_from_spec(
            entry.spec, variant=entry.name, cfg=pretrained_cfg(entry), prepare=prepare, **model_kwargs
        )
    else:
        arguments = {**(entry.model_args or {}), **model_kwargs}
        model = _timm_model(entry, entry.architecture, wanted, weights, timeout_s, arguments)
        if entry.model_args:
            model.model_args = dict(entry.model_args)
    if not isinstance(model, GPUNet):
        model.entry = entry
        model.transforms = functools.partial(_transforms, model)
    say_origin(model, _origin(entry, model, wanted, weights))
    if weights is not None and (names := classes_of_weights(Path(weights))):
        model.class_names = names
    return model.eval()


def _origin(entry: Entry, model: Any, wanted: bool, weights: str | Path | None) -> WeightsOrigin:
    if not wanted:
        return DRAWN
    given = entry.weights
    place = (given and (given.file or given.hf_repo or given.ngc_url)) or f"timm's {entry.architecture}"
    source = f"the weights of {entry.name} ({place})" if weights is None else Path(weights).name
    licence = entry.licence if weights is None else NOT_STATED
    if num_classes_of(model) not in (0, entry.num_classes):
        return WeightsOrigin(UNTRAINED, f"{source}, but for its classifier, which is drawn at random", licence)
    return WeightsOrigin(TRAINED, source, licence)


def _timm_model(
    entry: Entry, architecture: str, wanted: bool, weights: str | Path | None, timeout_s: float,
    model_kwargs: dict[str, Any],
) -> nn.Module:  # fmt: skip
    if not timm.is_model(architecture):
        raise UnknownModelError(
            f"entry {entry.name} names the architecture {architecture!r}, which timm {timm.__version__} does not have.",
            "timm.list_models() lists what it has.",
        )
    overlay = _image_cfg(entry)  # an entry's own say counts, not that of the architecture's name
    model_kwargs = {"pretrained_cfg_overlay": overlay, **model_kwargs} if overlay else model_kwargs
    if not wanted:
        return timm.create_model(architecture, pretrained=False, **model_kwargs)
    try:
        if weights is None and entry.weights is None:
            return timm_network(architecture, timeout_s=timeout_s, **model_kwargs)
        if not model_kwargs.get("features_only"):
            model = timm.create_model(architecture, pretrained=False, **model_kwargs)
            load_weights(model, find_weights(entry, weights, timeout_s=timeout_s))
            return model
        # timm loads before it wraps the network in a feature extractor, which has other names.
        found = find_weights(entry, weights, timeout_s=timeout_s)
        file = {**overlay, "file": str(found), "num_classes": entry.num_classes}
        return timm.create_model(architecture, pretrained=True, **{**model_kwargs, "pretrained_cfg_overlay": file})
    except GpunetError:
        raise
    except (OSError, RuntimeError) as error:
        raise WeightsError(
            f"timm could not load the weights of {architecture}: {type(error).__name__}: {error}",
            "Pass pretrained=False for an untrained network, or weights=FILE.",
            exit_code=ABSENT_EXIT_CODE,
        ) from error


def _transforms(model: nn.Module, training: bool = False) -> Callable[..., Any]:
    """See GPUNet.transforms."""
    return create_transform(**image_config(model), is_training=training)
