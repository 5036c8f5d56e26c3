"""timm's entry points: `import gpunet.registry` makes the seven released networks, and `gpunet`, timm models.

timm.create_model('gpunet_1', pretrained=True, num_classes=10)
timm.create_model('gpunet', spec='network.json', features_only=True)
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from timm.models import generate_default_cfgs, register_model
from torch import nn

from gpunet.errors import InvalidArgumentError
from gpunet.model.entry import Entry
from gpunet.model.spec import NetworkSpec
from gpunet.zoo.catalog import catalog
from gpunet.zoo.models import gpunet_from_spec, model_from_entry, pretrained_cfg

_RELEASED = {entry.name: entry for entry in catalog().values() if entry.role == "released"}

default_cfgs = generate_default_cfgs(
    {**{name: pretrained_cfg(entry) for name, entry in _RELEASED.items()}, "gpunet": {"first_conv": "conv_stem"}}
)


def _brings_weights(cfg: Any) -> bool:
    """Whether a configuration handed over by timm says itself where weights are: a hub id, a folder, a file."""
    if cfg is None or isinstance(cfg, str):
        return False
    values = cfg if isinstance(cfg, dict) else vars(cfg)
    return bool(values.get("source") or values.get("file") or values.get("state_dict"))


def _entry_point(entry: Entry) -> Callable[..., nn.Module]:
    spec = cast(NetworkSpec, entry.spec)

    def create(pretrained: bool = False, **kwargs: Any) -> nn.Module:
        cfg, overlay = kwargs.get("pretrained_cfg"), kwargs.get("pretrained_cfg_overlay")
        if _brings_weights(cfg) or _brings_weights(overlay):
            return gpunet_from_spec(spec, variant=entry.name, pretrained=pretrained, **kwargs)
        return model_from_entry(entry, pretrained=pretrained, **kwargs).train()

    create.__name__ = create.__qualname__ = entry.name
    create.__doc__ = f"{entry.name}: {entry.top1_percent} % top-1 on ImageNet at {entry.input_px} px."
    return create


for _entry in _RELEASED.values():
    globals()[_entry.name] = register_model(_entry_point(_entry))


@register_model
def gpunet(
    pretrained: bool = False, *, spec: NetworkSpec | dict[str, Any] | str | Path | None = None, **kwargs: Any
) -> nn.Module:
    """A GPUNet of any spec: a NetworkSpec, its dict, its JSON text, or the path of a JSON file.

    Raises:
        InvalidArgumentError: (a ValueError) no spec is given, or weights are asked for that nobody names.
    """
    if spec is None:
        raise InvalidArgumentError(
            "timm.create_model('gpunet') needs spec=...",
            "Give a NetworkSpec, its dict, its JSON text or a file's path.",
        )
    brings = _brings_weights(kwargs.get("pretrained_cfg")) or _brings_weights(kwargs.get("pretrained_cfg_overlay"))
    if pretrained and not brings:
        raise InvalidArgumentError(
            "a spec has no weights of its own, but pretrained=True was given.",
            "Pass pretrained=False, or checkpoint_path=FILE, or load an entry by name.",
        )
    if not brings:
        kwargs.pop("pretrained_cfg", None)  # timm's default is another resolution than the spec's
    return gpunet_from_spec(spec, pretrained=pretrained, **kwargs)
