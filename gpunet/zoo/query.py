"""find: which networks satisfy a latency budget on a device, and by which records.

Which records count and which decides is said in `gpunet.zoo.choice.conditions`, which networks are looked at in
`gpunet.zoo.choice.scope`: accuracies of one data set are ranked, never of several. Of timm's tags that share an
architecture and input size, and so a latency, the most accurate is the answer.
"""

from __future__ import annotations

import dataclasses
import itertools
import logging
import math
from collections.abc import Iterable, Sequence

from gpunet.core.device import THIS_MACHINE, Device, resolve
from gpunet.errors import ExportError, InvalidArgumentError, NothingFitsError, UnknownDeviceError, UnknownModelError
from gpunet.model.entry import TIMM, Entry, LatencyRecord, Match
from gpunet.zoo.catalog import Zoo, catalog
from gpunet.zoo.choice.conditions import Query, cost_of, match_of, may_satisfy, satisfies, without_version
from gpunet.zoo.choice.nothing import nothing_fits_error
from gpunet.zoo.choice.scope import Matches, Scope, counted, licensed, scope_of

_logger = logging.getLogger("gpunet")


def find(
    device: str,
    *,
    max_ms: float | None = None,
    min_top1: float | None = None,
    max_params: float | None = None,
    batch_size: int = 1,
    runtime: str | None = None,
    precision: str | None = None,
    include_nominal: bool = False,
    include_baselines: bool = False,
    dataset: str | None = None,
    min_ips: float | None = None,
    licence: str | None = None,
    extra_data: bool | None = None,
    family: str | Sequence[str] | None = None,
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
        zoo: folders of one's own entries; 'timm' for timm's networks with published accuracies. On 'local' those of
            them count that have been measured; `create` measures more.

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
        precision=precision, include_nominal=include_nominal, include_baselines=include_baselines, dataset=dataset,
        min_ips=min_ips, licence=licence, extra_data=extra_data, family=family,
    )  # fmt: skip
    return fitting(query, zoo)


def fitting(query: Query, zoo: Zoo = None, *, refresh: bool = False) -> Matches:
    """What `find` returns; `refresh` as `candidates` takes it."""
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
    device, scope = _device_in(zoo_entries, query.device), scope_of(zoo_entries, query)
    if device == THIS_MACHINE:
        found = _best_here([entry for entry in scope.entries if may_satisfy(entry, query)], query)
    else:
        found = next((each for each in _matches(scope.entries, device, query) if satisfies(each, query)), None)
    if found is None:
        raise nothing_fits(query, zoo)
    return found


def nothing_fits(query: Query, zoo: Zoo = None) -> NothingFitsError:
    """The error of a query that nothing satisfies; of this machine by what has been measured, and measuring nothing."""
    entries = catalog(zoo).values()
    device, scope = _device_in(entries, query.device), scope_of(entries, query)
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


def _best_here(entries: list[Entry], query: Query) -> Match | None:
    """Of the networks of a zoo, from the most accurate down, the first that fits; or one of timm's that is better."""
    found = _best_of_timm(_best_of_each([entry for entry in entries if entry.role == TIMM]), query)
    able = sorted((entry for entry in entries if entry.role != TIMM), key=_inaccuracy)
    for inaccuracy, group in itertools.groupby(able, key=_inaccuracy):
        if found is not None and inaccuracy > _inaccuracy(found.entry):
            break
        fits = [match for match in _matches(list(group), THIS_MACHINE, query) if satisfies(match, query)]
        if fits:
            return min([*fits[:1], *([found] if found else [])], key=lambda each: _rank(each, query))
    return found


def _best_of_timm(entries: list[Entry], query: Query) -> Match | None:
    """Of timm's networks the most accurate that fits here, by a few measurements (`gpunet.zoo.timm_zoo.budget`)."""
    if not entries:
        return None
    from gpunet.zoo.timm_zoo.budget import Work, most_accurate_within

    by_name = {entry.name: entry for entry in entries}
    found = {match.name: match for match in _matches(entries, THIS_MACHINE, query)}

    def measure(name: str) -> float | None:
        try:
            records = _measured_here([by_name[name]], query)
        # What the installed timm lacks, or cannot be exported or run, is no candidate; the query itself was checked.
        except (ExportError, InvalidArgumentError, UnknownModelError) as error:
            _logger.warning("%s is passed over: %s", name, error.message)
            return None
        match = match_of(by_name[name], records, query)
        if match is None:
            return None
        found[name] = match
        return cost_of(match.record, query)

    budget_ms = query.max_ms if query.min_ips is None else 1000 / query.min_ips
    works = [
        Work(each.name, each.top1_percent or 0.0, each.multiply_adds_billions or 0.0, each.activations_millions or 0.0,
             each.parameters_millions or 0.0)
        for each in entries
    ]  # fmt: skip
    known = {name: cost_of(match.record, query) for name, match in found.items()}
    chosen = most_accurate_within(works, math.inf if budget_ms is None else budget_ms, measure, known)
    return None if chosen is None else found[chosen]


