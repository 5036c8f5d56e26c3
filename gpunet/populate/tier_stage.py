"""Stage 2, the tiers: millions of networks of the space, estimated by the table and cut by latency."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gpunet.core.files import write_text
from gpunet.errors import InvalidArgumentError
from gpunet.populate.context import WORTH, Context
from gpunet.populate.place import damaged, read_state
from gpunet.search.study.tables import estimator_from_table
from gpunet.search.tiers.stratify import stratify

if TYPE_CHECKING:
    from gpunet.latency.estimate import Estimator

_FINE = 100_000  # networks whose estimates make quantiles and histograms
_BINS = 24


@dataclass(frozen=True)
class TierFound:
    """A tier of the plan.

    Args:
        number: from 0, the fastest first.
        low_ms, high_ms: its bounds; None for no upper one.
        candidates: vectors inside.
        count: networks of the sample that fell into it.
        edges_ms, counts: a histogram of estimates, scaled to `count`.
    """

    number: int
    low_ms: float
    high_ms: float | None
    candidates: list[list[int]]
    count: int
    edges_ms: list[float]
    counts: list[int]

    @property
    def label(self) -> str:
        """The bounds in words."""
        return f"{self.low_ms:g} ms or more" if self.high_ms is None else f"{self.low_ms:g} to {self.high_ms:g} ms"


def is_done(context: Context) -> bool:
    """Whether the tiers are there."""
    return context.place.tiers.exists()


def run(context: Context) -> None:
    """Sample, cut, and keep."""
    plan = context.plan
    estimator = estimator_from_table(context.place.table, plan.space, context.num_classes)
    estimates_ms = _estimates(context, estimator)
    edges_ms = tier_edges_ms(context, estimates_ms)
    context.say(f"[tiers] the table {context.worth}")
    for low_ms, high_ms in itertools.pairwise(edges_ms):
        context.worth.check_tier(low_ms or 0.0, high_ms, allow_narrow=plan.tiers.allow_narrow)
    inner = [edge for edge in edges_ms if edge is not None and edge > 0]
    strata = stratify(
        plan.space, estimator, bounds_ms=inner, count=plan.tiers.count, seed=plan.tiers.seed, reservoir=256
    )  # fmt: skip
    first = 1 if edges_ms[0] else 0
    tiers: list[dict[str, Any]] = []
    for number, (low_ms, high_ms) in enumerate(itertools.pairwise(edges_ms)):
        inside = estimates_ms[(estimates_ms >= (low_ms or 0)) & (estimates_ms < (high_ms or np.inf))]
        if not len(strata.tiers[first + number].candidates):
            raise InvalidArgumentError(
                f"no network of the sample lies between {low_ms:g} and {high_ms or np.inf:g} ms; all lie between "
                f"{strata.range_ms[0]:.3g} and {strata.range_ms[1]:.3g}.",
                "Choose other bounds: tiers.bounds_ms.",
            )
        counts, edges = np.histogram(inside, bins=_BINS, range=_range_ms(inside))
        count = int(strata.counts[first + number])
        counts = counts * count // max(1, len(inside))  # the histogram's sample is another one
        tiers.append(
            {"number": number, "low_ms": low_ms or 0.0, "high_ms": high_ms,
             "candidates": strata.tiers[first + number].candidates.tolist(),
             "count": count, "edges_ms": edges.tolist(), "counts": counts.tolist()}
        )  # fmt: skip
        context.say(f"[tiers] {number}: {TierFound(**tiers[-1]).label}, {tiers[-1]['count']:,} of {strata.count:,}")
    body = {"sampled": strata.count, "tiers": tiers, WORTH: context.worth.to_dict()}
    write_text(context.place.tiers, json.dumps(body) + "\n")


def tiers_of(context: Context) -> list[TierFound]:
    """The tiers found.

    Raises:
        InvalidArgumentError: the file that says them is damaged.
    """
    said = read_state(context.place.tiers)
    try:
        return [TierFound(**each) for each in said["tiers"]]
    except (KeyError, TypeError):
        raise damaged(context.place.tiers) from None


def tier_edges_ms(context: Context, estimates_ms: np.ndarray) -> list[float | None]:
    """Edges of the tiers, one more than there are tiers; None for no upper one."""
    plan = context.plan.tiers

    def at(quantile: float) -> float:
        return float(f"{np.quantile(estimates_ms, quantile):.3g}")

    bounds = [at(quantile) for quantile in plan.quantiles] if plan.bounds_ms is None else list(plan.bounds_ms)
    low = at(plan.lowest) if plan.lowest > 0 else 0.0
    high = at(plan.highest) if plan.highest < 1 else None
    edges: list[float | None] = [low, *bounds, high]
    known = [edge for edge in edges if edge is not None]
    if known != sorted(set(known)):
        raise InvalidArgumentError(
            f"the tiers' edges in ms do not rise: {', '.join(f'{edge:g}' for edge in known)}.",
            "Choose bounds that lie between the quantiles `lowest` and `highest`, and apart.",
        )
    return edges


def _range_ms(inside: np.ndarray) -> tuple[float, float] | None:
    """Of a histogram; None for the estimates' own."""
    if not len(inside) or inside.min() < inside.max():
        return None
    return 0.99 * float(inside[0]), 1.01 * float(inside[0])


def _estimates(context: Context, estimator: Estimator) -> np.ndarray:
    space = context.plan.space
    return estimator.latency_ms(space.lattice().draw(_FINE, np.random.default_rng(context.plan.tiers.seed)))
