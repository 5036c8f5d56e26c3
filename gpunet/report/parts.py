"""The parts of a search's report: tiers with their samples and trials, and the networks that won.

Latencies are in milliseconds for a whole batch, accuracies are top-1 in percent. A part's `check` raises SpecError, and
begins with the path that it is given: ``tiers[1].trials[4].state: ...``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from gpunet.core.fields import check_name, check_number, check_one_of, part_from_dict
from gpunet.errors import SpecError
from gpunet.model.spec import NetworkSpec

STATES = ("complete", "pruned", "fail", "running", "waiting")
"""Optuna's names, in lower case."""
ENDED_STATES = STATES[:3]
_Part = TypeVar("_Part")


def _check_percent(path: str, value: object) -> None:
    check_number(path, value, 0, 100, rule="accuracies are in percent, from 0 to 100")


def _check_time(path: str, value: object) -> None:
    check_number(path, value, 0, above=True, rule="latencies are in ms, above 0")


def _check_list(path: str, value: object) -> None:
    if not isinstance(value, tuple):
        raise SpecError(f"{path}: {value!r:.60} is not a list")


def check_parts(path: str, parts: Any, part_type: type[Any]) -> None:
    """Raise SpecError unless it is a tuple of parts of this type that hold their own rules."""
    _check_list(path, parts)
    for index, part in enumerate(parts):
        if not isinstance(part, part_type):
            raise SpecError(f"{path}[{index}]: {part!r:.60} is not a {part_type.__name__}")
        part.check(f"{path}[{index}]")


def check_unique(path: str, name: str, values: Sequence[object]) -> None:
    """Raise SpecError where a value is there twice."""
    twice = [value for value, times in Counter(values).items() if times > 1]
    if twice:
        raise SpecError(f"{path}: {name} {twice[0]!r} is there twice")


@dataclass(frozen=True)
class Sample:
    """The sampled points of a tier by their estimated latency.

    Args:
        count: how many points of the sample fell into the tier.
        edges_ms: of the histogram's bins, rising; one more than counts, or none where there is no histogram.
        counts: points in each bin; together at most `count` (a histogram may be of a part).
    """

    count: int
    edges_ms: tuple[float, ...] = ()
    counts: tuple[int, ...] = ()

    def check(self, path: str) -> None:
        """Raise SpecError, naming `path`, where a value breaks its rule."""
        check_number(f"{path}.count", self.count, 0, whole=True, rule="a sample has 0 or more points")
        _check_list(f"{path}.edges_ms", self.edges_ms)
        _check_list(f"{path}.counts", self.counts)
        for index, edge in enumerate(self.edges_ms):
            check_number(f"{path}.edges_ms[{index}]", edge, 0, rule="edges are in ms, at least 0")
            if index and edge <= self.edges_ms[index - 1]:
                raise SpecError(f"{path}.edges_ms[{index}]: {edge!r} is not above the edge before it")
        for index, each in enumerate(self.counts):
            check_number(f"{path}.counts[{index}]", each, 0, whole=True, rule="a bin has 0 or more points")
        if len(self.edges_ms) != (len(self.counts) + 1 if self.counts else 0):
            raise SpecError(
                f"{path}.edges_ms: {len(self.edges_ms)} edges do not bound {len(self.counts)} bins",
                "Give one edge more than counts, or none of both.",
            )
        if sum(self.counts) > self.count:
            raise SpecError(f"{path}.counts: the bins hold {sum(self.counts)} points, the sample only {self.count}")


@dataclass(frozen=True)
class TrialPoint:
    """One trial of a search.

    Args:
        number: unique in its tier, from 0 up, in the order of their start.
        state: of STATES.
        estimated_ms: by the latency table.
        top1_percent: what it scored; None where it did not end.
        measured_ms: the whole network's, where somebody measured it.
        least_ms: of that measurement's repeats.
    """

    number: int
    state: str
    estimated_ms: float
    top1_percent: float | None
    measured_ms: float | None = None
    least_ms: float | None = None

    @property
    def compared_ms(self) -> float | None:
        """What its estimate is compared with; see `NetworkReport.compared_ms`."""
        return self.measured_ms if self.least_ms is None else self.least_ms

    def check(self, path: str) -> None:
        """Raise SpecError, naming `path`, where a value breaks its rule."""
        check_number(f"{path}.number", self.number, 0, whole=True, rule="trials are numbered from 0")
        check_one_of(f"{path}.state", self.state, STATES)
        _check_time(f"{path}.estimated_ms", self.estimated_ms)
        if self.top1_percent is not None:
            _check_percent(f"{path}.top1_percent", self.top1_percent)
        elif self.state == "complete":
            raise SpecError(f"{path}.top1_percent: missing, though the trial is complete")
        for name in ("measured_ms", "least_ms"):
            if getattr(self, name) is not None:
                _check_time(f"{path}.{name}", getattr(self, name))


@dataclass(frozen=True)
class WholePoint:
    """A network that was measured whole for the latency table.

    Args:
        layers: how many it has.
        estimated_ms: by a table that did not know the measurement.
        measured_ms: of it.
    """

    layers: int
    estimated_ms: float
    measured_ms: float

    def check(self, path: str) -> None:
        """Raise SpecError, naming `path`, where a value breaks its rule."""
        check_number(f"{path}.layers", self.layers, 1, whole=True, rule="a network has layers")
        for name in ("estimated_ms", "measured_ms"):
            _check_time(f"{path}.{name}", getattr(self, name))