def _inaccuracy(entry: Entry) -> float:
    """Sorts the most accurate first; a network whose accuracy nobody measured comes last."""
    return -(entry.top1_percent or 0.0)


def candidates(query: Query, zoo: Zoo = None, *, figures_only: bool = False, refresh: bool = False) -> Matches:
    """Every network with records that apply to the query's device and conditions, whatever its bounds.

    Args:
        figures_only: with baselines, also those that cannot be built here.
        refresh: on 'local', measure all anew and replace what is kept.

    Raises:
        InvalidArgumentError: (a ValueError) refresh for another device, besides those of `find`.
    """
    entries = catalog(zoo).values()
    device = _device_in(entries, query.device)
    if refresh and device != THIS_MACHINE:
        raise InvalidArgumentError(
            f"refresh measures this machine anew, but the device is {query.device!r}.",
            "Leave it out, or ask for 'local'.",
        )
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
    entries = _best_of_each(entries)
    if device == THIS_MACHINE:
        records = _local_records(entries, query, refresh=refresh, kept_only=kept_only)
    else:
        records = {entry.name: [r for r in entry.records if device.covers(r.chip, r.board)] for entry in entries}
    found = (match_of(entry, records.get(entry.name, ()), query) for entry in entries)
    matches = [match for match in found if match is not None]
    return sorted(matches, key=lambda match: _rank(match, query))


def _rank(match: Match, query: Query) -> tuple[float, float, str]:
    return _inaccuracy(match.entry), cost_of(match.record, query), match.name


def _best_of_each(entries: list[Entry]) -> list[Entry]:
    """Of timm's tags of one architecture and input size the most accurate; all others as they are."""
    found: dict[str, Entry] = {}
    for entry in entries:
        key = entry.identity if entry.role == TIMM else f"name {entry.name}"
        if key not in found or _inaccuracy(entry) < _inaccuracy(found[key]):
            found[key] = entry
    return list(found.values())


def device_named(name: str, zoo: Zoo = None) -> Device:
    """The device, if the zoo has figures for it.

    Raises:
        UnknownDeviceError: (a LookupError) it has none; the hint says how to measure one's own.
    """
    return _device_in(catalog(zoo).values(), name)


def _device_in(entries: Iterable[Entry], name: str) -> Device:
    pairs = recorded_devices(entries)
    device = resolve(name, pairs)
    if device != THIS_MACHINE and not any(device.covers(*pair) for pair in pairs):
        known = ", ".join(sorted({chip for chip, _ in pairs}))
        raise UnknownDeviceError(
            f"the zoo has no latency for {device.title}.",
            f"It has figures for {known}. On the machine itself, gpunet.create('local', max_ms=...) or 'gpunet bench' "
            "measures it; records of one's own join by zoo=FOLDER.",
        )
    return device


def recorded_devices(entries: Iterable[Entry]) -> list[tuple[str, str]]:
    """The (chip, board) pairs of all records."""
    return sorted({(record.chip, record.board) for entry in entries for record in entry.records})


def _local_records(
    entries: list[Entry], query: Query, *, refresh: bool, kept_only: bool
) -> dict[str, list[LatencyRecord]]:
    """Records of this machine by name; those of timm's networks that have been measured, of the others all."""
    found: dict[str, list[LatencyRecord]] = {}
    several = [entry for entry in entries if entry.role == TIMM]
    others = [entry for entry in entries if entry.role != TIMM]
    measured = _measured_here(others, query, refresh=refresh, kept_only=kept_only) if others or not several else []
    measured += _measured_here(several, query, refresh=refresh, kept_only=True) if several else []
    for record in measured:
        found.setdefault(record.model, []).append(record)
    return found


def _measured_here(
    entries: list[Entry], query: Query, *, refresh: bool = False, kept_only: bool = False
) -> list[LatencyRecord]:
    from gpunet.zoo.local import local_records

    runtime = query.runtime and without_version(query.runtime)  # which is for `applies` to look at
    return local_records(
        entries, runtime=runtime, batch_size=query.batch_size, precision=query.precision or "fp32", refresh=refresh,
        kept_only=kept_only,
    )  # fmt: skip
