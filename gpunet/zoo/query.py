"""find: which networks satisfy a latency budget on a device, and by which records.

Which records count and which decides is said in `gpunet.zoo.choice.conditions`, which networks are looked at in
`gpunet.zoo.choice.scope`: accuracies of one data set are ranked, never of several. Of timm's tags that share an
architecture and input size, and so a latency, the most accurate is the answer.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path

from gpunet.core.device import THIS_MACHINE, Device, resolve
from gpunet.errors import InvalidArgumentError, NothingFitsError, UnknownDeviceError
from gpunet.model.entry import TIMM, Entry, Match
from gpunet.zoo.catalog import Zoo, catalog
from gpunet.zoo.choice.conditions import Query, match_of, may_satisfy, satisfies
from gpunet.zoo.choice.estimated import Estimates, estimates_for, how_to_ask
from gpunet.zoo.choice.here import best_here, front_here, records_here
from gpunet.zoo.choice.nothing import nothing_fits_error
from gpunet.zoo.choice.ranking import best_of_each, rank
from gpunet.zoo.choice.scope import Matches, Scope, counted, licensed, scope_of

_OWN = (
    "On the machine itself, gpunet.create('local', max_ms=...) or 'gpunet bench' measures it; records of one's own "
    "join by zoo=FOLDER."
)


def find(
    device: str,
    *,
    max_ms: float | None = None,
    min_top1: float | None = None,
    max_params: float | None = None,
    batch_size: int = 1,
    runtime: str | None = None,
    precision: str | None = None,
    threads: int | None = None,
    include_nominal: bool = False,
    include_baselines: bool = False,
    dataset: str | None = None,
    min_ips: float | None = None,
    licence: str | None = None,
    extra_data: bool | None = None,
    family: str | Sequence[str] | None = None,
    thorough: bool = False,
    budget_minutes: float | None = None,
    estimates: bool = False,
    confidence: float = 0.8,
    gpu_sheet: str | Path | None = None,
    zoo: Zoo = None,
) -> Matches:
    """The networks that satisfy all conditions on a device, the most accurate first, ties to the faster.

    Args:
        device: a chip ('gv100'), a board ('V100 32GB'), an everyday name ('Tesla V100'), or 'local' for this
            machine, which is measured on first use.
        max_ms: latency budget in milliseconds for the whole batch; the slowest record that applies must fit.
        min_top1: least top-1 accuracy on `dataset`, in percent.
        max_params: most parameters, counted singly (15e6 for 15 million).
        batch_size: images a run; only records of this batch size apply.
        runtime: e.g. 'tensorrt', 'openvino', 'pytorch', or with a version 'tensorrt-8'. Default: the TensorRT
            family on a GPU; on 'local' the best one installed. 'tensorrt' stands for the family: TensorRT,
            TensorRT inside ONNX Runtime, TensorRT-RTX.
        precision: 'fp32', 'fp16', 'bf16' or 'int8'. Default: all that are recorded; on 'local' fp32.
        threads: on 'local', threads that compute; None for all available.
        include_nominal: let nominal figures (a tier's label) count too.
        include_baselines: the paper's baselines that timm can build, too.
        dataset: the images whose accuracies are ranked, such as 'digits (validation)', or its beginning, 'digits'.
            Default: ImageNet-1k's validation images. Entries with an accuracy of others are left out.
        min_ips: least images a second, by records that state them: of `batch_size` where it is above 1, else of any;
            without `runtime` by any runtime, of which the fastest counts.
        licence: 'permissive' (Apache, MIT, BSD, CC BY) or 'any'. Default: 'permissive' with zoo='timm', else 'any'.
        extra_data: True for networks that have seen more images than ImageNet-1k's, themselves or by the teacher that
            they were distilled from; False for those known to have seen no others. Default: all.
        family: names or architectures, with * and ? for any letters, such as 'mobilenet*'; or several.
        thorough: of timm's networks on 'local', search as `create` does before the answer, and trust predictions less:
            more are measured.
        budget_minutes: the most minutes of such a search, which is carried out before the answer.
        estimates: let estimates of a GPU's latency count where no measured figure of a network applies: TensorRT, FP16.
            They come after all that is measured, and keep the budget by the upper bound of their interval, which is in
            `record.conditions` as low_ms and high_ms.
        confidence: how often such an interval holds, from 0.01 to 0.99.
        gpu_sheet: a CSV file of specification sheets of one's own GPUs, for estimates.
        zoo: folders of one's own entries; 'timm' for timm's networks with published accuracies. On 'local' those of
            them count that have been measured; `create`, `thorough` and `budget_minutes` measure more.

    Returns:
        A list of matches, empty where nothing fits; its `dataset` is the one ranked by, its `left_out` how many
        networks have an accuracy of another, by its name, its `left_out_licences` how many the licence leaves out.

    Warns:
        EntryWarning: an entry or a record of `zoo` cannot be read, and is passed over.

    Raises:
        UnknownDeviceError: (a LookupError) no such device, or the zoo has no figure for it.
        InvalidArgumentError: (a ValueError) a condition makes no sense.
    """
    query = Query(
        device=device, max_ms=max_ms, min_top1=min_top1, max_params=max_params, batch_size=batch_size, runtime=runtime,
        precision=precision, threads=threads, include_nominal=include_nominal, include_baselines=include_baselines,
        dataset=dataset, min_ips=min_ips, licence=licence, extra_data=extra_data, family=family, thorough=thorough,
        budget_minutes=budget_minutes, estimates=estimates, confidence=confidence, gpu_sheet=gpu_sheet,
    )  # fmt: skip
    return fitting(query, zoo)


def fitting(query: Query, zoo: Zoo = None, *, refresh: bool = False, measuring: bool = False) -> Matches:
    """What `find` returns.

    Args:
        query: what is asked for.
        zoo: see `find`.
        refresh: as `candidates` takes it.
        measuring: search among timm's networks on this machine where nothing that is kept fits, too.
    """
    found = _fitting(query, zoo, refresh=refresh)
    if query.searches or (measuring and not found):
        entries = catalog(zoo).values()
        able = [each for each in scope_of(entries, query).entries if each.role == TIMM and may_satisfy(each, query)]
        if able and _device_in(entries, query) == THIS_MACHINE:
            _, searched = best_here(able, query)
            found = _fitting(query, zoo)
            found.search = searched
    return found


def _fitting(query: Query, zoo: Zoo, *, refresh: bool = False) -> Matches:
    found = candidates(query, zoo, refresh=refresh)
    fits = (match for match in found if satisfies(match, query))
    return Matches(fits, dataset=found.dataset, left_out=found.left_out, left_out_licences=found.left_out_licences)


def best(query: Query, zoo: Zoo = None) -> Match:
    """The first Match of `find`.

    On 'local' the networks are looked at from the most accurate down, and those below the first that fits are not
    measured: they could not be the answer. Of timm's, a few are measured, by what their work lets expect.

    Raises:
        NothingFitsError: (a LookupError) naming the nearest networks and their figures.
    """
    zoo_entries = catalog(zoo).values()
    device, scope = _device_in(zoo_entries, query), scope_of(zoo_entries, query)
    _check_search(query, device, zoo_entries)
    if device == THIS_MACHINE:
        found, _ = best_here([entry for entry in scope.entries if may_satisfy(entry, query)], query)
    else:
        found = next((each for each in _matches(scope.entries, device, query) if satisfies(each, query)), None)
    if found is None:
        raise nothing_fits(query, zoo)
    return found


def front(query: Query, zoo: Zoo = None, *, figures_only: bool = False) -> Matches:
    """As `candidates`, after what the front of timm's networks on this machine needs has been measured.

    Of the query, `max_ms` is where the front ends; the others of its bounds do not count.
    """
    entries = catalog(zoo).values()
    searched = None
    if _device_in(entries, query) == THIS_MACHINE:
        searched = front_here(scope_of(entries, query).entries, query)
    found = candidates(query, zoo, figures_only=figures_only)
    found.search = searched
    return found


def _check_search(query: Query, device: Device, entries: Iterable[Entry]) -> None:
    """Raise where a search is asked for that nothing would carry out."""
    if query.searches and (device != THIS_MACHINE or not any(each.role == TIMM for each in entries)):
        given = "thorough" if query.thorough else "budget_minutes"
        raise InvalidArgumentError(
            f"{given} is of a search among timm's networks on this machine, and this query makes none.",
            "Ask device 'local' with zoo='timm', or leave it out.",
        )


def nothing_fits(query: Query, zoo: Zoo = None) -> NothingFitsError:
    """The error of a query that nothing satisfies; of this machine by what has been measured, and measuring nothing."""
    entries = catalog(zoo).values()
    device, scope = _device_in(entries, query), scope_of(entries, query)
    found = _matches(scope.entries, device, query, kept_only=True)
    unbound = dataclasses.replace(query, max_ms=None, max_params=None)
    recorded = Matches(
        found,
        dataset=scope.dataset,
        left_out=_left_out(scope, device, unbound),
        left_out_licences=_unlicensed(scope, device, query),
    )
    records = [record for entry in entries for record in entry.records if device.covers(record.chip, record.board)]
    able = sum(may_satisfy(entry, query) for entry in scope.entries)
    return nothing_fits_error(query, recorded, records, able if device == THIS_MACHINE else None)


def candidates(query: Query, zoo: Zoo = None, *, figures_only: bool = False, refresh: bool = False) -> Matches:
    """Every network with records that apply to the query's device and conditions, whatever its bounds.

    Args:
        figures_only: with baselines, also those that cannot be built here.
        refresh: on 'local', measure all anew and replace what is kept.

    Raises:
        InvalidArgumentError: (a ValueError) refresh for another device, besides those of `find`.
    """
    entries = catalog(zoo).values()
    device = _device_in(entries, query)
    if refresh and device != THIS_MACHINE:
        raise InvalidArgumentError(
            f"refresh measures this machine anew, but the device is {query.device!r}.",
            "Leave it out, or ask for 'local'.",
        )
    _check_search(query, device, entries)
    scope = scope_of(entries, query, figures_only=figures_only)
    found = _matches(scope.entries, device, query, refresh=refresh)
    return Matches(
        found,
        dataset=scope.dataset,
        left_out=_left_out(scope, device, query),
        left_out_licences=_unlicensed(scope, device, query),
    )


def _left_out(scope: Scope, device: Device, query: Query) -> dict[str, int]:
    """What a query's data set leaves out: of this machine all, unmeasured, of another what has a record that applies.

    Bounds on the latency and the size count; one on the accuracy is of other images.
    """
    if device == THIS_MACHINE:
        return counted(scope.others)
    bounds = dataclasses.replace(query, min_top1=None)
    return counted(match.entry for match in _matches(scope.others, device, query) if satisfies(match, bounds))


def _unlicensed(scope: Scope, device: Device, query: Query) -> dict[str, int]:
    """What the licence leaves out: of this machine all that may keep the bounds, unmeasured."""
    if device == THIS_MACHINE:
        return licensed(entry for entry in scope.unlicensed if may_satisfy(entry, query))
    return licensed(match.entry for match in _matches(scope.unlicensed, device, query) if satisfies(match, query))


def _matches(
    entries: list[Entry], device: Device, query: Query, *, refresh: bool = False, kept_only: bool = False
) -> list[Match]:
    """A Match for each network with records that apply, the most accurate first, ties to the faster."""
    entries = best_of_each(entries)
    if device == THIS_MACHINE:
        records = records_here(entries, query, refresh=refresh, kept_only=kept_only)
    else:
        records = {entry.name: [r for r in entry.records if device.covers(r.chip, r.board)] for entry in entries}
    found = (match_of(entry, records.get(entry.name, ()), query) for entry in entries)
    matches = [match for match in found if match is not None]
    if query.estimates:
        matches += _estimated(entries, {match.name for match in matches}, query)
    return sorted(matches, key=lambda match: rank(match, query))


def _estimated(entries: list[Entry], measured: set[str], query: Query) -> list[Match]:
    """Matches by estimate of the entries that no measured figure answers for."""
    left = [each for each in entries if each.name not in measured]
    records = _estimates(query).records(left, query.batch_size, query.precision or "fp16")
    return [Match(each, records[each.name], (records[each.name],)) for each in left if each.name in records]


def _estimates(query: Query) -> Estimates:
    return estimates_for(query.device, gpu_sheet=query.gpu_sheet, confidence=query.confidence)


def device_named(name: str, zoo: Zoo = None) -> Device:
    """The device, if the zoo has figures for it.

    Raises:
        UnknownDeviceError: (a LookupError) it has none; the hint says how to measure one's own.
    """
    return _device_in(catalog(zoo).values(), Query(device=name))


def _device_in(entries: Iterable[Entry], query: Query) -> Device:
    name = query.device
    if query.estimates:
        return _estimated_device(query, recorded_devices(entries))
    pairs = recorded_devices(entries)
    try:
        device = resolve(name, pairs)
    except UnknownDeviceError as error:
        said = how_to_ask(name)
        if said:
            raise UnknownDeviceError(f"the zoo has no latency for {name!r}.", f"{said} {_OWN}") from error
        raise
    if device != THIS_MACHINE and not any(device.covers(*pair) for pair in pairs):
        known = ", ".join(sorted({chip for chip, _ in pairs}))
        said = " ".join(each for each in (f"It has figures for {known}.", how_to_ask(name), _OWN) if each)
        raise UnknownDeviceError(f"the zoo has no latency for {device.title}.", said)
    return device


def _estimated_device(query: Query, pairs: list[tuple[str, str]]) -> Device:
    """The device of a query that takes estimates: as records name it, unless it is cut from a board of that name."""
    made = _estimates(query).device
    try:
        known = resolve(query.device, pairs)
    except UnknownDeviceError:
        return made
    return known if known.chip == made.chip else made


def recorded_devices(entries: Iterable[Entry]) -> list[tuple[str, str]]:
    """The (chip, board) pairs of all records."""
    return sorted({(record.chip, record.board) for entry in entries for record in entry.records})
