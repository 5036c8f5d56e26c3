"""Quantities in words."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any


def told_apart(values: Iterable[Any], text: Callable[[Any], Any], finer: Callable[[Any], Any]) -> list[Any]:
    """Each value as text; those that differ and would read alike, as finer text."""
    given = list(values)
    alike: dict[Any, set[Any]] = {}
    for each in given:
        alike.setdefault(text(each), set()).add(each)
    return [text(each) if len(alike[text(each)]) == 1 else finer(each) for each in given]


def duration(seconds: float) -> str:
    """45 -> '45 s', 720 -> '12 min', 9000 -> '2.5 h'."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
