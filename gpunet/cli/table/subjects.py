"""What the commands of `gpunet table` are asked about: models, by name or by file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gpunet.errors import InvalidArgumentError

if TYPE_CHECKING:
    from gpunet.latency.layers.keys import LayerKey
    from gpunet.model.spec import NetworkSpec


def spec_named(name: str, zoo: Sequence[str] | None = None) -> NetworkSpec:
    """The spec of a zoo entry, or of a JSON file.

    Raises:
        InvalidArgumentError: the entry has none.
    """
    from gpunet.model.spec import NetworkSpec
    from gpunet.zoo.catalog import entry_named

    spec = NetworkSpec.parse(Path(name)) if name.endswith(".json") else entry_named(name, zoo).spec
    if spec is None:
        raise InvalidArgumentError(
            f"{name} has no spec: only networks of the GPUNet family have layer keys.", "Measure it: gpunet bench."
        )
    return spec


def keys_of_models(names: Sequence[str], num_classes: int) -> list[LayerKey]:
    """The layers of these models, each once."""
    from gpunet.latency.layers.convolutional import keys_from_spec

    specs = [spec_named(name) for name in names]
    return list(dict.fromkeys(key for spec in specs for key in keys_from_spec(spec, num_classes=num_classes)))
