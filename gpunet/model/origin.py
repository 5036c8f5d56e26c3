"""Where a network's weights are from: trained or drawn at random, of which source, under which licence.

What builds a network says it; it holds as long as the weights are those that it was said of.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpunet.core.files import not_a
from gpunet.errors import CheckpointError, WeightsError

if TYPE_CHECKING:
    from torch import Tensor, nn

TRAINED, UNTRAINED, NOT_STATED = "trained", "untrained", "not stated"
_CLASSES = "gpunet.classes"  # in a safetensors file's header
_SAMPLED = 256  # values of each tensor: training moves them all


@dataclass(frozen=True)
class WeightsOrigin:
    """Where weights are from.

    Args:
        state: TRAINED, UNTRAINED or NOT_STATED.
        source: in words: 'the weights of gpunet_1', 'drawn at random'.
        licence: of the weights; 'not stated' where nobody says.
    """

    state: str = NOT_STATED
    source: str = NOT_STATED
    licence: str = NOT_STATED

    def to_dict(self) -> dict[str, str]:
        """Plain JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: object) -> WeightsOrigin:
        """What `to_dict` gave, and later versions may add to; what is not said is NOT_STATED."""
        said = data if isinstance(data, Mapping) else {}
        return cls(**{each.name: str(said.get(each.name, NOT_STATED)) for each in fields(cls)})


NOT_SAID = WeightsOrigin()
DRAWN = WeightsOrigin(UNTRAINED, "drawn at random")


def say_origin(model: nn.Module, origin: WeightsOrigin) -> None:
    """Note on a network where its weights, as they are now, are from."""
    model.weights_origin = origin, _sample(model)  # type: ignore[assignment]


def origin_of(model: nn.Module) -> WeightsOrigin:
    """Where a network's weights are from, as was said when they came; NOT_STATED once they are others."""
    said: Any = getattr(model, "weights_origin", None)
    if said is None:
        return NOT_SAID
    origin, sample = said
    if sample == _sample(model):
        return origin
    return WeightsOrigin(source=f"{origin.source}, and changed since")


def _sample(model: nn.Module) -> str:
    """A digest of some values of every tensor: milliseconds, where all take a tenth of a second."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        if tensor.is_meta:
            continue
        values = tensor.detach().flatten()
        values = values[:: max(1, len(values) // _SAMPLED)].cpu()
        if values.is_floating_point():
            values = values.float()
        digest.update(name.encode() + values.numpy().tobytes())
    return digest.hexdigest()


def weights_bytes(state: Mapping[str, Tensor], classes: Sequence[str] | None = None) -> bytes:
    """Tensors as a safetensors file, the same for the same; its header names the classes where they are known."""
    import safetensors.torch

    data = safetensors.torch.save(dict(state), {"format": "pt"})
    if not classes:
        return data
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    # safetensors writes several properties in any order.
    said = {**header.pop("__metadata__"), _CLASSES: json.dumps(list(classes))}
    text = json.dumps({"__metadata__": said, **header}, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[8 + size :]


def say_file(model: nn.Module, weights: str | Path, licence: str = NOT_STATED) -> None:
    """Note on a network that its weights are a file's, with the names of its classes where the file has them."""
    say_origin(model, WeightsOrigin(TRAINED, Path(weights).name, licence))
    if names := classes_of_weights(Path(weights)):
        model.class_names = names  # type: ignore[assignment]


def classes_of_weights(path: Path) -> tuple[str, ...]:
    """Names of the classes that the header of a safetensors file has; none where it has none.

    Raises:
        CheckpointError: (a RuntimeError) the file is damaged.
        WeightsError: (a RuntimeError) there is no such file, or it cannot be read.
    """
    path = path.expanduser()
    if path.suffix != ".safetensors":
        return ()
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as opened:
            header: Mapping[str, str] = opened.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise unusable_weights(path, error) from None
    try:
        names = json.loads(header.get(_CLASSES, "[]"))
    except ValueError:
        return ()
    return tuple(names) if isinstance(names, list) and all(isinstance(name, str) for name in names) else ()


def unusable_weights(path: Path, error: Exception) -> WeightsError:
    """The error for a file that safetensors cannot open."""
    if not path.is_file():
        return not_a("file", path, WeightsError, "Give a safetensors file.")
    if isinstance(error, OSError):
        return WeightsError(f"{path} cannot be read: {error.strerror or error}.", "Check its permissions.")
    with open(path, "rb") as file:
        known = known_kind(file.read(KIND_BYTES), safetensors=False)
    if known is not None:
        return CheckpointError(f"{path} is {known[0]}, not a safetensors file.", known[1])
    return CheckpointError(f"{path} is not a safetensors file, or is damaged: {error}.", "Fetch it again.")


KIND_BYTES = 64


def known_kind(head: bytes, *, safetensors: bool = True) -> tuple[str, str] | None:
    """What a file is that is often taken for one of weights, and what to do about it; None for any other.

    Args:
        head: its first KIND_BYTES.
        safetensors: whether these are such a file.
    """
    if head.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer", "It stands for the file: fetch that, by `git lfs pull`."
    if head.lstrip()[:1] == b"<":
        return "a web page", "Fetch the file itself, not the page about it."
    if head.startswith(b"\x1f\x8b"):
        return "packed by gzip", "Unpack it: gunzip."
    if safetensors and head[8:9] == b"{":
        return "a safetensors file", "Name it NAME.safetensors."
    return None
