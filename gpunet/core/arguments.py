"""Checks of arguments that tiers, stratifications and optimisers share."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np

from gpunet.errors import InvalidArgumentError


def checked_integer(name: str, value: object, least: int, most: int | None = None) -> int:
    """An integer, Python's or NumPy's, as Python's.

    Raises:
        InvalidArgumentError: it is none, or lies outside.
    """
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, np.integer))
        or value < least
        or (most is not None and value > most)
    ):
        limits = f"of {least:,} or more" if most is None else f"from {least:,} to {most:,}"
        raise InvalidArgumentError(f"{name} must be an integer {limits}, but got {value!r}.")
    return int(value)


def checked_time(name: str, value_ms: object) -> float:
    """A time in ms.

    Raises:
        InvalidArgumentError: it is no number from 0 up.
    """
    if not _is_time(value_ms):
        raise InvalidArgumentError(f"{name} must be numbers of ms from 0 up, but got {value_ms!r}.")
    return float(cast("float", value_ms))


def checked_bounds(bounds_ms: object) -> tuple[float, ...]:
    """Bounds that rise from 0 or more, as Python's floats; the last may be infinite.

    Args:
        bounds_ms: a sequence or an array of numbers.

    Raises:
        InvalidArgumentError: it is none, or they do not rise.
    """
    given = bounds_ms.tolist() if isinstance(bounds_ms, np.ndarray) else bounds_ms
    if not isinstance(given, Sequence) or not given or not all(_is_time(each) for each in given):
        raise InvalidArgumentError(f"bounds must be a list of numbers of ms from 0 up, but are {given!r}.")
    bounds = tuple(float(each) for each in given)
    if any(low >= high for low, high in itertools.pairwise(bounds)):
        raise InvalidArgumentError(f"bounds in ms must rise, but are {', '.join(f'{each:g}' for each in bounds)}.")
    return bounds


def _is_time(value: object) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool) and bool(value >= 0)


def check_version(data: object, name: str, version: int, keys: Sequence[str]) -> None:
    """Refuse what is not an object of this version, or lacks one of the keys."""
    if not isinstance(data, Mapping) or data.get(name) != version:
        got = data.get(name) if isinstance(data, Mapping) else data
        raise InvalidArgumentError(f"{name} must be {version}, but is {got!r}.", "A newer gpunet may have written it.")
    for key in keys:
        if key not in data:
            raise InvalidArgumentError(f"{name} {version} has {', '.join(keys)}, but {key} is missing.")
