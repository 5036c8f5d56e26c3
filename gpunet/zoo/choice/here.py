"""Queries of this machine: which networks are measured for an answer, and in what order.

A zoo's own networks are measured whole, or from the most accurate down. Of timm's many a few are, by what their work
lets expect (`gpunet.zoo.timm_zoo.budget`, `gpunet.zoo.timm_zoo.front`). What cannot be built, exported or run is passed
over, with a warning.
"""

from __future__ import annotations

import itertools
import logging
import math
import warnings
from collections.abc import Sequence

from gpunet.model.entry import TIMM, Entry, LatencyRecord, Match
from gpunet.runtime.timing import NoisyMachineWarning
from gpunet.zoo.choice.conditions import Query, match_of, satisfies, without_version
from gpunet.zoo.choice.ranking import best_of_each, inaccuracy, rank
from gpunet.zoo.timm_zoo.budget import MostAccurate
from gpunet.zoo.timm_zoo.front import Front
from gpunet.zoo.timm_zoo.predicted import Work
from gpunet.zoo.timm_zoo.searching import Searched, carry_out

_ONNX_BYTES = 2**31 - 1  # of a file without external data
_logger = logging.getLogger("gpunet")


def records_here(
    entries: Sequence[Entry], query: Query, *, refresh: bool = False, kept_only: bool = False
) -> dict[str, list[LatencyRecord]]:
    """Records of this machine by name; those of timm's networks that have been measured, of the others all."""
    found: dict[str, list[LatencyRecord]] = {}
    several = [entry for entry in entries if entry.role == TIMM]
    others = [entry for entry in entries if entry.role != TIMM]
    measured = _measured(others, query, refresh=refresh, kept_only=kept_only) if others or not several else []
    measured += _measured(several, query, refresh=refresh, kept_only=True) if several else []
    for record in measured:
        found.setdefault(record.model, []).append(record)
    return found


def best_here(entries: Sequence[Entry], query: Query) -> tuple[Match | None, Searched | None]:
    """Of the networks of a zoo, from the most accurate down, the first that fits; or one of timm's that is better.

    Returns:
        The match, None where nothing fits; and what was done to find it among timm's, None where there are none.
    """
    found, searched = _best_of_timm(best_of_each(each for each in entries if each.role == TIMM), query)
    in_time = searched is None or searched.ended != "time"
    able = sorted((entry for entry in entries if entry.role != TIMM), key=inaccuracy)
    for worse, group in itertools.groupby(able, key=inaccuracy):
        if found is not None and worse > inaccuracy(found.entry):
            break
        fits = [match for match in _matches(list(group), query, kept_only=not in_time) if satisfies(match, query)]
        if fits:
            return min([*fits, *([found] if found else [])], key=lambda each: rank(each, query)), searched
    return found, searched


def front_here(entries: Sequence[Entry], query: Query) -> Searched | None:
    """Measure of timm's networks what their front needs; None where there are none."""
    several = best_of_each(each for each in entries if each.role == TIMM)
    return _searched(several, query, Front)[1] if several else None


def _best_of_timm(entries: Sequence[Entry], query: Query) -> tuple[Match | None, Searched | None]:
    if not entries:
        return None, None
    found, searched = _searched(entries, query, MostAccurate)
    fits = [match for match in found if satisfies(match, query)]
    best = min(fits, key=lambda each: rank(each, query), default=None)
    if best is not None:
        _measured([best.entry], query, kept_only=True)  # warns where its figure is uncertain
    return best, searched


def _searched(
    entries: Sequence[Entry], query: Query, kind: type[MostAccurate] | type[Front]
) -> tuple[list[Match], Searched]:
    """What a search among timm's networks measured or found measured, and how it went."""
    fitting_file = [entry for entry in entries if _fits_a_file(entry, query)]
    by_name = {entry.name: entry for entry in fitting_file}
    found = {match.name: match for match in _matches(fitting_file, query)}
    passed_over: dict[str, str] = {}

    def measure(name: str) -> float | None:
        with warnings.catch_warnings():  # of the answer it is said in the end
            warnings.simplefilter("ignore", NoisyMachineWarning)
            records = _measured([by_name[name]], query, passed_over=passed_over)
        match = match_of(by_name[name], records, query)
        if match is None:
            return None
        found[name] = match
        return match.latency_ms

    works = [
        Work(each.name, each.top1_percent or 0.0, each.multiply_adds_billions or 0.0, each.activations_millions or 0.0,
             each.parameters_millions or 0.0)
        for each in fitting_file
    ]  # fmt: skip
    known = {name: match.latency_ms for name, match in found.items()}
    search = kind(works, _budget_ms(query), known, thorough=query.thorough)
    searched = carry_out(
        search, measure, kept=len(known), passed_over=passed_over, too_large=len(entries) - len(fitting_file),
        budget_minutes=query.budget_minutes,
    )  # fmt: skip
    return list(found.values()), searched


def _budget_ms(query: Query) -> float:
    """For the whole batch; infinite where none is asked for."""
    of_ips = math.inf if query.min_ips is None else 1000 * query.batch_size / query.min_ips
    return min(math.inf if query.max_ms is None else query.max_ms, of_ips)


def _fits_a_file(entry: Entry, query: Query) -> bool:
    """Whether a network's weights fit into an ONNX file, which all runtimes but PyTorch are given."""
    return query.runtime == "pytorch" or 4e6 * (entry.parameters_millions or 0.0) <= _ONNX_BYTES


def _matches(entries: Sequence[Entry], query: Query, *, kept_only: bool = False) -> list[Match]:
    records = records_here(entries, query, kept_only=kept_only)
    found = (match_of(entry, records.get(entry.name, ()), query) for entry in entries)
    return sorted((match for match in found if match is not None), key=lambda match: rank(match, query))


def _measured(
    entries: Sequence[Entry], query: Query, *, refresh: bool = False, kept_only: bool = False,
    passed_over: dict[str, str] | None = None,
) -> list[LatencyRecord]:  # fmt: skip
    from gpunet.zoo.local import local_records

    def failed(entry: Entry, reason: str) -> None:
        _logger.warning("%s is passed over: %s", entry.name, reason)
        if passed_over is not None:
            passed_over[entry.name] = reason

    runtime = query.runtime and without_version(query.runtime)  # which is for `applies` to look at
    return local_records(
        entries, runtime=runtime, batch_size=query.batch_size, precision=query.precision or "fp32",
        threads=query.threads, refresh=refresh, kept_only=kept_only, on_failure=failed, progress=passed_over is None,
    )  # fmt: skip
