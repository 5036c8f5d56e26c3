"""Hold-outs: what the estimates are worth on what they have not seen, and the intervals that follow.

A unit (a chip, an architecture, a source) is left out of all that is fitted, then estimated. The boards of one chip are
left out together. Errors are logarithms of measured over estimated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from gpunet.latency.gpu.calibration import Constants, Problem, fitted
from gpunet.latency.gpu.errors_left_out import (
    ANCHORED,
    LAYERS,
    SHEET,
    TRANSFERRED,
    UNTRIED,
    Calibration,
    factors_of,
)
from gpunet.latency.gpu.kernels import KernelTable
from gpunet.latency.gpu.layer_records import START_FORM, is_recorded, layer_us, recorded_us, taken
from gpunet.latency.gpu.public_records import PublicRecord
from gpunet.latency.gpu.scope import ATTENTIVE, CONVOLUTIONAL, kind_of_network
from gpunet.latency.gpu.sheets import chip_of, sheet_named

Unit = Callable[[PublicRecord], str]
_STEPS = 5  # of a fold's fit, which begins at the fit to all
# What else the layers' form may be: how much slower than its bytes a normalisation or a reduction is; the constant a
# kernel is fitted with each. The memory's share is what the records show, for at batch 1 no network tells it.
FORMS = tuple({"x_norm": norm, "x_reduce": reduce} for norm, reduce in ((4.4, 3.5), (2.0, 2.0), (1.0, 1.0)))
_KERNEL_US = np.arange(2.5, 7.51, 0.1)


def chip(record: PublicRecord) -> str:
    """The chip of a record's board."""
    return chip_of(sheet_named(record.gpu))


def architecture(record: PublicRecord) -> str:
    """The architecture of a record's GPU."""
    return sheet_named(record.gpu).architecture


def source(record: PublicRecord) -> str:
    """Who published it."""
    return record.source_id


@dataclass(frozen=True)
class HeldOut:
    """Estimates of records whose unit was left out.

    Args:
        records: in order.
        estimated_ms: of each, `n`.
        units: whose each record is.
        constants: fitted without a unit, by its name.
    """

    records: Sequence[PublicRecord]
    estimated_ms: np.ndarray
    units: Sequence[str]
    constants: Mapping[str, Constants]

    @property
    def errors(self) -> np.ndarray:
        """Logarithms of measured over estimated, `n`."""
        return np.log(np.array([each.latency_ms for each in self.records]) / self.estimated_ms)


def held_out(problem: Problem, unit: Unit, start: Constants) -> HeldOut:
    """Leave out each unit in turn, fit the others from `start`, and estimate it."""
    units = [unit(each) for each in problem.records]
    made, constants = np.zeros(len(units)), {}
    for name in sorted(set(units)):
        constants[name] = fitted(problem.only(lambda each, name=name: unit(each) != name), start, steps=_STEPS)  # type: ignore[misc]
        places = [place for place, each in enumerate(units) if each == name]
        own = Problem([problem.records[place] for place in places], problem.tables, problem.sheets)
        made[places] = own.estimated_ms(constants[name])
    return HeldOut(problem.records, made, units, constants)