@dataclass(frozen=True)
class TierReport:
    """A tier of estimated latency, what was sampled in it, and the trials of its search.

    Args:
        name: unique in the report.
        low_ms, high_ms: `low_ms <= estimate < high_ms`; None for no upper bound.
        sample: the sampled points that fell into it.
        trials: of the search.
        random_top1_percent: what random networks of the tier scored, in the order of their trials.
    """

    name: str
    low_ms: float
    high_ms: float | None
    sample: Sample
    trials: tuple[TrialPoint, ...] = ()
    random_top1_percent: tuple[float, ...] = ()

    @cached_property
    def complete(self) -> tuple[TrialPoint, ...]:
        """The trials that ended with an accuracy, by number."""
        return tuple(sorted((t for t in self.trials if t.state == "complete"), key=lambda trial: trial.number))

    @property
    def label(self) -> str:
        """The bounds in words, e.g. '0.5 to 1 ms'."""
        if self.high_ms is None:
            return f"{self.low_ms:g} ms or more"
        return f"below {self.high_ms:g} ms" if self.low_ms == 0 else f"{self.low_ms:g} to {self.high_ms:g} ms"

    def check(self, path: str) -> None:
        """Raise SpecError, naming `path`, where a value breaks its rule."""
        check_name(f"{path}.name", self.name)
        check_number(f"{path}.low_ms", self.low_ms, 0, rule="bounds are in ms, at least 0")
        if self.high_ms is not None:
            check_number(f"{path}.high_ms", self.high_ms, self.low_ms, above=True, rule="it is above low_ms")
        if not isinstance(self.sample, Sample):
            raise SpecError(f"{path}.sample: {self.sample!r:.60} is not a Sample")
        self.sample.check(f"{path}.sample")
        check_parts(f"{path}.trials", self.trials, TrialPoint)
        check_unique(f"{path}.trials", "number", [trial.number for trial in self.trials])
        _check_list(f"{path}.random_top1_percent", self.random_top1_percent)
        for index, each in enumerate(self.random_top1_percent):
            _check_percent(f"{path}.random_top1_percent[{index}]", each)


@dataclass(frozen=True)
class NetworkReport:
    """A network that won its tier.

    Args:
        name: unique in the report.
        tier: name of its tier.
        top1_percent: top-1 accuracy.
        estimated_ms: by the latency table; None where there is no estimate.
        measured_ms: of the whole network; None where nobody measured it.
        spread_ms: upper less lower quartile of the measurement's repeats; None where it is not known.
        parameters, multiply_adds: counted singly; the latter for one image.
        spec: the architecture: `NetworkSpec.to_dict()`, or whatever another space decodes to, as plain JSON types.
        note: whatever else should be said of it.
        least_ms: least of the measurement's repeats; None where it is not known.
    """

    name: str
    tier: str
    top1_percent: float
    estimated_ms: float | None
    measured_ms: float | None
    spread_ms: float | None
    parameters: int
    multiply_adds: int
    spec: Mapping[str, Any] = field(hash=False)
    note: str = ""
    least_ms: float | None = None

    @property
    def compared_ms(self) -> float | None:
        """What its estimate is compared with: tables hold least figures, as other programs only ever add time."""
        return self.measured_ms if self.least_ms is None else self.least_ms

    @cached_property
    def network(self) -> NetworkSpec | None:
        """The architecture as a NetworkSpec; None for one that is not GPUNet's."""
        return NetworkSpec.from_dict(self.spec) if "stages" in self.spec else None

    @property
    def input_px(self) -> str:
        """Side of its input; '-' where the architecture does not say."""
        return str(self.spec.get("resolution_px", "-"))

    def check(self, path: str) -> None:
        """Raise SpecError, naming `path`, where a value breaks its rule."""
        check_name(f"{path}.name", self.name)
        check_name(f"{path}.tier", self.tier)
        _check_percent(f"{path}.top1_percent", self.top1_percent)
        for name in ("estimated_ms", "measured_ms", "least_ms"):
            if getattr(self, name) is not None:
                _check_time(f"{path}.{name}", getattr(self, name))
        if self.spread_ms is not None:
            check_number(f"{path}.spread_ms", self.spread_ms, 0, rule="spreads are in ms, at least 0")
        for name in ("parameters", "multiply_adds"):
            check_number(f"{path}.{name}", getattr(self, name), 1, whole=True, rule="they are counted singly")
        if not isinstance(self.spec, Mapping) or not self.spec:
            raise SpecError(f"{path}.spec: {self.spec!r} is not an architecture")
        try:
            _ = self.network
        except SpecError as error:
            raise SpecError(f"{path}.spec: {error.message}", error.hint) from None
        if not isinstance(self.note, str):
            raise SpecError(f"{path}.note: {self.note!r} is not a text")


def parts_from_list(data: object, part_type: type[_Part], path: str) -> tuple[_Part, ...]:
    """A list of parts, their own lists and parts made too."""
    if not isinstance(data, (list, tuple)):
        raise SpecError(f"{path}: {data!r:.60} is not a list")
    return tuple(_part(each, part_type, f"{path}[{index}]") for index, each in enumerate(data))


def _part(data: object, part_type: type[_Part], path: str) -> _Part:
    if isinstance(data, Mapping):
        data = {key: tuple(value) if isinstance(value, list) else value for key, value in data.items()}
        if part_type is TierReport:
            if "sample" in data:
                data["sample"] = _part(data["sample"], Sample, f"{path}.sample")
            if "trials" in data:
                data["trials"] = parts_from_list(data["trials"], TrialPoint, f"{path}.trials")
    return part_from_dict(part_type, data, path)
