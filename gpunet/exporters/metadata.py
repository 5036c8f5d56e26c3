"""What an exported file says of itself: which network, of which spec, and how pictures are prepared for it."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from gpunet.core.json_files import parsed_json
from gpunet.errors import FAILED_EXIT_CODE, InvalidArgumentError
from gpunet.model.classes import classes_of
from gpunet.model.origin import NOT_SAID, WeightsOrigin, origin_of
from gpunet.runtime.batch import BatchProfile
from gpunet.runtime.sidecar import Sidecar, read_sidecar, sidecar_path

if TYPE_CHECKING:
    from torch import nn

_Made = TypeVar("_Made")

PREPROCESSING = "gpunet.preprocessing"
"""The property that says how a picture becomes the network's input."""
CLASSES = "gpunet.classes"
"""The property with the names of the classes, in order, where the network's entry says them."""
WEIGHTS_SHA256 = "gpunet.weights_sha256"
"""The property by which weights are known as those that a file was made of."""


WEIGHTS = "gpunet.weights"
"""The property that says whether they are trained, from where, and their licence: `gpunet.model.origin`."""
REPARAMETERIZED = "gpunet.reparameterized"
"""The property of a network whose branches are fused: 'true'."""


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
    values: dict[str, Any] = {"gpunet.version": version, "gpunet.model": str(name), "gpunet.batch": asdict(batch),
                              WEIGHTS: origin_of(model).to_dict(), WEIGHTS_SHA256: weights_sha256(model)}  # fmt: skip
    if entry is not None:
        values["gpunet.entry"] = entry.name
    if classes := classes_of(model):
        values[CLASSES] = list(classes)
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
    """How a picture becomes this network's input, see `gpunet.model.preprocessing.image_config`; plain JSON types."""
    from gpunet.model.preprocessing import image_config

    config = image_config(model)
    return {
        "input_size": list(shape),
        "mean": [float(value) for value in config["mean"]],
        "std": [float(value) for value in config["std"]],
        "interpolation": config["interpolation"],
        "crop_pct": config["crop_pct"],
        "crop_mode": config["crop_mode"],
    }


def weights_sha256(model: nn.Module) -> str:
    """SHA-256 of a network's weights and statistics in float32, with their names and shapes, in hex."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        if tensor.is_floating_point():
            digest.update(f"{name} {tuple(tensor.shape)}\n".encode())
            digest.update(tensor.detach().cpu().float().contiguous().numpy().tobytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class FileFacts:
    """What an exported file says of itself: by its sidecar, else by its own metadata (ONNX, OpenVINO IR).

    Args:
        sidecar: None where there is none.
        model: name of the zoo's entry.
        spec, spec_sha256: of the network, the spec as JSON; an engine's file has no room for it.
        weights: whether they are trained, from where, and their licence.
        weights_sha256: see `weights_sha256`.
        batch: the batch sizes that it takes.
        preprocessing: how a picture becomes its input.
        classes: their names, in order.
    """

    sidecar: Sidecar | None = None
    model: str | None = None
    spec: str | None = None
    spec_sha256: str | None = None
    weights: WeightsOrigin = NOT_SAID
    weights_sha256: str | None = None
    batch: BatchProfile | None = None
    preprocessing: Mapping[str, Any] | None = None
    classes: tuple[str, ...] = ()


def facts_of_file(path: Path, *, agreeing: bool = False) -> FileFacts:
    """What an exported file says of itself.

    Args:
        path: the file.
        agreeing: what it says itself of its images and classes must be what its sidecar says.

    Raises:
        InvalidArgumentError: (a ValueError) its sidecar cannot be read as one, it is damaged, or both do not agree.
    """
    sidecar = read_sidecar(path, check=False) if sidecar_path(path).is_file() else None
    said = {name.removeprefix("gpunet."): value for name, value in _own_metadata(path).items()}
    facts = FileFacts(
        sidecar, said.get("entry"), said.get("spec"), said.get("spec_sha256"),
        _read(path, said, "weights", WeightsOrigin.from_dict) or NOT_SAID, said.get("weights_sha256"),
        _read(path, said, "batch", lambda sizes: BatchProfile(**sizes)),
        _read(path, said, "preprocessing", _object), _read(path, said, "classes", _names) or (),
    )  # fmt: skip
    if sidecar is None:
        return facts
    if agreeing:
        _check_agreeing(path, facts, sidecar)
    return FileFacts(
        sidecar, sidecar.model or facts.model, facts.spec, sidecar.spec_sha256 or facts.spec_sha256,
        WeightsOrigin.from_dict(sidecar.weights) if "state" in sidecar.weights else facts.weights,
        sidecar.weights_sha256 or facts.weights_sha256,
        BatchProfile(*sidecar.batch), sidecar.preprocessing or facts.preprocessing, sidecar.classes or facts.classes,
    )  # fmt: skip


def _read(path: Path, said: Mapping[str, str], name: str, made: Callable[[Any], _Made]) -> _Made | None:
    """A property that is JSON, as what is made of it; None where it is not there."""
    try:
        value = parsed_json(said.get(name, "null"))
        return None if value is None else made(value)
    except (TypeError, ValueError) as error:  # parsed_json's and BatchProfile's errors are of the second
        raise InvalidArgumentError(
            f"{path}: its gpunet.{name} metadata cannot be read: {str(error).splitlines()[0]}",
            "Export it again.",
            exit_code=FAILED_EXIT_CODE,
        ) from None


def _object(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"it is {value!r}, not an object.")
    return value


def _names(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise TypeError(f"it is {value!r}, not a list of names.")
    return tuple(value)


def _check_agreeing(path: Path, own: FileFacts, sidecar: Sidecar) -> None:
    """A sidecar of another file would name other classes, or have pictures prepared otherwise, in silence."""
    pairs = {"classes": (own.classes, sidecar.classes), "images": (own.preprocessing, sidecar.preprocessing)}
    for what, (inside, beside) in pairs.items():
        if inside and beside and inside != beside:
            raise InvalidArgumentError(
                f"{path} says other {what} than {sidecar_path(path).name} beside it.",
                "One of them is another file's: delete the .json, or export again.",
                exit_code=FAILED_EXIT_CODE,
            )


def _own_metadata(path: Path) -> dict[str, str]:
    if path.suffix.lower() == ".xml":
        from gpunet.runtime.openvino.format import metadata_of

        return metadata_of(path)
    if path.suffix.lower() != ".onnx":
        return {}
    from gpunet.runtime.onnx_precision import read_onnx

    return {each.key: each.value for each in read_onnx(path).metadata_props}
