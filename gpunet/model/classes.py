"""Classes: what number a name has in a model, and what name a number."""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

IMAGENET_CLASSES = 1000
_OF_IMAGENET = re.compile(r"in(1k|12k|21k|22k)(_[a-z0-9]+)?$")  # as timm's tags end: 'a1_in1k', 'sw_in12k_ft_in1k'


def class_numbers(names: Sequence[str], num_classes: int, known: Sequence[str] | None = None) -> tuple[int, ...] | None:
    """The number of each class in a model; None where that cannot be told.

    Args:
        names: of the classes, in order.
        num_classes: of the model.
        known: names of the model's own classes; they decide. Else ImageNet's do, for a model of as many, else the
            order, where there are as many names.
    """
    found = numbers_by_name(names, num_classes, known)
    if found is not None or (known and len(known) == num_classes):
        return found
    return tuple(range(num_classes)) if len(names) == num_classes else None


def numbers_by_name(
    names: Sequence[str], num_classes: int, known: Sequence[str] | None = None
) -> tuple[int, ...] | None:
    """As `class_numbers`, but never by the order alone."""
    words = imagenet_words(num_classes)
    if not known or len(known) != num_classes:
        return (
            None if num_classes != IMAGENET_CLASSES else _places(names, _synsets(num_classes)) or _places(names, words)
        )
    if tuple(names) == tuple(known):  # two classes may have one name: ImageNet has two cranes
        return tuple(range(num_classes))
    found = _places(names, known)
    return _places(names, _synsets(num_classes)) if found is None and tuple(known) == words else found


def _places(names: Sequence[str], known: Sequence[str] | None) -> tuple[int, ...] | None:
    """The place of each name, which must be there once."""
    once = {name for name, count in Counter(known or ()).items() if count == 1}
    places = {name: number for number, name in enumerate(known or ()) if name in once}
    return tuple(places[name] for name in names) if set(names) <= places.keys() else None


@functools.cache
def imagenet_words(count: int) -> tuple[str, ...] | None:
    """ImageNet's words for its classes, of the set of so many; None where there is none."""
    info = _imagenet(count)
    return None if info is None else tuple(map(str, info.label_descriptions()))


@functools.cache
def _synsets(count: int) -> tuple[str, ...] | None:
    info = _imagenet(count)
    return None if info is None else tuple(map(str, info.label_names()))


def _imagenet(count: int) -> Any:
    from timm.data import ImageNetInfo, infer_imagenet_subset

    subset = infer_imagenet_subset({"num_classes": count})
    return None if subset is None else ImageNetInfo(subset)


def classes_of(model: nn.Module) -> tuple[str, ...] | None:
    """Names of a network's classes in order, as its entry, its weights' file or timm says them; None where none does.

    ImageNet's are those of its words, and only where the network is said to be ImageNet's: as many classes are none.
    """
    from gpunet.model.preprocessing import num_classes_of

    count = num_classes_of(model)
    entry: Any = getattr(model, "entry", None)
    cfg: Any = getattr(model, "pretrained_cfg", None) or {}
    said: Any = getattr(model, "class_names", None) or (cfg.get("label_names") if entry is None else entry.classes)
    if said is None and cfg.get("num_classes", count) == count and _of_imagenet(entry, cfg):
        said = imagenet_words(count)
    return tuple(said) if said and len(said) == count else None


def _of_imagenet(entry: Any, cfg: Any) -> bool:
    """Whether a network without names of its own is said to tell ImageNet's classes apart."""
    if entry is None:
        return bool(_OF_IMAGENET.search(cfg.get("tag") or ""))
    if entry.role != "own":
        return True
    if entry.accuracy is not None:
        return "imagenet" in entry.accuracy.dataset.lower()
    return entry.weights is None and bool(_OF_IMAGENET.search(entry.architecture or ""))


def class_names(count: int, names: Sequence[str] | None = None) -> tuple[str, ...]:
    """The name of each class of a model: those that are known, else 'class 0', 'class 1', ...

    Args:
        count: of its classes.
        names: those that are known; others than `count` are not the model's.
    """
    return tuple(names) if names and len(names) == count else tuple(f"class {number}" for number in range(count))
