"""What a query asks for, which records answer it, and which of them decides.

Of one runtime and version the slowest record decides: boards and sources differ, and a budget holds on all of them.
TensorRT's family is one runtime, whatever the version. Of several runtimes the fastest counts: whoever asks may choose.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gpunet.core.arguments import (
    PRECISIONS,
    checked_choice,
    checked_integer,
    checked_number,
    checked_patterns,
    is_number,
)
from gpunet.core.device import LOCAL
from gpunet.errors import InvalidArgumentError
from gpunet.model.entry import Entry, LatencyRecord, Match, counted_once
from gpunet.zoo.choice.estimated import bound_ms

TENSORRT_FAMILY = ("tensorrt", "onnxruntime-tensorrt", "tensorrt_rtx")
LICENCES = ("permissive", "any")


@dataclass(frozen=True, kw_only=True)
class Query:
    """The conditions of `find`, checked; see there."""

    device: str
    max_ms: float | None = None
    min_top1: float | None = None
    max_params: float | None = None
    min_ips: float | None = None
    batch_size: int = 1
    runtime: str | None = None
    precision: str | None = None
    threads: int | None = None
    include_nominal: bool = False
    include_baselines: bool = False
    dataset: str | None = None
    licence: str | None = None
    extra_data: bool | None = None
    family: str | Sequence[str] | None = None
    thorough: bool = False
    budget_minutes: float | None = None
    estimates: bool = False
    confidence: float = 0.8
    gpu_sheet: str | Path | None = None

    def __post_init__(self) -> None:
        _check_number("max_ms", self.max_ms, "a latency in milliseconds above 0")
        _check_number("min_top1", self.min_top1, "an accuracy in percent, above 0 and at most 100", at_most=100)
        _check_number("max_params", self.max_params, "a number of parameters above 0")
        _check_number("min_ips", self.min_ips, "images a second above 0")
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
        if self.max_ms is not None and self.min_ips is not None and self.batch_size == 1:
            raise InvalidArgumentError(
                "max_ms and min_ips together are of one batch size above 1, but batch_size is 1.",
                "Leave one of them out, or give batch_size=N.",
            )
        if self.precision is not None:
            checked_choice("precision", self.precision, PRECISIONS)
        if self.runtime is not None and (not isinstance(self.runtime, str) or not self.runtime):
            raise InvalidArgumentError(f"runtime must be a name such as 'tensorrt', but got {self.runtime!r}.")
        if self.threads is not None:
            checked_integer("threads", self.threads, 1)
            if str(self.device).lower() != LOCAL:
                raise InvalidArgumentError(
                    f"threads are of this machine's measurements, but the device is {self.device!r}.",
                    "Leave threads out, or ask about 'local'.",
                )
        if self.dataset is not None and (not isinstance(self.dataset, str) or not self.dataset.strip()):
            raise InvalidArgumentError(f"dataset must be a name such as 'imagenet-1k', but got {self.dataset!r}.")
        if self.licence is not None:
            checked_choice("licence", self.licence, LICENCES)
        if not isinstance(self.extra_data, (bool, type(None))):
            raise InvalidArgumentError(f"extra_data must be True, False or None, but got {self.extra_data!r}.")
        if self.family is not None:
            checked_patterns("family", self.family)
        if not isinstance(self.thorough, bool):
            raise InvalidArgumentError(f"thorough must be True or False, but got {self.thorough!r}.")
        _check_number("budget_minutes", self.budget_minutes, "minutes above 0")
        self._check_estimates()

    def _check_estimates(self) -> None:
        if not isinstance(self.estimates, bool):
            raise InvalidArgumentError(f"estimates must be True or False, but got {self.estimates!r}.")
        checked_number("confidence", self.confidence, 0.01, 0.99)
        if self.gpu_sheet is not None and not self.estimates:
            raise InvalidArgumentError(
                "gpu_sheet is of estimates, which are not asked for.", "Add estimates=True, or --estimates."
            )
        if self.estimates and self.device == LOCAL:
            raise InvalidArgumentError("this machine is measured, not estimated.", "Leave estimates out.")
        if self.estimates and self.runtime is not None and without_version(self.runtime) not in TENSORRT_FAMILY:
            raise InvalidArgumentError(
                f"estimates are of TensorRT, but the runtime is {self.runtime!r}.", "Leave runtime or estimates out."
            )
        if self.estimates and self.min_ips is not None:
            raise InvalidArgumentError(
                "estimates are of latency, but min_ips asks for images a second.", "Give batch_size=N and max_ms."
            )

    @property
    def searches(self) -> bool:
        """Whether it says how to search among timm's networks, and so asks for it."""
        return self.thorough or self.budget_minutes is not None


