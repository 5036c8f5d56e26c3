"""Versioned formats: what is read must be of the version that this gpunet writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gpunet.errors import GpunetError, SpecError


def body_of(
    data: object,
    what: str,
    key: str,
    version: int,
    *,
    keys: Sequence[str] = (),
    implied: bool = False,
    error: type[GpunetError] = SpecError,
    where: str = "",
) -> dict[str, Any]:
    """The fields of a versioned object, without its version.

    Args:
        data: as JSON gives it.
        what: it is, in a word: 'spec'.
        key: of the version: 'spec_version'.
        version: that this gpunet writes.
        keys: that must be there.
        implied: whether an object without a version is of this one.
        error: the class that is raised.
        where: what the message begins with, such as the file.

    Raises:
        SpecError: (or `error`) it is no object, of another version, or lacks a key.
    """
    prefix = f"{where}: " if where else ""
    if not isinstance(data, Mapping):
        raise error(f"{prefix}{what}: {data!r:.80} is not an object")
    body = dict(data)
    found = body.pop(key, version if implied else None)
    if found != version:
        raise error(f"{prefix}{key}: {found!r:.80} is not {version}", other_version(what, found, version))
    for name in keys:
        if name not in body:
            raise error(f"{prefix}{name}: missing", f"A {what} has {', '.join(keys)}.")
    return body


def other_version(what: str, found: object, version: int) -> str:
    """The hint for a format of another version."""
    if isinstance(found, int) and found > version:
        return f"A newer gpunet wrote this {what}: upgrade gpunet."
    return f"This gpunet reads version {version}: write the {what} anew."
