"""Classes: what number a name has in a model, and what name a number."""

from __future__ import annotations

from collections.abc import Sequence

IMAGENET_CLASSES = 1000


def class_numbers(names: Sequence[str], num_classes: int, known: Sequence[str] | None = None) -> dict[str, int] | None:
    """Number of each class in a model; None where that cannot be told.

    Args:
        names: of the classes, in order.
        num_classes: of the model.
        known: names of the model's own classes; they decide. Else WordNet's do for ImageNet's, else the order, where
            there are as many.
    """
    if known and len(known) == num_classes:
        places = {name: number for number, name in enumerate(known)}
        return {name: places[name] for name in names} if set(names) <= set(places) else None
    if num_classes == IMAGENET_CLASSES:
        from timm.data import ImageNetInfo

        synsets = {name: number for number, name in enumerate(ImageNetInfo("imagenet-1k").label_names())}
        if all(name in synsets for name in names):
            return {name: synsets[name] for name in names}
    return {name: number for number, name in enumerate(names)} if len(names) == num_classes else None


def class_names(count: int, names: Sequence[str] | None = None) -> tuple[str, ...]:
    """The name of each class of a model.

    Args:
        count: of its classes.
        names: those that are known; others than `count` are not the model's. None for ImageNet's where there are as
            many (1,000, or those of its larger sets), else 'class 0', 'class 1', ...
    """
    if names and len(names) == count:
        return tuple(names)
    from timm.data import ImageNetInfo, infer_imagenet_subset

    subset = infer_imagenet_subset({"num_classes": count})
    if subset is None:
        return tuple(f"class {number}" for number in range(count))
    return tuple(map(str, ImageNetInfo(subset).label_descriptions()))
