"""Classes: what number a name has in a model."""

from __future__ import annotations

from collections.abc import Sequence

IMAGENET_CLASSES = 1000


def class_numbers(names: Sequence[str], num_classes: int) -> dict[str, int] | None:
    """Number of each class in a model: by WordNet name for ImageNet's, by order where all are there, else None."""
    if num_classes == IMAGENET_CLASSES:
        from timm.data import ImageNetInfo

        synsets = {name: number for number, name in enumerate(ImageNetInfo("imagenet-1k").label_names())}
        if all(name in synsets for name in names):
            return {name: synsets[name] for name in names}
    return {name: number for number, name in enumerate(names)} if len(names) == num_classes else None
