"""Checks of arguments, Python's numbers and NumPy's alike: one rule for what a number is, for every room."""

from __future__ import annotations

import difflib
import itertools
import math
from collections.abc import Iterable, Sequence
from numbers import Integral, Real
from typing import Any, cast

from gpunet.errors import GpunetError, InvalidArgumentError

PRECISIONS = ("fp32", "fp16", "bf16", "int8")  # of a network that runs, and of its figures


def is_integer(value: object) -> bool:
    """Whether it is an integer; a bool is none."""
    return type(value) is int or (not isinstance(value, bool) and isinstance(value, Integral))


def is_number(value: object) -> bool:
    """Whether it is a finite number that a float can hold; a bool is none."""
    if type(value) is float:  # most are, and Python's classes of numbers are slow to ask
        return math.isfinite(value)
    if isinstance(value, bool) or not isinstance(value, Real):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer of hundreds of digits
        return False


def checked_integer(
    name: str, value: object, least: int, most: int | None = None, *, error: type[GpunetError] = InvalidArgumentError,
    hint: str = "",
) -> int:  # fmt: skip
    """An integer, Python's or NumPy's, as Python's.

    Args:
        name: of the argument.
        value: of the argument.
        least, most: bounds.
        error: the class that is raised.
        hint: what to do about it.

    Raises:
        InvalidArgumentError: (or `error`) it is none, or lies outside.
    """
    if not is_integer(value) or cast("int", value) < least or (most is not None and cast("int", value) > most):
        limits = f"of {least:,} or more" if most is None else f"from {least:,} to {most:,}"
        raise error(f"{name} must be an integer {limits}, but got {value!r}.", hint)
    return int(cast("Any", value))


def checked_number(
    name: str, value: object, least: float, most: float = math.inf, *, above: bool = False,
    error: type[GpunetError] = InvalidArgumentError, hint: str = "",
) -> float:  # fmt: skip
    """A finite number, as Python's float.

    Args:
        name: of the argument.
        value: of the argument.
        least, most: bounds.
        above: whether a value at `least` is out of range.
        error: the class that is raised.
        hint: what to do about it.

    Raises:
        InvalidArgumentError: (or `error`) it is none, or lies outside.
    """
    number = cast("float", value)
    if not is_number(value) or number < least or (above and number == least) or number > most:
        limits = f"above {least:g}" if above else f"of {least:g} or more"
        limits += "" if most == math.inf else f" and at most {most:g}"
        raise error(f"{name} must be a finite number {limits}, but got {value!r}.", hint)
    return float(number)


def checked_choice(name: str, value: str, choices: Iterable[str]) -> str:
    """One of the choices.

    Raises:
        InvalidArgumentError: it is none; the hint is one that comes close.
    """
    known = list(choices)
    if value not in known:
        close = difflib.get_close_matches(value, known, 1) if isinstance(value, str) else []
        hint = f"Did you mean {close[0]!r}?" if close else "Choose one of these."
        raise InvalidArgumentError(f"{name} must be one of {', '.join(known)}, but got {value!r}.", hint, nearest=close)
    return value


def checked_patterns(name: str, value: object) -> list[str]:
    """Patterns of names, with * and ? for any letters: one or several, as a list.

    Raises:
        InvalidArgumentError: it is none.
    """
    given: list[Any] = [value] if isinstance(value, str) or not isinstance(value, Sequence) else list(value)
    if not given or not all(isinstance(each, str) and each for each in given):
        raise InvalidArgumentError(f"{name} must be a pattern such as 'mobilenet*', or several, but got {value!r}.")
    return given


def checked_time(name: str, value_ms: object) -> float:
    """A time in ms, which may be infinite.

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
    given = bounds_ms.tolist() if hasattr(bounds_ms, "tolist") else bounds_ms
    if not isinstance(given, Sequence) or not given or not all(_is_time(each) for each in given):
        raise InvalidArgumentError(f"bounds must be a list of numbers of ms from 0 up, but are {given!r}.")
    bounds = tuple(float(each) for each in given)
    if any(low >= high for low, high in itertools.pairwise(bounds)):
        raise InvalidArgumentError(f"bounds in ms must rise, but are {', '.join(f'{each:g}' for each in bounds)}.")
    return bounds


def _is_time(value: object) -> bool:
    return not isinstance(value, bool) and isinstance(value, Real) and float(value) >= 0
