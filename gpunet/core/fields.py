"""Checks of the fields of frozen dataclasses, and such dataclasses as plain JSON both ways.

Every fault is a SpecError that begins with the field's path: ``stages[3].kernel_size: 4 is even; kernels are odd``.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar, cast

from gpunet.core.arguments import is_integer, is_number
from gpunet.errors import SpecError

_Part = TypeVar("_Part")


@contextlib.contextmanager
def in_file(path: object) -> Iterator[None]:
    """Within: a SpecError names the file too, before the field."""
    try:
        yield
    except SpecError as error:
        raise SpecError(
            f"{path}: {error.message}", error.hint, nearest=error.nearest, exit_code=error.exit_code
        ) from None


def check_number(
    path: str,
    value: object,
    least: float,
    most: float = math.inf,
    *,
    above: bool = False,
    below: bool = False,
    whole: bool = False,
    rule: str = "",
) -> None:
    """Raise unless `least <= value <= most`.

    Args:
        path: of the field.
        value: of the field; a bool is no number.
        least, most: bounds.
        above, below: whether a value at `least`, at `most`, is out of range.
        whole: integers only.
        rule: in words; made of the bounds where it is left out.
    """
    if not rule:
        rule = f"it is {'above' if above else 'at least'} {least:g}"
        rule += f" and {'below' if below else 'at most'} {most:g}" if most < math.inf else ""
    if not (is_integer(value) if whole else is_number(value)):
        raise SpecError(f"{path}: {value!r} is not {'an integer' if whole else 'a finite number'}; {rule}")
    number = cast("float", value)
    if number < least or (above and number == least) or number > most or (below and number == most):
        raise SpecError(f"{path}: {value!r} is out of range; {rule}")


def check_one_of(path: str, value: object, choices: Sequence[str]) -> None:
    """Raise unless the value is one of the choices."""
    if value not in choices:
        raise SpecError(f"{path}: {value!r} is not one of {', '.join(choices)}")


def check_name(path: str, value: object) -> None:
    """Raise unless the value is a text that is not empty."""
    if not isinstance(value, str) or not value:
        raise SpecError(f"{path}: {value!r} is not a name")


def check_flag(path: str, value: object) -> None:
    """Raise unless the value is true or false."""
    if not isinstance(value, bool):
        raise SpecError(f"{path}: {value!r} is not true or false")


def checked_range(path: str, value: object) -> tuple[float, float]:
    """Two numbers above 0, the lower first, of a pair or JSON's list; raises for anything else."""
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise SpecError(f"{path}: {value!r} is not a pair of numbers")
    for each in value:
        check_number(path, each, 0, above=True)
    if value[0] > value[1]:
        raise SpecError(f"{path}: low <= high must hold, but got {list(value)!r}")
    return float(value[0]), float(value[1])


def part_from_dict(part_type: type[_Part], data: object, path: str) -> _Part:
    """A dataclass from the dict of its fields.

    Raises:
        SpecError: an unknown or a missing key, named behind `path`, or no dict at all.
    """
    if isinstance(data, part_type):
        return data
    if not isinstance(data, Mapping):
        raise SpecError(f"{path}: {data!r} is not an object")
    prefix = f"{path}." if path else ""
    fields = {f.name: f for f in dataclasses.fields(part_type)}  # type: ignore[arg-type]
    for key in data:
        if key not in fields:
            raise SpecError(f"{prefix}{key}: unknown key", f"Known keys: {', '.join(fields)}.")
    for name, each in fields.items():
        if each.default is dataclasses.MISSING and name not in data:
            raise SpecError(f"{prefix}{name}: missing", "Add it.")
    return part_type(**data)


def part_to_dict(part: Any) -> dict[str, Any]:
    """A dataclass as plain JSON types; fields at their defaults are left out."""
    result: dict[str, Any] = {}
    for each in dataclasses.fields(part):
        value = getattr(part, each.name)
        if each.default is not dataclasses.MISSING and value == each.default:
            continue
        if isinstance(value, tuple):
            value = [part_to_dict(item) if dataclasses.is_dataclass(item) else item for item in value]
        elif dataclasses.is_dataclass(value):
            value = part_to_dict(value)
        result[each.name] = value
    return result
