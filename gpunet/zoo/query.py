"""find: which networks satisfy a latency budget on a device, and by which records.

Where several records of a network apply (boards, sources, runtimes of one family, precisions), the slowest decides.
Nominal figures, a tier's label for example, count only when asked for. Accuracies of one data set are ranked, never of
several (`gpunet.zoo.scope`).
"""

from __future__ import annotations

import dataclasses
import difflib
import itertools
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

from gpunet.core.arguments import checked_integer, is_number
from gpunet.core.device import LOCAL, THIS_MACHINE, Device, resolve
from gpunet.errors import InvalidArgumentError, NothingFitsError, UnknownDeviceError
from gpunet.model.entry import Entry, LatencyRecord, Match, counted_once
from gpunet.runtime import canonical
from gpunet.runtime import names as runtime_names
from gpunet.zoo.catalog import Zoo, catalog
from gpunet.zoo.scope import Matches, Scope, counted, left_out_text, scope_of

TENSORRT_FAMILY = ("tensorrt", "onnxruntime-tensorrt", "tensorrt_rtx")
PRECISIONS = ("fp32", "fp16", "int8")


@dataclass(frozen=True, kw_only=True)
class Query:
    """The conditions of `find`, checked; see there."""

    device: str
    max_ms: float | None = None
    min_top1: float | None = None
    max_params: float | None = None
    batch_size: int = 1
    runtime: str | None = None
    precision: str | None = None
    include_nominal: bool = False
    include_baselines: bool = False
    dataset: str | None = None

    def __post_init__(self) -> None:
        _check_number("max_ms", self.max_ms, "a latency in milliseconds above 0")
        _check_number("min_top1", self.min_top1, "an accuracy in percent, above 0 and at most 100", at_most=100)
        _check_number("max_params", self.max_params, "a number of parameters above 0")
        if self.min_top1 is not None and self.min_top1 <= 1:
            raise InvalidArgumentError(
                f"min_top1 is in percent, but got {self.min_top1!r}.", f"Did you mean {100 * self.min_top1:g}?"
            )
        if self.max_params is not None and self.max_params < 1000:
            raise InvalidArgumentError(
                f"max_params counts single parameters, but got {self.max_params!r}.",
                f"For {self.max_params:g} million, pass {self.max_params:g}e6.",
            )
        checked_integer("batch_size", self.batch_size, 1)
        if self.precision is not None and self.precision not in PRECISIONS:
            raise InvalidArgumentError(f"precision must be one of {', '.join(PRECISIONS)}, but got {self.precision!r}.")
        if self.runtime is not None and (not isinstance(self.runtime, str) or not self.runtime):
            raise InvalidArgumentError(f"runtime must be a name such as 'tensorrt', but got {self.runtime!r}.")
        if self.dataset is not None and (not isinstance(self.dataset, str) or not self.dataset.strip()):
            raise InvalidArgumentError(f"dataset must be a name such as 'imagenet-1k', but got {self.dataset!r}.")


