"""What a query looks at: the entries of its roles and kinds whose accuracies are of one data set, and what is left out.

Accuracies of different images are not compared: 99 % of handwritten digits is no better than 80 % of ImageNet's
thousand classes. Beside timm's catalogue a licence that is not known to be permissive leaves a network out, unless it
is asked for.
"""

from __future__ import annotations

import fnmatch
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gpunet.core.arguments import checked_patterns
from gpunet.model.dataset_names import dataset_key, dataset_named
from gpunet.model.entry import TIMM, Entry, Match
from gpunet.zoo.choice.conditions import Query

if TYPE_CHECKING:
    from gpunet.zoo.timm_zoo.searching import Searched

_PERMISSIVE = re.compile(
    r"apache(-(licen[cs]e-)?2(\.0)?)?|mit(-licen[cs]e)?|bsd(-[23]-clause)?|cc-by(-[1-4](\.0)?)?", re.IGNORECASE
)


@dataclass(frozen=True)
class Scope:
    """The entries that a query looks at.

    Args:
        dataset: that their accuracies are of.
        entries: those, and such as have no accuracy.
        others: of the same roles, whose accuracies are of other data sets, whatever their licence.
        unlicensed: of the same roles and the data set, whose licence is not permissive, or not known.
    """

    dataset: str
    entries: list[Entry]
    others: list[Entry]
    unlicensed: list[Entry]


class Matches(list[Match]):
    """The matches of a query, the most accurate first.

    Attributes:
        dataset: that they are ranked by.
        left_out: how many networks have the latency asked for and an accuracy of another data set, by its name.
        left_out_licences: how many keep all conditions but that on the licence, by their licence.
        search: what was measured of timm's networks for the answer; None where nothing had to be.
    """

    search: Searched | None = None

    def __init__(
        self, matches: Iterable[Match], *, dataset: str, left_out: Mapping[str, int],
        left_out_licences: Mapping[str, int],
    ) -> None:  # fmt: skip
        super().__init__(matches)
        self.dataset = dataset
        self.left_out = dict(left_out)
        self.left_out_licences = dict(left_out_licences)


def scope_of(entries: Iterable[Entry], query: Query, *, figures_only: bool = False) -> Scope:
    """The entries that a query looks at, by its data set, roles and kinds.

    Args:
        entries: of the zoo; with timm's catalogue among them no licence means 'permissive', else 'any'.
        query: what is asked for.
        figures_only: also such as cannot be built here.

    Raises:
        InvalidArgumentError: (a ValueError) no accuracy is of that data set; the hint names those that there are.
    """
    everything = list(entries)
    chosen = dataset_named(query.dataset, (each.dataset for each in everything if each.dataset is not None))
    looked_at = [each for each in _of_kind(everything, query) if figures_only or each.buildable]
    beside_timm = any(each.role == TIMM for each in everything)
    licence = query.licence or ("permissive" if beside_timm else "any")
    out = {each.name for each in looked_at if licence == "permissive" and not is_permissive(each.licence)}
    key = dataset_key(chosen)
    keys = {name: dataset_key(name) for name in {each.dataset for each in looked_at} if name is not None}
    others = {each.name for each in looked_at if each.dataset is not None and keys[each.dataset] != key}
    return Scope(
        chosen,
        [each for each in looked_at if each.name not in others | out],
        [each for each in looked_at if each.name in others],
        [each for each in looked_at if each.name in out - others],
    )


def listed(entries: Iterable[Entry], query: Query) -> list[Entry]:
    """The entries that a list names, which ranks nothing: of all data sets and licences, unless it is told otherwise.

    Of the query count data set, baselines, licence, extra data, family, and `min_ips`, which one of an entry's records
    must state, of any device.
    """
    found = _of_kind(entries, query)
    if query.dataset is not None:
        scope = scope_of(found, replace(query, licence="any"), figures_only=True)
        found = [each for each in scope.entries if each.dataset is not None]
    if query.licence == "permissive":
        found = [each for each in found if is_permissive(each.licence)]
    return [each for each in found if query.min_ips is None or (each.throughput_ips or 0.0) >= query.min_ips]


def _of_kind(entries: Iterable[Entry], query: Query) -> list[Entry]:
    """The entries of the roles that a query asks for, trained on what it asks for, and of its family."""
    found = [
        each
        for each in entries
        if (query.include_baselines or each.role != "baseline")
        and (query.extra_data is None or each.extra_data is query.extra_data)
    ]
    if query.family is None:
        return found
    patterns = checked_patterns("family", query.family)
    return [each for each in found
            if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns for name in _names(each))]  # fmt: skip


def _names(entry: Entry) -> tuple[str, ...]:
    architecture = entry.architecture or ""
    return entry.name, architecture, architecture.partition(".")[0]


def is_permissive(licence: str) -> bool:
    """Whether a licence is known to let anybody use weights for anything: Apache's, MIT's, BSD's or CC BY.

    Non-commercial ones, those of one's own making, and what nobody states are not.
    """
    return _PERMISSIVE.fullmatch("-".join(licence.split())) is not None


def licensed(entries: Iterable[Entry]) -> dict[str, int]:
    """How many of these entries have each licence, by its name."""
    return dict(Counter(each.licence for each in entries).most_common())


def counted(entries: Iterable[Entry]) -> dict[str, int]:
    """How many of these entries have an accuracy of each data set, by its name."""
    return dict(sorted(Counter(each.dataset for each in entries if each.dataset is not None).items()))


def left_out_text(dataset: str, left_out: Mapping[str, int], *, shell: bool = False) -> str:
    """What a query left out, and how to see it, in Python or in a shell; '' where it is nothing."""
    if not left_out:
        return ""
    count = sum(left_out.values())
    shown = ", ".join(f"{number} of {name!r}" for name, number in left_out.items())
    example = next(iter(left_out))
    are = "network is" if count == 1 else "networks are"
    return f"{count} {are} left out, whose accuracy is of other images than {dataset}: {shown}. To rank by those: " + (
        f"--dataset {shlex.quote(example)}." if shell else f"dataset={example!r}, or --dataset {shlex.quote(example)}."
    )


def unlicensed_text(left_out: Mapping[str, int], *, shell: bool = False) -> str:
    """What a query left out for its licence, and how to see it, in Python or in a shell; '' where it is nothing."""
    if not left_out:
        return ""
    count = sum(left_out.values())
    shown = ", ".join(f"{number} of {licence!r}" for licence, number in left_out.items())
    are = "network is" if count == 1 else "networks are"
    way = "--licence any" if shell else "licence='any'"
    return f"{count} {are} left out, whose licence is not permissive or not known: {shown}. To let them count: {way}."
