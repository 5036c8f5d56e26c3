"""What a query looks at: the entries of its roles whose accuracies are of one data set, and what that leaves out.

Accuracies of different images are not compared: 99 % of handwritten digits is no better than 80 % of ImageNet's
thousand classes.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gpunet.model.dataset_names import dataset_key, dataset_named
from gpunet.model.entry import Entry, Match


@dataclass(frozen=True)
class Scope:
    """The entries that a query looks at.

    Args:
        dataset: that their accuracies are of.
        entries: those, and such as have no accuracy.
        others: of the same roles, whose accuracies are of other data sets.
    """

    dataset: str
    entries: list[Entry]
    others: list[Entry]


class Matches(list[Match]):
    """The matches of a query, the most accurate first.

    Attributes:
        dataset: that they are ranked by.
        left_out: how many networks have the latency asked for and an accuracy of another data set, by its name.
    """

    def __init__(self, matches: Iterable[Match], *, dataset: str, left_out: Mapping[str, int]) -> None:
        super().__init__(matches)
        self.dataset = dataset
        self.left_out = dict(left_out)


def scope_of(
    entries: Iterable[Entry], dataset: str | None, *, baselines: bool = False, figures_only: bool = False
) -> Scope:
    """The entries that a query looks at.

    Args:
        entries: of the zoo.
        dataset: that is asked for; None for ImageNet-1k's validation images.
        baselines: the paper's baselines too.
        figures_only: also such as cannot be built here.

    Raises:
        InvalidArgumentError: (a ValueError) no accuracy is of that data set; the hint names those that there are.
    """
    everything = list(entries)
    chosen = dataset_named(dataset, (each.dataset for each in everything if each.dataset is not None))
    looked_at = [
        each for each in everything if (baselines or each.role != "baseline") and (figures_only or each.buildable)
    ]
    key = dataset_key(chosen)
    others = [each for each in looked_at if each.dataset is not None and dataset_key(each.dataset) != key]
    names = {each.name for each in others}
    return Scope(chosen, [each for each in looked_at if each.name not in names], others)


def counted(entries: Iterable[Entry]) -> dict[str, int]:
    """How many of these entries have an accuracy of each data set, by its name."""
    return dict(sorted(Counter(each.dataset for each in entries if each.dataset is not None).items()))


def left_out_text(dataset: str, left_out: Mapping[str, int]) -> str:
    """What a query left out, and how to see it; '' where it is nothing."""
    if not left_out:
        return ""
    count = sum(left_out.values())
    shown = ", ".join(f"{number} of {name!r}" for name, number in left_out.items())
    example = next(iter(left_out))
    are = "network is" if count == 1 else "networks are"
    return (
        f"{count} {are} left out, whose accuracy is of other images than {dataset}: {shown}. To rank by those: "
        f"dataset={example!r}, or --dataset {shlex.quote(example)}."
    )
