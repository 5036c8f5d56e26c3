"""The file of one fingerprint's measurements: versioned JSON, written atomically, set aside when damaged."""

from __future__ import annotations

import contextlib
import json
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

from gpunet.core import files
from gpunet.core.json_files import parsed_json
from gpunet.core.machine import Fingerprint
from gpunet.errors import InvalidArgumentError, RecordsError
from gpunet.runtime.measurement import Measurement

FORMAT, FORMAT_VERSION = "gpunet-measurements", 1


class DamagedRecordsWarning(UserWarning):
    """A file of this machine's records could not be read; it was set aside, not deleted."""


def records_path(here: Fingerprint) -> Path:
    """Where the records of a fingerprint are kept."""
    return files.home() / "measurements" / f"{here.id}.json"


@contextlib.contextmanager
def accessible(path: Path) -> Iterator[None]:
    """An OSError in the block as a RecordsError (a RuntimeError), with the folder and how to choose another."""
    try:
        yield
    except OSError as error:
        raise RecordsError(
            f"the latency records of this machine cannot be kept in {path.parent}: {error.strerror or error}.",
            "Set GPUNET_HOME to a folder that can be written.",
        ) from error


def read_or_empty(path: Path, here: Fingerprint) -> dict[str, Measurement]:
    """The measurements by key; none where there is no file or a damaged one. For readers without the lock."""
    try:
        return _read(path, here)
    except _UnreadableError:
        return {}


def read_or_set_aside(path: Path, here: Fingerprint) -> dict[str, Measurement]:
    """The measurements by key; a damaged file is renamed, with a DamagedRecordsWarning. For the lock's holder."""
    try:
        return _read(path, here)
    except _UnreadableError as error:
        number = 1
        while (aside := path.with_name(f"{path.stem}.damaged-{number}.json")).exists():
            number += 1
        with accessible(path):
            path.rename(aside)
        warnings.warn(
            f"the latency records in {path} cannot be read: {error}. They were moved to {aside}; the networks are "
            "measured again.",
            DamagedRecordsWarning,
            stacklevel=3,
        )
        return {}


def write(path: Path, here: Fingerprint, found: Mapping[str, Measurement]) -> None:
    """Write all measurements of a fingerprint, atomically."""
    body = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "fingerprint": here.to_dict(),
        "records": {key: measurement.to_dict() for key, measurement in found.items()},
    }
    with accessible(path):
        files.write_text(path, json.dumps(body, indent=1) + "\n")


class _UnreadableError(ValueError):
    """Why a records' file cannot be read."""


def _read(path: Path, here: Fingerprint) -> dict[str, Measurement]:
    """The measurements in a records' file by key; none where there is no file."""
    try:
        with accessible(path):
            if not path.exists():
                return {}
            text = path.read_text(encoding="utf-8")
        data = parsed_json(text)
    except ValueError as error:  # not JSON, or not UTF-8
        raise _UnreadableError(f"it is not JSON ({error})") from None
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise _UnreadableError(f"it does not say that its format is {FORMAT!r}")
    if data.get("format_version") != FORMAT_VERSION:
        version = data.get("format_version")
        raise _UnreadableError(f"its format_version is {version!r}, and this gpunet reads {FORMAT_VERSION}")
    if data.get("fingerprint") != here.to_dict():
        raise _UnreadableError(f"it is of another machine, runtime or number of threads ({data.get('fingerprint')})")
    if not isinstance(data.get("records"), dict):
        raise _UnreadableError("it has no records")
    try:
        found = {key: Measurement.from_dict(value) for key, value in data["records"].items()}
    except InvalidArgumentError as error:
        raise _UnreadableError(error.message) from None
    for key, measurement in found.items():
        if not measurement.latency_ms > 0 or not key.endswith(f" batch {measurement.conditions.get('batch_size')}"):
            raise _UnreadableError(f"its record {key!r} contradicts itself")
    return found
