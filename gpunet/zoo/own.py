"""Write an entry of one's own: its JSON and its weights in one folder, as `gpunet.load(..., zoo=FOLDER)` reads them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import nn

from gpunet.core.files import sha256_of, write_text
from gpunet.errors import EntryError
from gpunet.model.entry import Accuracy, check_entry_name
from gpunet.model.preprocessing import image_config, num_classes_of
from gpunet.zoo.catalog import Zoo, catalog
from gpunet.zoo.publishing.layout import ENTRY
from gpunet.zoo.reading import FORMAT, FORMAT_VERSION


def _said(accuracy: Accuracy) -> dict[str, Any]:
    """As JSON holds it: without the precision where it is floating point's, which nobody names."""
    return {key: value for key, value in asdict(accuracy).items() if value != ""}


def check_new_name(name: str, folder: str | Path, zoo: Zoo = None) -> None:
    """Raise EntryError unless an entry in `folder` may have this name: a plain word that no other entry has.

    Args:
        name: the entry's.
        folder: where it will be written; one that is there already may have the name.
        zoo: folders of one's own entries, beside the package's.
    """
    hint = "Give another: --name NAME, or another folder: -o DIR."
    try:
        check_entry_name(name)
    except EntryError as error:
        raise EntryError(error.message, f"{error.hint} {hint}") from None
    other = catalog(zoo).get(name)
    if other is not None and (other.folder is None or other.folder.resolve() != Path(folder).resolve()):
        raise EntryError(f"the zoo has a network {name!r} already: by this name nothing could load another.", hint)


def write_entry(
    folder: str | Path,
    name: str,
    model: nn.Module,
    weights: str | Path,
    *,
    accuracy: Accuracy | None = None,
    classes: Sequence[str] | None = None,
    licence: str = "not stated",
    note: str = "",
    sources: Sequence[str] = (),
) -> Path:
    """Write `folder/entry.json` for a network whose weights lie in that folder; returns its path.

    Args:
        folder: the entry's.
        name: unique in the zoo.
        model: a GPUNet, or a model of timm's.
        weights: a safetensors file in the folder.
        accuracy: with the data it was measured on and by what.
        classes: names of the classes, in order.
        licence, note, sources: see `Entry`.

    Raises:
        EntryError: (a ValueError) the name is no plain word, the weights are not in the folder, or timm does not say
            what the model is.
    """
    check_entry_name(name)
    folder, weights = Path(folder), Path(weights)
    if weights.parent.resolve() != folder.resolve() or not weights.is_file():
        raise EntryError(f"the weights of an entry must lie in its folder {folder}, but got {weights}.")
    spec = getattr(model, "spec", None)
    cfg: Any = getattr(model, "pretrained_cfg", None) or {}
    architecture = "gpunet" if spec is not None else cfg.get("architecture")
    if not architecture:
        raise EntryError(f"a {type(model).__name__} has no name in timm, so nothing could build it again.")
    model_args = getattr(model, "model_args", None)
    # With arguments of its own it is another network than the one that a tag's weights are of.
    tag = "" if spec is not None or model_args or not cfg.get("tag") else f".{cfg['tag']}"
    config = image_config(model)
    body: dict[str, Any] = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "name": name,
        "architecture": f"{architecture}{tag}",
        "num_classes": num_classes_of(model),
        "in_chans": int(config["input_size"][0]),
        "accuracy": None if accuracy is None else _said(accuracy),
        "preprocessing": {
            "input_px": int(config["input_size"][-1]),
            "crop_pct": float(config["crop_pct"]),
            "interpolation": config["interpolation"],
            "mean": [float(value) for value in config["mean"]],
            "std": [float(value) for value in config["std"]],
        },
        "weights": {"file": weights.name, "sha256": sha256_of(weights)},
        "licence": licence,
    }
    optional = {"classes": list(classes) if classes else None, "note": note, "sources": list(sources),
                "model_args": model_args,
                "spec": None if spec is None else spec.to_dict()}  # fmt: skip
    body |= {key: value for key, value in optional.items() if value}
    path = folder / ENTRY
    write_text(path, json.dumps(body, indent=2, ensure_ascii=False) + "\n")
    return path
