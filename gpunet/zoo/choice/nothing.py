"""What is said where no network satisfies a query: the nearest ones and their figures, and what to ask instead."""

from __future__ import annotations

import math
from collections.abc import Collection

from gpunet.errors import NothingFitsError
from gpunet.model.entry import LatencyRecord, Match
from gpunet.zoo.choice.conditions import Query, check_runtime
from gpunet.zoo.choice.estimated import how_to_ask
from gpunet.zoo.choice.scope import Matches, left_out_text, unlicensed_text

_NAMED = 3


def nothing_fits_error(
    query: Query, recorded: Matches, records: Collection[LatencyRecord], unmeasured: int | None
) -> NothingFitsError:
    """The error of a query that nothing satisfies.

    Args:
        query: that was asked.
        recorded: the networks with records that apply, whatever the bounds, and what the query leaves out.
        records: all that there are of the device.
        unmeasured: of this machine, how many networks may keep the bounds that are not the latency's; else None.

    Raises:
        InvalidArgumentError: (a ValueError) the query's runtime is none that is known.
    """
    any_batch = query.min_ips is not None and query.batch_size == 1
    where = f"{query.device} at {'any batch' if any_batch else f'batch {query.batch_size}'}"
    left_out = left_out_text(recorded.dataset, recorded.left_out)
    said = [each for each in (left_out, unlicensed_text(recorded.left_out_licences)) if each]
    if recorded:
        nearest = sorted(recorded, key=lambda match: _shortfall(match, query))[:_NAMED]
        lines = "\n".join(f"  {match}" for match in nearest)
        names = [match.name for match in nearest]
        hint = "\n".join([f"The nearest:\n{lines}", *said])
        return NothingFitsError(f"no network fits {where} with {_asked(query, recorded)}.", hint, nearest=names)
    if unmeasured is not None:
        hint = "\n".join([_of_this_machine(unmeasured), *said])
        return NothingFitsError(f"no network fits {where} with {_asked(query, recorded)}.", hint)
    check_runtime(query.runtime, {each.runtime for each in records})
    estimates = "" if query.estimates else how_to_ask(query.device)
    ranked = f" of a network with an accuracy on {recorded.dataset}" if left_out else ""
    return NothingFitsError(
        f"no record{ranked} applies to {where}, runtime {query.runtime or 'default'}, "
        f"precision {query.precision or 'any'}.",
        " ".join(each for each in ("\n".join(said or [_recorded_text(records)]), estimates) if each),
    )


def _asked(query: Query, recorded: Matches) -> str:
    bounds = {
        "at most {:g} ms": query.max_ms,
        f"top-1 of at least {{:g}} % on {recorded.dataset}": query.min_top1,
        "at most {:,.0f} parameters": query.max_params,
        "at least {:,.0f} images/s": query.min_ips,
    }
    return " and ".join(text.format(value) for text, value in bounds.items() if value is not None) or "these conditions"


def _of_this_machine(unmeasured: int) -> str:
    if not unmeasured:
        return "Measured or not, none keeps the bounds on accuracy and size: loosen them."
    return (
        f"None is measured yet of {unmeasured:,} that may keep the other bounds. gpunet.create('local', max_ms=N, ...) "
        "and 'gpunet find --device local --max-ms N' measure those that come into question; what cannot run is named "
        "by a warning."
    )


def _recorded_text(records: Collection[LatencyRecord]) -> str:
    sizes = ", ".join(str(size) for size in sorted({each.batch_size for each in records}))
    runtimes = ", ".join(sorted({each.runtime for each in records}))
    precisions = ", ".join(sorted({each.precision for each in records}))
    if records and all(each.kind == "throughput" for each in records):
        precisions += ". All are images a second, which min_ips=N or --min-ips N asks for"
    return f"Recorded for it: batch sizes {sizes}; runtimes {runtimes}; precisions {precisions}."


def _shortfall(match: Match, query: Query) -> float:
    """By how much a network misses the bound that it misses most, as a share of it; of the accuracy, by 10 points."""
    over = [0.0]
    if query.max_ms is not None:
        over.append(match.latency_ms / query.max_ms - 1)
    if query.min_ips is not None:
        over.append(query.min_ips / (match.record.throughput_ips or query.min_ips) - 1)
    if query.min_top1 is not None:
        over.append((query.min_top1 - (match.top1_percent or 0.0)) / 10)
    if query.max_params is not None:
        over.append((match.entry.parameters or math.inf) / query.max_params - 1)
    return max(over)
