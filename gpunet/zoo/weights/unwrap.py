"""What training scripts put around weights: containers, averages, and the names of wrappers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from torch import Tensor

T = TypeVar("T")

# Where several stand in one file the averaged weights count: they are what is evaluated.
CONTAINERS = (
    "state_dict_ema", "model_ema", "ema_state_dict", "ema", "params_ema", "state_dict", "model_state_dict", "model",
    "params",
)  # fmt: skip
WRAPPERS = ("module", "_orig_mod", "model")  # of DataParallel and AveragedModel, torch.compile, Lightning
_ANYWHERE = ("module", "_orig_mod")  # a part of a network may be wrapped; one that is called 'model' may be its own
COUNTER = "num_batches_tracked"  # of BatchNorm: how many batches it has seen, which inference does not use


def contained(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """The state dict in a training checkpoint, or what was given where that is one.

    Under another name it counts where nothing else beside it could be meant.
    """
    while True:
        inside = next((content[key] for key in CONTAINERS if isinstance(content.get(key), Mapping)), None)
        if inside is None:
            named = [each for each in content.values() if _is_state(each)]
            return named[0] if len(named) == 1 and not _is_state(content, whole=False) else content
        content = inside


def _is_state(content: object, *, whole: bool = True) -> bool:
    """Whether it holds tensors by name, and, where `whole`, nothing else."""
    if not isinstance(content, Mapping) or not content:
        return False
    tensors = [isinstance(key, str) and isinstance(each, Tensor) for key, each in content.items()]
    return all(tensors) if whole else any(tensors)


def unwrapped(state: Mapping[str, T]) -> dict[str, T]:
    """A state dict under the network's own names, without what an average counts.

    Raises:
        KeyError: two tensors would have one name, which it gives.
    """
    found = {name: value for name, value in state.items() if name != "n_averaged"}
    while found and (first := shared_part(found)) in WRAPPERS:
        found = {name[len(first) + 1 :]: value for name, value in found.items()}
    bare: dict[str, T] = {}
    for name, value in found.items():
        own = ".".join(part for part in name.split(".") if part not in _ANYWHERE)
        if own in bare:
            raise KeyError(own)
        bare[own] = value
    return bare


def shared_part(state: Mapping[str, Any]) -> str:
    """The first part of all names; '' where they differ."""
    firsts = {name.partition(".")[0] if "." in name else "" for name in state}
    return firsts.pop() if len(firsts) == 1 else ""
