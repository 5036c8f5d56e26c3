"""In which order networks are the answer to a query, and which of those that share a latency."""

from __future__ import annotations

from collections.abc import Iterable

from gpunet.model.entry import TIMM, Entry, Match
from gpunet.zoo.choice.conditions import Query, cost_of
from gpunet.zoo.choice.estimated import is_estimated


def inaccuracy(entry: Entry) -> float:
    """Sorts the most accurate first; a network whose accuracy nobody measured comes last."""
    return -(entry.top1_percent or 0.0)


def rank(match: Match, query: Query) -> tuple[bool, float, float, str]:
    """Sorts measured before estimated, then the most accurate first, ties to the faster."""
    return is_estimated(match), inaccuracy(match.entry), cost_of(match.record, query), match.name


def best_of_each(entries: Iterable[Entry]) -> list[Entry]:
    """Of timm's tags of one architecture and input size the most accurate; all others as they are."""
    found: dict[str, Entry] = {}
    for entry in entries:
        key = entry.identity if entry.role == TIMM else f"name {entry.name}"
        if key not in found or inaccuracy(entry) < inaccuracy(found[key]):
            found[key] = entry
    return list(found.values())