def _check_number(name: str, value: object, what: str, at_most: float = math.inf) -> None:
    if value is None:
        return
    if not is_number(value) or not 0 < value <= at_most:  # type: ignore[operator]
        raise InvalidArgumentError(f"{name} must be {what}, but got {value!r}.")


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
        precision: 'fp32', 'fp16' or 'int8'. Default: all that are recorded; on 'local' fp32.
        include_nominal: let nominal figures (a tier's label) count too.
        include_baselines: the paper's baselines that timm can build, too.
        dataset: the images whose accuracies are ranked, such as 'digits (validation)', or its beginning, 'digits'.
            Default: ImageNet-1k's validation images. Entries with an accuracy of others are left out.
        zoo: folders of one's own entries.

    Returns:
        A list of matches, empty where nothing fits; its `dataset` is the one ranked by, its `left_out` how many
        networks have an accuracy of another, by its name.

    Warns:
        EntryWarning: an entry or a record of `zoo` cannot be read, and is passed over.

    Raises:
        UnknownDeviceError: (a LookupError) no such device, or the zoo has no figure for it.
        InvalidArgumentError: (a ValueError) a condition makes no sense.
    """
    query = Query(
        device=device, max_ms=max_ms, min_top1=min_top1, max_params=max_params, batch_size=batch_size, runtime=runtime,
        precision=precision, include_nominal=include_nominal, include_baselines=include_baselines, dataset=dataset,
    )  # fmt: skip
    return fitting(query, zoo)


def fitting(query: Query, zoo: Zoo = None, *, refresh: bool = False) -> Matches:
    """What `find` returns; `refresh` as `candidates` takes it."""
    found = candidates(query, zoo, refresh=refresh)
    fits = (match for match in found if satisfies(match, query))
    return Matches(fits, dataset=found.dataset, left_out=found.left_out)


def best(query: Query, zoo: Zoo = None) -> Match:
    """The first Match of `find`.

    On 'local' the networks are looked at from the most accurate down, and those below the first that fits are not
    measured: they could not be the answer.

    Raises:
        NothingFitsError: (a LookupError) naming the nearest networks and their figures.
    """
    zoo_entries = catalog(zoo)
    device, scope = _device_in(zoo_entries.values(), query.device), _scope(query, zoo_entries.values())
    groups = [scope.entries]
    if device == THIS_MACHINE:
        able = sorted((entry for entry in scope.entries if _may_satisfy(entry, query)), key=_inaccuracy)
        groups = [list(group) for _, group in itertools.groupby(able, key=_inaccuracy)]
    for group in groups:
        found = [match for match in _matches(group, device, query) if satisfies(match, query)]
        if found:
            return found[0]
    raise _nothing_fits(query, device, scope, zoo_entries.values())


def _inaccuracy(entry: Entry) -> float:
    """Sorts the most accurate first; a network whose accuracy nobody measured comes last."""
    return -(entry.top1_percent or 0.0)


def satisfies(match: Match, query: Query) -> bool:
    """Whether a candidate keeps the query's three bounds."""
    return (query.max_ms is None or match.latency_ms <= query.max_ms) and _may_satisfy(match.entry, query)


def _may_satisfy(entry: Entry, query: Query) -> bool:
    """Whether a network keeps the bounds that are not its latency's."""
    if query.min_top1 is not None and (entry.top1_percent is None or entry.top1_percent < query.min_top1):
        return False
    return query.max_params is None or (entry.parameters is not None and entry.parameters <= query.max_params)


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
    scope = _scope(query, entries, figures_only=figures_only)
    found = _matches(scope.entries, device, query, refresh=refresh)
    return Matches(found, dataset=scope.dataset, left_out=_left_out(scope, device, query))


def _scope(query: Query, entries: Iterable[Entry], *, figures_only: bool = False) -> Scope:
    return scope_of(entries, query.dataset, baselines=query.include_baselines, figures_only=figures_only)


def _left_out(scope: Scope, device: Device, query: Query) -> dict[str, int]:
    """What a query's data set leaves out: of this machine all, unmeasured, of another what has a record that applies.

    Bounds on the latency and the size count; one on the accuracy is of other images.
    """
    if device == THIS_MACHINE:
        return counted(scope.others)
    bounds = dataclasses.replace(query, min_top1=None)
    return counted(match.entry for match in _matches(scope.others, device, query) if satisfies(match, bounds))


def _matches(entries: list[Entry], device: Device, query: Query, *, refresh: bool = False) -> list[Match]:
    """A Match for each network with records that apply, the most accurate first, ties to the faster."""
    if device == THIS_MACHINE:
        records = _local_records(entries, query, refresh=refresh)
    else:
        records = {entry.name: [r for r in entry.records if device.covers(r.chip, r.board)] for entry in entries}
    matches = []
    for entry in entries:
        applying = counted_once(r for r in records.get(entry.name, ()) if applies(r, query))
        if applying:
            matches.append(Match(entry, max(applying, key=lambda record: record.latency_ms), applying))
    matches.sort(key=lambda match: (_inaccuracy(match.entry), match.latency_ms, match.name))
    return matches


def applies(record: LatencyRecord, query: Query) -> bool:
    """Whether a record of the device meets the query's batch size, runtime, precision and kind."""
    if record.batch_size != query.batch_size or (record.kind == "nominal" and not query.include_nominal):
        return False
    if query.precision is not None and record.precision != query.precision:
        return False
    if query.runtime is None:
        gpu = record.chip != LOCAL and not record.threads
        return record.runtime in TENSORRT_FAMILY if gpu else True
    wanted = canonical(query.runtime)
    if wanted == "tensorrt":
        return record.runtime in TENSORRT_FAMILY
    full = f"{record.runtime}-{record.runtime_version}"
    return wanted == record.runtime or full == wanted or full.startswith(f"{wanted}.")


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


def _local_records(entries: list[Entry], query: Query, *, refresh: bool) -> dict[str, list[LatencyRecord]]:
    from gpunet.zoo.local import local_records

    found: dict[str, list[LatencyRecord]] = {}
    runtime = query.runtime and re.sub(r"-\d.*$", "", query.runtime)  # a version is for `applies` to look at
    measured = local_records(
        entries,
        runtime=runtime,
        batch_size=query.batch_size,
        precision=query.precision or "fp32",
        refresh=refresh,
    )
    for record in measured:
        found.setdefault(record.model, []).append(record)
    return found


def _check_runtime(name: str | None, recorded: set[str]) -> None:
    """Raise InvalidArgumentError for a name that is no runtime's, with the close ones; with a version it may end."""
    known = {*recorded, *runtime_names()}
    if name is None or canonical(re.sub(r"-\d.*$", "", name)) in known:
        return
    close = difflib.get_close_matches(name, known)
    raise InvalidArgumentError(
        f"runtime {name!r} is not known.", f"There are {', '.join(sorted(known))}.", nearest=close
    )


def _nothing_fits(query: Query, device: Device, scope: Scope, zoo_entries: Iterable[Entry]) -> NothingFitsError:
    everything = _matches(scope.entries, device, query)
    unbound = dataclasses.replace(query, max_ms=None, max_params=None)
    left_out = left_out_text(scope.dataset, _left_out(scope, device, unbound))
    bounds = {
        "at most {:g} ms": query.max_ms,
        f"top-1 of at least {{:g}} % on {scope.dataset}": query.min_top1,
        "at most {:,.0f} parameters": query.max_params,
    }
    asked = (
        " and ".join(text.format(value) for text, value in bounds.items() if value is not None) or "these conditions"
    )
    where = f"{query.device} at batch {query.batch_size}"
    if not everything:
        records = [r for e in zoo_entries for r in e.records if device.covers(r.chip, r.board)]
        _check_runtime(query.runtime, {r.runtime for r in records})
        sizes = ", ".join(str(size) for size in sorted({r.batch_size for r in records}))
        runtimes = ", ".join(sorted({r.runtime for r in records}))
        precisions = ", ".join(sorted({r.precision for r in records}))
        ranked = f" of a network with an accuracy on {scope.dataset}" if left_out else ""
        return NothingFitsError(
            f"no record{ranked} applies to {where}, runtime {query.runtime or 'default'}, "
            f"precision {query.precision or 'any'}.",
            left_out or f"Recorded for it: batch sizes {sizes}; runtimes {runtimes}; precisions {precisions}.",
        )

    def shortfall(match: Match) -> float:
        over = [0.0]
        if query.max_ms is not None:
            over.append(match.latency_ms / query.max_ms - 1)
        if query.min_top1 is not None:
            over.append((query.min_top1 - (match.top1_percent or 0.0)) / 10)
        if query.max_params is not None:
            over.append((match.entry.parameters or math.inf) / query.max_params - 1)
        return max(over)

    nearest = sorted(everything, key=shortfall)[:3]
    lines = "\n".join(f"  {match}" for match in nearest)
    names = [match.name for match in nearest]
    hint = f"The nearest:\n{lines}" + (left_out and f"\n{left_out}")
    return NothingFitsError(f"no network fits {where} with {asked}.", hint, nearest=names)
