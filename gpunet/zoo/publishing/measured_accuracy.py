"""An accuracy that somebody measured, read from a file: what `gpunet eval --json` prints, or an entry's `accuracy`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from gpunet.core.console import note
from gpunet.core.json_files import checked_json
from gpunet.errors import EntryError
from gpunet.model.entry import Accuracy

_HINT = "It is what 'gpunet eval MODEL --data DATA --json > FILE' writes, or an object as an entry's 'accuracy'."


def accuracy_from_file(path: str | Path, model: str) -> Accuracy:
    """The accuracy in a JSON file.

    Args:
        path: of the file.
        model: as it was scored: of several in a file it chooses one.

    Raises:
        EntryError: (a ValueError) the file holds no accuracy, or those of several models and none of this name.
    """
    path = Path(path)
    said = checked_json(path, error=EntryError, hint=_HINT)
    if not isinstance(said, dict) or not said:
        raise EntryError(f"{path} holds no accuracy.", _HINT)
    if not isinstance(said.get("top1_percent"), Mapping) and "top1_percent" in said:
        return _stated(path, said)
    scored = {str(name): each for name, each in said.items() if isinstance(each, Mapping) and "top1_percent" in each}
    if not scored:
        raise EntryError(f"{path} holds no accuracy.", _HINT)
    if model not in scored and len(scored) > 1:
        raise EntryError(
            f"{path} holds the accuracies of {', '.join(scored)}, and none of {model}.",
            "Score the network alone, or name it as it was scored.",
        )
    name = model if model in scored else next(iter(scored))
    if name != model:
        note(f"{path} is of {name}: it is taken for the accuracy of {model}.")
    return _scored(path, name, scored[name])


def _stated(path: Path, said: dict[str, Any]) -> Accuracy:
    known = [each.name for each in fields(Accuracy)]
    unknown, missing = sorted(set(said) - set(known)), sorted({"dataset", "source"} - set(said))
    if unknown or missing:
        fault = f"has the unknown key {unknown[0]!r}" if unknown else f"does not say {missing[0]!r}"
        raise EntryError(f"{path} {fault}.", f"An accuracy's keys are {', '.join(known)}. {_HINT}")
    return Accuracy(**said)


def _scored(path: Path, name: str, said: Mapping[str, Any]) -> Accuracy:
    missing = [key for key in ("data", "images", "runtime", "runtime_version", "precision") if key not in said]
    if missing:
        raise EntryError(f"{path} does not say {missing[0]!r} of {name}.", _HINT)
    how = f"{said['runtime']} {said['runtime_version']}, {said['precision']}, {said['images']} images"
    integers = "int8" if said["precision"] == "int8" else ""
    return Accuracy(
        said["top1_percent"], said["data"], f"gpunet eval {name}: {how}", said.get("top5_percent"), integers
    )
