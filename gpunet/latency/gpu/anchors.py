"""Anchors: measurements on a GPU that correct the estimates of all other networks there, kept as a device's profile.

A profile is a file `gpu/<device>.json` in gpunet's home folder: what was measured, of which network and batch. The
last measurement of a network, batch size and precision counts.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from gpunet.core import files
from gpunet.core.arguments import checked_integer, checked_number
from gpunet.core.json_files import parsed_json
from gpunet.errors import RecordsError

_FORMAT = "gpunet-gpu-profile"


@dataclass(frozen=True)
class Anchor:
    """One measurement on a GPU.

    Args:
        network: among the known ones, ARCHITECTURE@PX; or a name for `kernels` of one's own.
        batch_size: images a run.
        precision: 'fp16'.
        latency_ms: of the whole batch, GPU compute time.
        source: who measured, for the record.
    """

    network: str
    batch_size: int
    precision: str
    latency_ms: float
    source: str = ""

    def __post_init__(self) -> None:
        checked_integer("batch_size", self.batch_size, 1)
        checked_number("latency_ms", self.latency_ms, 0, 1e9, above=True)


def profile_path(device: str) -> Path:
    """Where a device's anchors are kept, by its sheet's key."""
    return files.home() / "gpu" / f"{device}.json"


def read_anchors(device: str) -> tuple[Anchor, ...]:
    """The anchors of a device; none where nothing is kept.

    Raises:
        RecordsError: (a RuntimeError) its profile cannot be read.
    """
    path = profile_path(device)
    try:
        data = parsed_json(path.read_text(encoding="utf-8"))
        if data["format"] != _FORMAT:
            raise ValueError(f"its format is {data['format']!r:.40}")
        return tuple(Anchor(**each) for each in data["anchors"])
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise RecordsError(
            f"{path}: the profile of {device} cannot be read: {error}.", "Delete it, and give its logs again."
        ) from None


def add_anchors(device: str, anchors: Iterable[Anchor]) -> tuple[Anchor, ...]:
    """Keep anchors beside those of the device, in place of older ones of the same; returns all.

    Raises:
        RecordsError: (a RuntimeError) the profile cannot be read or written.
    """
    path = profile_path(device)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with files.lock(path):
            known = {(each.network, each.batch_size, each.precision): each for each in read_anchors(device)}
            known.update({(each.network, each.batch_size, each.precision): each for each in anchors})
            body = {"format": _FORMAT, "device": device, "anchors": [asdict(each) for each in known.values()]}
            files.write_text(path, json.dumps(body, indent=1) + "\n")
    except OSError as error:
        raise RecordsError(
            f"the profile of {device} cannot be kept in {path.parent}: {error.strerror or error}.",
            "Set GPUNET_HOME to a folder that can be written.",
        ) from error
    return tuple(known.values())