def _check_number(name: str, value: object, what: str, at_most: float = math.inf) -> None:
    if value is None:
        return
    if not is_number(value) or not 0 < value <= at_most:  # type: ignore[operator]
        raise InvalidArgumentError(f"{name} must be {what}, but got {value!r}.")


def check_runtime(name: str | None, recorded: set[str]) -> None:
    """Raise InvalidArgumentError for a name that is no runtime's, with the close ones; with a version it may end."""
    from gpunet.runtime import canonical, names  # not for who names none

    known = {*recorded, *names()}
    if name is None or canonical(without_version(name)) in known:
        return
    close = difflib.get_close_matches(name, known)
    raise InvalidArgumentError(
        f"runtime {name!r} is not known.", f"There are {', '.join(sorted(known))}.", nearest=close
    )


def without_version(runtime: str) -> str:
    """A runtime's name without the version that it may end in: 'tensorrt' of 'tensorrt-8.0.1'."""
    return re.sub(r"-\d.*$", "", runtime)


def match_of(entry: Entry, records: Iterable[LatencyRecord], query: Query) -> Match | None:
    """The network with those records that answer the query, and the one that decides; None where none does."""
    applying = counted_once(each for each in records if applies(each, query) and _is_of_its_accuracy(each, entry))
    return Match(entry, _decider(applying, query), applying) if applying else None


def _decider(records: Sequence[LatencyRecord], query: Query) -> LatencyRecord:
    """Of the slowest of each runtime the fastest: by latency, or by throughput where that is asked for."""
    slowest: dict[tuple[str, str, int], LatencyRecord] = {}
    for each in records:
        family = each.runtime in TENSORRT_FAMILY
        key = ("tensorrt", "", each.batch_size) if family else (each.runtime, each.runtime_version, each.batch_size)
        if key not in slowest or cost_of(each, query) > cost_of(slowest[key], query):
            slowest[key] = each
    return min(slowest.values(), key=lambda each: cost_of(each, query))


def cost_of(record: LatencyRecord, query: Query) -> float:
    """What a query wants little of: milliseconds for the batch; with `min_ips`, for an image."""
    return record.latency_ms if query.min_ips is None else 1000 / (record.throughput_ips or math.inf)


def satisfies(match: Match, query: Query) -> bool:
    """Whether a candidate keeps the query's bounds."""
    if query.max_ms is not None and bound_ms(match) > query.max_ms:
        return False
    if query.min_ips is not None and (match.record.throughput_ips or 0.0) < query.min_ips:
        return False
    return may_satisfy(match.entry, query)


def may_satisfy(entry: Entry, query: Query) -> bool:
    """Whether a network keeps the bounds that are not its latency's."""
    if query.min_top1 is not None and (entry.top1_percent is None or entry.top1_percent < query.min_top1):
        return False
    return query.max_params is None or (entry.parameters is not None and entry.parameters <= query.max_params)


def applies(record: LatencyRecord, query: Query) -> bool:
    """Whether a record of the device meets the query's batch size, runtime, precision and kind."""
    if record.kind == "nominal" and not query.include_nominal:
        return False
    if query.precision is not None and record.precision != query.precision:
        return False
    if query.min_ips is not None:
        if record.throughput_ips is None or query.batch_size not in (1, record.batch_size):
            return False
        if query.runtime is None:
            return True
    elif record.batch_size != query.batch_size:
        return False
    elif record.kind == "throughput" and (query.runtime is None or record.batch_size == 1):
        return False  # it answers where its own runtime is named, and never as the latency of one image
    if query.runtime is None:
        gpu = record.chip != LOCAL and not record.threads
        return record.runtime in TENSORRT_FAMILY if gpu else True
    from gpunet.runtime import canonical

    wanted = canonical(query.runtime)
    if wanted == "tensorrt":
        return record.runtime in TENSORRT_FAMILY
    full = f"{record.runtime}-{record.runtime_version}"
    return wanted == record.runtime or full == wanted or full.startswith(f"{wanted}.")


def _is_of_its_accuracy(record: LatencyRecord, entry: Entry) -> bool:
    """Whether a record is of the network whose accuracy is known: one in integers has an accuracy of its own."""
    return entry.accuracy is None or (record.precision == "int8") == (entry.accuracy.precision == "int8")
