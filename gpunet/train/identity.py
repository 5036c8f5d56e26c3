"""What a run must have in common with the one that it goes on with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from torch import nn

from gpunet.model.preprocessing import num_classes_of
from gpunet.train.data.datasets import ImageData
from gpunet.train.recipe import Recipe


def identity_of(
    model: nn.Module, recipe: Recipe, data: ImageData, validation: ImageData | None, seed: int, processes: int
) -> dict[str, Any]:
    """Network, recipe, data and seed, as plain JSON types."""
    spec = getattr(model, "spec", None)
    cfg = getattr(model, "pretrained_cfg", None) or {}
    return {
        "run_version": 1,
        "network": spec.to_dict() if spec is not None else str(cfg.get("architecture") or type(model).__name__),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "classes": num_classes_of(model),
        "recipe": recipe.to_dict(),
        "global_batch": recipe.global_batch(processes),
        "data": identity_of_data(data),
        "validation": None if validation is None else identity_of_data(validation),
        "seed": seed,
    }


def identity_of_data(data: ImageData) -> dict[str, Any]:
    """Name, number of images, classes, and a hash of which images there are and of which class."""
    return {
        "name": data.name,
        "images": len(data),
        "class_names": None if data.classes is None else list(data.classes),
        "listing_sha256": listing_sha256(data),
    }


def listing_sha256(data: ImageData) -> str | None:
    """SHA-256 over names and classes of the images, in order; None where a dataset does not list them."""
    if data.streamed:
        return None
    samples = getattr(getattr(data.dataset, "reader", data.dataset), "samples", None)
    known = getattr(data.dataset, "targets", None) if samples is None else [sample[1] for sample in samples]
    if known is None:
        return None
    digest = hashlib.sha256()
    for index in range(len(data)):
        row = data.row(index)
        name = row if samples is None else data.file(index)
        digest.update(f"{name}\0{known[row]}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def differing(before: Any, now: Any, path: str = "") -> tuple[str, Any, Any] | None:
    """The first value in which two differ: its path as `recipe.epochs`, before, and now; None where they are equal."""
    now = json.loads(json.dumps(now))
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for name in dict.fromkeys([*now, *(before if path else ())]):
            found = differing(before.get(name), now.get(name), f"{path}.{name}" if path else name)
            if found is not None:
                return found
        return None
    return None if before == now else (path, before, now)
