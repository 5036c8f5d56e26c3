"""Plan: what a device's zoo is to be, as frozen, checked data.

A wrong value is refused with its path: ``search.trials: 0 is out of range; it is at least 1``.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any

from gpunet import runtime as runtimes
from gpunet.core.fields import check_name, check_number, check_one_of, part_to_dict
from gpunet.errors import SpecError, StudyError
from gpunet.search.optimize.named import optimizer_names
from gpunet.search.spaces.conv_space import ConvSpace
from gpunet.search.spaces.space import SearchSpace
from gpunet.search.storage.backends import full_url
from gpunet.search.study.definition import Pruning
from gpunet.search.study.search_data import SearchData
from gpunet.train.recipe import Recipe

PLAN_VERSION = 1
CLUSTERS = ("local", "ray")
_RECORDS_CHIPS, _RECORDS_RUNTIME, _RECORDS_PRECISION = ("gv100", "v100"), "tensorrt", "fp16"


@dataclass(frozen=True)
class DevicePlan:
    """What the zoo is for: the machine that this runs on.

    Args:
        chip: name that `gpunet.find` will know it by: 'local' for this machine alone, or a chip's, e.g. 'h100'.
        runtime: 'tensorrt', 'openvino', ...; None for the best installed.
        precision: 'fp32' or 'fp16'.
        batch_size: images a run.
        threads: that compute; None for all available. `gpunet.find('local', threads=...)` asks about them.
    """

    chip: str = "local"
    runtime: str | None = None
    precision: str = "fp32"
    batch_size: int = 1
    threads: int | None = None

    def check(self) -> None:
        """Raise SpecError where a value breaks its rule."""
        check_name("device.chip", self.chip)
        if self.runtime is not None:
            check_one_of("device.runtime", self.runtime, tuple(runtimes.file_formats()))
        check_one_of("device.precision", self.precision, ("fp32", "fp16"))
        check_number("device.batch_size", self.batch_size, 1, whole=True)
        if self.threads is not None:
            check_number("device.threads", self.threads, 1, whole=True)


@dataclass(frozen=True)
class TablePlan:
    """The latency table.

    Args:
        fraction: of the space's layers that are measured, those that networks have most of; the rest is learned.
        networks: random networks measured whole, to calibrate on.
        jobs: builders at once: one a GPU, or one a thread with `device.threads` 1.
        from_records: measure nothing: all layers on a V100, in FP16 under TensorRT, by public records. The stages end
            with the search, as winners are measured where the GPU is.
    """

    fraction: float = 1.0
    networks: int = 12
    jobs: int = 1
    from_records: bool = False

    def check(self) -> None:
        """Raise SpecError where a value breaks its rule."""
        check_number("table.fraction", self.fraction, 0, 1, above=True)
        check_number("table.networks", self.networks, 0, whole=True)
        check_number("table.jobs", self.jobs, 1, whole=True)
        if not isinstance(self.from_records, bool):
            raise SpecError(f"table.from_records: {self.from_records!r} is not true or false")


@dataclass(frozen=True)
class TiersPlan:
    """How the space is cut by latency.

    Args:
        bounds_ms: between the tiers; None for quantiles.
        quantiles: of the sample's estimates, between the tiers, where there are no bounds.
        lowest, highest: quantiles that the first tier begins and the last ends at; 0 and 1 for no limit.
        count: networks that are sampled.
        seed: of the sample.
        allow_narrow: take tiers that are narrower than the table is exact.
    """

    bounds_ms: tuple[float, ...] | None = None
    quantiles: tuple[float, ...] = (1 / 3, 2 / 3)
    lowest: float = 0.0
    highest: float = 1.0
    count: int = 1_000_000
    seed: int = 0
    allow_narrow: bool = False

    @property
    def tiers(self) -> int:
        """How many there are."""
        return len(self.quantiles if self.bounds_ms is None else self.bounds_ms) + 1

    def check(self) -> None:
        """Raise SpecError where a value breaks its rule, and take lists for tuples."""
        for name in ("bounds_ms", "quantiles"):
            given: Any = getattr(self, name)
            if given is None and name == "bounds_ms":
                continue
            if not isinstance(given, (list, tuple)):
                raise SpecError(f"tiers.{name}: {given!r} is not a list of numbers")
            for value in given:
                check_number(f"tiers.{name}", value, 0, math.inf if name == "bounds_ms" else 1, above=True)
            if list(given) != sorted(set(given)):
                raise SpecError(f"tiers.{name}: {list(given)!r} does not rise")
            if not given and name == "bounds_ms":
                raise SpecError("tiers.bounds_ms: there is none", "Name one, or leave it out for quantiles.")
            object.__setattr__(self, name, tuple(float(value) for value in given))
        check_number("tiers.lowest", self.lowest, 0, 1, below=True)
        check_number("tiers.highest", self.highest, self.lowest, 1, above=True)
        check_number("tiers.count", self.count, 1000, whole=True)
        check_number("tiers.seed", self.seed, 0, whole=True)
        if not isinstance(self.allow_narrow, bool):
            raise SpecError(f"tiers.allow_narrow: {self.allow_narrow!r} is not true or false")


@dataclass(frozen=True)
class SearchPlan:
    """How each tier is searched.

    Args:
        trials: the budget of a tier.
        random_trials: of random search beside it, to compare with; 0 for none.
        recipe: that ranks networks: a name, a file, or the recipe itself.
        data: the images.
        optimizer, pruning: see `gpunet.search.StudyDefinition`.
        workers: processes here; None for one a GPU, or one.
        cluster: 'local', or 'ray' for the Ray cluster that this machine belongs to.
        gpus_per_worker: that a Ray task needs; None for one where the cluster has any, and `device` is not 'cpu'.
        storage: of the studies, for workers on other machines; None for a SQLite file in the folder of state.
        seed: of the search.
        heartbeat_s, grace_s: see `gpunet search worker`.
        device: 'cpu', or None for a GPU where there is one.
        image_workers: processes that prepare images, for each worker.
    """

    trials: int
    recipe: Recipe
    data: SearchData
    random_trials: int = 0
    optimizer: str = "lamcts"
    pruning: Pruning = field(default=Pruning("median"))
    workers: int | None = None
    cluster: str = "local"
    gpus_per_worker: float | None = None
    storage: str | None = None
    seed: int = 0
    heartbeat_s: float = 30.0
    grace_s: float = 120.0
    device: str | None = None
    image_workers: int = 0

    def check(self) -> None:
        """Raise SpecError where a value breaks its rule."""
        check_number("search.trials", self.trials, 1, whole=True)
        check_number("search.random_trials", self.random_trials, 0, whole=True)
        check_one_of("search.optimizer", self.optimizer, optimizer_names())
        check_one_of("search.cluster", self.cluster, CLUSTERS)
        if self.workers is not None:
            check_number("search.workers", self.workers, 1, whole=True)
        if self.gpus_per_worker is not None:
            check_number("search.gpus_per_worker", self.gpus_per_worker, 0)
        check_number("search.seed", self.seed, 0, whole=True)
        check_number("search.heartbeat_s", self.heartbeat_s, 0, above=True)
        check_number("search.grace_s", self.grace_s, 2 * self.heartbeat_s)
        check_number("search.image_workers", self.image_workers, 0, whole=True)
        if self.device is not None:
            check_one_of("search.device", self.device, ("cpu",))
        if self.storage is not None:
            _check_storage(self.storage)
        if self.recipe.distillation is not None:
            raise SpecError(
                "search.recipe: it has distillation", "Networks are ranked without; the winner may be distilled."
            )


@dataclass(frozen=True)
class FineTunePlan:
    """How a tier's winner is trained to its end.

    Args:
        recipe: of the second stage.
        teacher: for a recipe with distillation: a name of the zoo's or timm's, or an entry's folder.
        teacher_weights: a file of its weights; None for its own.
        teacher_timeout_s: the most that downloading them may take; None for an hour.
        processes: that train together (torchrun), one a GPU.
        image_workers: processes that prepare images, for each of these.
        candidates: the best of a tier, that are measured whole until one lies inside.
        tolerance_percent: below the tier's lower bound, that a measured network may be; the upper one is a promise.
            None for what the table's own error says: twice its mean, or 5 where it is not known.
    """

    recipe: Recipe
    teacher: str | None = None
    teacher_weights: str | None = None
    teacher_timeout_s: float | None = None
    processes: int = 1
    candidates: int = 10
    tolerance_percent: float | None = None
    image_workers: int = 0

    def check(self) -> None:
        """Raise SpecError where a value breaks its rule."""
        check_number("fine_tune.processes", self.processes, 1, whole=True)
        check_number("fine_tune.candidates", self.candidates, 1, whole=True)
        if self.tolerance_percent is not None:
            check_number("fine_tune.tolerance_percent", self.tolerance_percent, 0, 100)
        check_number("fine_tune.image_workers", self.image_workers, 0, whole=True)
        if self.teacher_timeout_s is not None:
            check_number("fine_tune.teacher_timeout_s", self.teacher_timeout_s, 0, above=True)
        for name in ("teacher", "teacher_weights"):
            if getattr(self, name) is not None:
                check_name(f"fine_tune.{name}", getattr(self, name))
        if (self.recipe.distillation is not None) != (self.teacher is not None):
            raise SpecError("fine_tune.teacher: it goes with a recipe that has distillation, and such a recipe with it")


@dataclass(frozen=True)
class PublishPlan:
    """What the entries say.

    Args:
        name: of an entry, with {tier} for the tier's number from 0.
        licence: of the weights.
        note: for the model card.
    """

    name: str = "{plan}_{tier}"
    licence: str = "not stated"
    note: str = ""

    def check(self) -> None:
        """Raise SpecError where a value breaks its rule."""
        check_name("publish.name", self.name)
        check_name("publish.licence", self.licence)
        if not isinstance(self.note, str):
            raise SpecError(f"publish.note: {self.note!r} is not a text")
        if "{tier}" not in self.name:
            raise SpecError(f"publish.name: {self.name!r} lacks {{tier}}: every tier's network needs a name of its own")
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", self.name.replace("{tier}", "0").replace("{plan}", "plan")):
            raise SpecError(f"publish.name: {self.name!r} is not of letters, digits, '.', '-' and '_'")


@dataclass(frozen=True)
class Plan:
    """A zoo for a device; see the parts.

    Args:
        name: short, of letters, digits, '-' and '_'.
        space: what is searched.
        search, fine_tune, device, table, tiers, publish: see their classes.

    Raises:
        SpecError: (a ValueError) naming the path of the fault.
    """

    name: str
    space: SearchSpace
    search: SearchPlan
    fine_tune: FineTunePlan
    device: DevicePlan = field(default=DevicePlan())
    table: TablePlan = field(default=TablePlan())
    tiers: TiersPlan = field(default=TiersPlan())
    publish: PublishPlan = field(default=PublishPlan())

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", self.name):
            raise SpecError(f"name: {self.name!r} is not of letters, digits, '-' and '_'")
        for part in (self.device, self.table, self.tiers, self.search, self.fine_tune, self.publish):
            part.check()
        if not isinstance(self.space, SearchSpace):
            raise SpecError(f"space: {self.space!r} is not a search space", "ConvSpace and VitSpace are.")
        if self.table.jobs > 1 and self.device.threads != 1 and not _on_gpu(self.device.runtime):
            raise SpecError("table.jobs: builders that share processors measure each other", "Set device.threads to 1.")
        if self.table.from_records:
            self._check_records()

    def _check_records(self) -> None:
        """A table from records is of the one GPU and runtime that they are of."""
        of = {"chip": _RECORDS_CHIPS, "runtime": (_RECORDS_RUNTIME, None), "precision": (_RECORDS_PRECISION,)}
        for name, known in of.items():
            if getattr(self.device, name) not in known:
                raise SpecError(
                    f"device.{name}: {getattr(self.device, name)!r}, but table.from_records is of a V100, by TensorRT "
                    "in FP16",
                    f"Write {known[0]!r}.",
                )
        if not isinstance(self.space, ConvSpace):
            raise SpecError("space: table.from_records is of convolutional networks", "Leave from_records out.")

    def entry_name(self, tier: int) -> str:
        """The name of a tier's entry."""
        return self.publish.name.replace("{tier}", str(tier)).replace("{plan}", self.name)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        search = part_to_dict(self.search)
        search.update(recipe=self.search.recipe.to_dict(), data=part_to_dict(self.search.data))
        fine_tune = {**part_to_dict(self.fine_tune), "recipe": self.fine_tune.recipe.to_dict()}
        body = {name: part_to_dict(getattr(self, name)) for name in ("device", "table", "tiers", "publish")}
        body.update(search=search, fine_tune=fine_tune)
        return {"plan_version": PLAN_VERSION, "name": self.name, "space": self.space.to_dict(), **body}


def _check_storage(storage: object) -> None:
    if not isinstance(storage, str):
        raise SpecError(f"search.storage: {storage!r} is not a file or a URL")
    try:
        full_url(storage)
    except StudyError as error:
        raise SpecError(f"search.storage: {error.message}", error.hint) from None


def _on_gpu(runtime: str | None) -> bool:
    return runtime is not None and runtimes.get(runtime).device == "gpu"
