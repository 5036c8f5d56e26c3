"""What an ONNX file says of itself: which network, of which spec, and how pictures are prepared for it."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpunet.core.json_files import parsed_json
from gpunet.errors import InvalidArgumentError
from gpunet.runtime.batch import BatchProfile

if TYPE_CHECKING:
    from torch import nn

PREPROCESSING = "gpunet.preprocessing"
"""The property that says how a picture becomes the network's input."""


def properties_of(
    model: nn.Module, batch: BatchProfile, shape: tuple[int, int, int], metadata: Mapping[str, Any] | None
) -> dict[str, str]:
    """The metadata properties of a file, text by name.

    Args:
        model: its `entry` (zoo), `spec` and timm's `pretrained_cfg` are read, as far as it has them.
        batch: the batch sizes that the file takes.
        shape: channels, height and width of an image.
        metadata: more; in place of the model's own where the names are equal. A value that is no text is written as
            JSON.

    Raises:
        InvalidArgumentError: (a ValueError) a value is neither text nor plain JSON.
    """
    entry, spec = getattr(model, "entry", None), getattr(model, "spec", None)
    cfg = getattr(model, "pretrained_cfg", None) or {}
    name = entry.name if entry is not None else cfg.get("architecture") or type(model).__name__
    try:
        version = importlib.metadata.version("gpunet")
    except importlib.metadata.PackageNotFoundError:
        version = "unknown"
    values: dict[str, Any] = {"gpunet.version": version, "gpunet.model": str(name), "gpunet.batch": asdict(batch)}
    if entry is not None:
        values["gpunet.entry"] = entry.name
    if spec is not None:
        values.update({"gpunet.spec": spec.to_json(), "gpunet.spec_sha256": spec.sha256})
    if entry is not None or spec is not None or cfg:
        values[PREPROCESSING] = preprocessing(model, shape)
    values.update(metadata or {})
    texts = {}
    for key, value in values.items():
        try:
            texts[key] = value if isinstance(value, str) else json.dumps(value)
        except (TypeError, ValueError) as error:
            raise InvalidArgumentError(
                f"metadata must be text or plain JSON types, but {key!r} is a {type(value).__qualname__}: {error}"
            ) from None
    return texts


def preprocessing(model: nn.Module, shape: tuple[int, int, int]) -> dict[str, Any]:
    """How a picture becomes this network's input, as timm's data configuration says it; plain JSON types."""
    from timm.data import resolve_model_data_config

    config = resolve_model_data_config(model)
    return {
        "input_size": list(shape),
        "mean": [float(value) for value in config["mean"]],
        "std": [float(value) for value in config["std"]],
        "interpolation": config["interpolation"],
        "crop_pct": config["crop_pct"],
    }


def preprocessing_of_file(path: Path) -> dict[str, Any] | None:
    """How an exported file takes pictures: by its sidecar, or its own metadata (ONNX); None where neither says."""
    from gpunet.runtime.sidecar import read_sidecar, sidecar_path

    if sidecar_path(path).is_file():
        said = read_sidecar(path, check=False).preprocessing
        if said is not None:
            return dict(said)
    if path.suffix.lower() != ".onnx":
        return None
    import onnx

    properties = {each.key: each.value for each in onnx.load(path, load_external_data=False).metadata_props}
    found: dict[str, Any] | None = parsed_json(properties.get(PREPROCESSING, "null"))
    return found