def transferred(held: HeldOut, problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """Errors after a network's own error on other GPUs is taken off, `n`, and which records have one, `n`.

    The error elsewhere is by the constants that do not know the unit; of each GPU and source its middle is taken off
    first, as the estimator does.
    """
    errors = held.errors.copy()
    known = np.zeros(len(errors), bool)
    at_one = problem.only(lambda each: each.batch_size == 1)
    for unit, constants in held.constants.items():
        logs = np.log(at_one.measured_ms() / at_one.estimated_ms(constants))
        groups: dict[tuple[str, str], list[int]] = {}
        for place, each in enumerate(at_one.records):
            groups.setdefault((each.gpu, each.source_id), []).append(place)
        for places in groups.values():
            logs[places] -= np.median(logs[places])
        for place, record in enumerate(held.records):
            if held.units[place] == unit:
                own = [log for log, each in zip(logs, at_one.records, strict=True)
                       if each.network == record.network and chip(each) != unit]  # fmt: skip
                if own:
                    errors[place] -= float(np.mean(own))
                    known[place] = True
    return errors, known


def anchored(errors: np.ndarray, held: HeldOut, trust: float) -> list[tuple[int, float]]:
    """Errors with one measurement on the unit: every record by every other of its board, source and batch size.

    Returns:
        Pairs of a record's place and its error.
    """
    groups: dict[tuple[str, str, int], list[int]] = {}
    for place, each in enumerate(held.records):
        groups.setdefault((each.gpu, each.source_id, each.batch_size), []).append(place)
    return [
        (place, float(errors[place] - trust * errors[anchor]))
        for places in groups.values() for place in places for anchor in places if anchor != place
    ]  # fmt: skip


def trust_of(errors: np.ndarray, held: HeldOut) -> float:
    """The share of an error that is the GPU's and the source's, not the network's: variance between over total."""
    groups: dict[tuple[str, str], list[float]] = {}
    for error, each in zip(errors, held.records, strict=True):
        groups.setdefault((each.gpu, each.source_id), []).append(float(error))
    several = [each for each in groups.values() if len(each) > 1]
    within = float(np.mean([np.var(each, ddof=1) for each in several]))
    between = max(0.0, float(np.mean([np.mean(each) ** 2 - np.var(each, ddof=1) / len(each) for each in several])))
    return between / (between + within)


# ---------------------------------------------------------------------------------------------- the V100's layers


@dataclass(frozen=True)
class Layers:
    """Measured networks on the V100 with what the layer records say of their convolutions.

    Args:
        records: in order.
        tables: kernels of each.
        recorded: what `recorded_us` gives for each.
    """

    records: Sequence[PublicRecord]
    tables: Sequence[KernelTable]
    recorded: Sequence[np.ndarray]

    @classmethod
    def of(cls, problem: Problem) -> Layers:
        """Those of a problem's records that are of a V100 and have no grouped convolution."""
        records = [each for each in problem.records if each.gpu in ("V100", "Quadro GV100")]
        records = [each for each in records if not problem.tables[each.network].of_kind("grouped").any()]
        tables = [problem.tables[each.network] for each in records]
        recorded = [recorded_us(taken(table, is_recorded(table)), each.batch_size)
                    for each, table in zip(records, tables, strict=True)]  # fmt: skip
        return cls(records, tables, recorded)

    def estimated_ms(self, form: Constants) -> np.ndarray:
        """Of each record, `n`."""
        return np.array([
            float((layer_us(table, each.batch_size, form, us) * table.count).sum()) / 1e3
            for each, table, us in zip(self.records, self.tables, self.recorded, strict=True)
        ])  # fmt: skip

    def only(self, chosen: Callable[[PublicRecord], bool]) -> Layers:
        """Some of them."""
        places = [place for place, each in enumerate(self.records) if chosen(each)]
        return Layers([self.records[place] for place in places], [self.tables[place] for place in places],
                      [self.recorded[place] for place in places])  # fmt: skip

    def best_form(self, forms: Sequence[Constants] = FORMS) -> dict[str, float]:
        """Of the forms, each with its best constant a kernel, the one of least mean error; a family counts as one."""
        measured = np.array([each.latency_ms for each in self.records])
        families = [each.family for each in self.records]
        weights = np.array([1.0 / families.count(each) for each in families])
        counts = np.array([float(each.count.sum()) for each in self.tables])
        found: list[tuple[float, dict[str, float]]] = []
        for form in forms:
            free = self.estimated_ms({**START_FORM, **form, "kernel_us": 0.0})
            for kernel_us in _KERNEL_US:
                errors = np.abs((free + kernel_us * counts / 1e3) / measured - 1.0)
                cost = float((errors * weights).sum() / weights.sum())
                found.append((cost, {**START_FORM, **form, "kernel_us": round(float(kernel_us), 3)}))
        return min(found, key=lambda each: each[0])[1]


def families_held_out(layers: Layers, forms: Sequence[Constants] = FORMS) -> np.ndarray:
    """Estimates of networks at batch 1 whose family was left out of the choice of form and constant, `n`, in ms."""
    made = np.zeros(len(layers.records))
    for family in sorted({each.family for each in layers.records}):
        form = layers.only(lambda each, family=family: each.family != family).best_form(forms)  # type: ignore[misc]
        places = [place for place, each in enumerate(layers.records) if each.family == family]
        made[places] = layers.only(lambda each, family=family: each.family == family).estimated_ms(form)  # type: ignore[misc]
    return made


def larger_batches(layers: Layers) -> tuple[Layers, np.ndarray]:
    """The GPUNets at batches above 1, and estimates of them by a form that knows the baselines at batch 1 alone."""
    form = layers.only(lambda each: each.batch_size == 1 and each.family != "gpunet").best_form()
    larger = layers.only(lambda each: each.batch_size > 1)
    return larger, larger.estimated_ms(form)


# ---------------------------------------------------------------------------------------------- the whole calibration


def calibrated(problem: Problem, constants: Constants, by_chip: HeldOut, by_architecture: HeldOut) -> Calibration:
    """Constants of all records, and the intervals that the hold-outs earn."""
    layers = Layers.of(problem)
    at_one = layers.only(lambda each: each.batch_size == 1)
    larger, larger_ms = larger_batches(layers)
    layer_ms = np.concatenate([families_held_out(at_one), larger_ms])
    layer_records = [*at_one.records, *larger.records]
    layer_errors = [float(np.log(each.latency_ms / ms)) for each, ms in zip(layer_records, layer_ms, strict=True)]
    moved, known = transferred(by_chip, problem)
    trust = trust_of(by_chip.errors, by_chip)
    pairs = anchored(moved, by_chip, trust)
    kinds = [kind_of_network(problem.tables[each.network]) for each in problem.records]

    def factors(errors: Sequence[float], units: Sequence[str], of: Sequence[str]) -> dict[str, list[float]]:
        made = {}
        for kind in (CONVOLUTIONAL, ATTENTIVE):
            places = [place for place, each in enumerate(of) if each == kind]
            if places:
                made[kind] = factors_of([errors[place] for place in places], [units[place] for place in places])
        return made

    some = [place for place in range(len(kinds)) if known[place]]
    return Calibration(
        constants,
        {**START_FORM, **at_one.best_form()},
        {
            SHEET: factors(list(by_chip.errors), by_chip.units, kinds),
            UNTRIED: factors(list(by_architecture.errors), by_architecture.units, kinds),
            TRANSFERRED: factors([float(moved[place]) for place in some], [by_chip.units[place] for place in some],
                                 [kinds[place] for place in some]),
            ANCHORED: factors([error for _, error in pairs], [by_chip.units[place] for place, _ in pairs],
                              [kinds[place] for place, _ in pairs]),
            LAYERS: {CONVOLUTIONAL: factors_of(layer_errors, [each.network for each in layer_records])},
        },
        {
            SHEET: "records of a GPU whose chip was left out of the fit, chips counting alike",
            UNTRIED: "records of GPUs whose architecture was left out of the fit, architectures counting alike; of "
            "this one there are none",
            TRANSFERRED: "records of a GPU whose chip was left out of the fit, of networks measured on other chips",
            ANCHORED: "records of a GPU whose chip was left out of the fit, each corrected by one other of its board",
            LAYERS: "networks measured on a V100 whose family was left out of the form, and GPUNets at larger batches "
                    "with nothing fitted on them",
        },
        round(trust, 4),
    )  # fmt: skip


def with_layers_kind(made: Calibration) -> Calibration:
    """A calibration whose layer records have an interval of attentive networks too: that of the sheet."""
    factors = {method: dict(known) for method, known in made.factors.items()}
    factors[LAYERS].setdefault(ATTENTIVE, factors[SHEET].get(ATTENTIVE, factors[SHEET][CONVOLUTIONAL]))
    return replace(made, factors=factors)
