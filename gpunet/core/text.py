"""Quantities in words, and words of others made harmless."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable
from typing import Any

_JOINERS = "\u200c\u200d"  # spelling needs them: Persian's words, emoji's families


def is_plain(letter: str) -> bool:
    """Whether a terminal and a page show a letter and do nothing else: no control, no turn of the writing's direction.

    A lone half of a UTF-16 pair is none: it cannot be written.
    """
    return letter.isprintable() or letter in _JOINERS or unicodedata.category(letter) == "Zs"


def printable(text: str, *, keep: str = "") -> str:
    """A text that others wrote, without what a terminal or a page would obey: such letters stand as escapes.

    Args:
        text: of anybody.
        keep: letters that stay, such as line ends.
    """
    if text.isprintable():
        return text
    return "".join(each if each in keep or is_plain(each) else repr(each)[1:-1] for each in text)


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
