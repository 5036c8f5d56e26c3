"""What the commands of `gpunet table` are asked about: spaces and models, by name or by file."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gpunet.errors import InvalidArgumentError

if TYPE_CHECKING:
    from gpunet.latency.layers import LayerKey
    from gpunet.search.space import SearchSpace
    from gpunet.spec import NetworkSpec


def load_space(name: str, resolutions_px: Sequence[int] | None) -> SearchSpace:
    """The space of that name or file, at some of its resolutions.

    Raises:
        InvalidArgumentError: there is none, or it lacks a resolution.
    """
    from gpunet.search.paper import PAPER_SPACE, RELEASE_SPACE
    from gpunet.search.space import space_from_dict

    space: SearchSpace
    if name in ("paper", "release"):
        space = PAPER_SPACE if name == "paper" else RELEASE_SPACE
    else:
        try:
            space = space_from_dict(json.loads(Path(name).expanduser().read_text(encoding="utf-8")))
        except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise InvalidArgumentError(
                f"--space {name}: {error}", "Give 'paper', 'release', or the JSON file of a space's to_dict()."
            ) from None
    if not resolutions_px:
        return space
    known = getattr(space, "resolutions_px", ())
    odd = [px for px in resolutions_px if px not in known]
    if odd:
        raise InvalidArgumentError(f"--resolutions: {odd[0]} is not one of {', '.join(map(str, known))}.")
    return dataclasses.replace(space, resolutions_px=tuple(sorted(set(resolutions_px))))  # type: ignore[type-var]


def spec_named(name: str, zoo: Sequence[Path] | None = None) -> NetworkSpec:
    """The spec of a zoo entry, or of a JSON file.

    Raises:
        InvalidArgumentError: the entry has none.
    """
    from gpunet.spec import NetworkSpec
    from gpunet.zoo.catalog import entry_named

    spec = NetworkSpec.parse(Path(name)) if name.endswith(".json") else entry_named(name, zoo).spec
    if spec is None:
        raise InvalidArgumentError(
            f"{name} has no spec: only networks of the GPUNet family have layer keys.", "Measure it: gpunet bench."
        )
    return spec


def keys_of_models(names: Sequence[str], num_classes: int) -> list[LayerKey]:
    """The layers of these models, each once."""
    from gpunet.latency.layers import keys_from_spec

    specs = [spec_named(name) for name in names]
    return list(dict.fromkeys(key for spec in specs for key in keys_from_spec(spec, num_classes=num_classes)))
