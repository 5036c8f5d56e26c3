"""What the zoo knows of a network: its entry, its accuracy, its weights' places and its latency records."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from gpunet.core.arguments import checked_integer, checked_number
from gpunet.core.text import printable
from gpunet.errors import EntryError
from gpunet.model.dataset_names import canonical_dataset
from gpunet.model.spec import NetworkSpec

KINDS = ("measured", "estimated", "nominal", "throughput")
_MOST_IMAGES, _MOST_MS = 1_000_000, 1e9
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
TIMM = "timm"  # the role of timm's networks, and the zoo's name of them
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,99}(@[1-9][0-9]{0,3})?")


def check_entry_name(name: object) -> None:
    """Raise EntryError unless `name` is a plain word: it becomes a file's name, and is printed on terminals."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise EntryError(
            f"{name!r:.120} is no name for a network.",
            "A name is a word of at most 100 letters of ASCII, digits and '_', '.', '+', '-', and begins with a letter "
            "or digit; '@' and an input size in px may end it.",
        )


@dataclass(frozen=True)
class LatencyRecord:
    """One latency with the conditions that make it auditable.

    Args:
        model: name of the entry; of timm's networks ARCHITECTURE@PX, whose latency all tags share.
        chip, board: see gpunet.core.device; 'local' and the processor's name for this machine.
        batch_size: images a run.
        precision: 'fp32', 'fp16', 'bf16' or 'int8'.
        runtime, runtime_version: e.g. 'tensorrt', '8.0.1'; the version may be '' where a source does not say.
        statistic: 'mean', 'median', ... or 'tier' for a nominal label.
        latency_ms: for the whole batch.
        kind: 'measured', 'estimated' or 'nominal'; or 'throughput', images a second over batches that fill a device,
            whose latency_ms is the time of such a batch and no other's.
        source: who published or measured it, and how.
        throughput_ips: images a second, where the source says; else None.
        threads: of a processor; None where it does not apply.
        conditions: what else was recorded (spread, repeats, date, switches, ...).
        same_as: source of the record, of the same network, that holds the same measurement under other conditions;
            '' for a figure that stands for itself. See `counted_once`.
    """

    model: str
    chip: str
    board: str
    batch_size: int
    precision: str
    runtime: str
    runtime_version: str
    statistic: str
    latency_ms: float
    kind: str
    source: str
    throughput_ips: float | None = None
    threads: int | None = None
    conditions: Mapping[str, Any] = field(default_factory=dict, hash=False)
    same_as: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise EntryError(f"kind {self.kind!r:.80} is not one of {', '.join(KINDS)}.")
        checked_integer("batch_size", self.batch_size, 1, _MOST_IMAGES, error=EntryError)
        if self.kind == "throughput" and self.throughput_ips is None:
            raise EntryError("a record of kind 'throughput' needs throughput_ips.", "Give the images a second.")
        checked_number("latency_ms", self.latency_ms, 0, _MOST_MS, above=True, error=EntryError)
        if self.throughput_ips is not None:
            checked_number("throughput_ips", self.throughput_ips, 0, above=True, error=EntryError)
        if self.threads is not None:
            checked_integer("threads", self.threads, 1, _MOST_IMAGES, error=EntryError)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {**asdict(self), "conditions": dict(self.conditions)}

    def __str__(self) -> str:
        version = f" {self.runtime_version}" if self.runtime_version else ""
        figure = f"{self.latency_ms:g} ms"
        if self.kind == "throughput":
            figure = f"{self.throughput_ips:,.0f} images/s"
        return printable(
            f"{figure} {self.kind} ({self.statistic}) on {self.board or self.chip}, "
            f"batch {self.batch_size}, {self.precision}, {self.runtime}{version}; source: {self.source}"
        )


def counted_once(records: Iterable[LatencyRecord]) -> tuple[LatencyRecord, ...]:
    """Those of an entry's records that stand for a measurement of their own.

    One that repeats another (`same_as`) is left out where the other is among them, of its chip, batch size and
    precision.
    """
    found = tuple(records)
    there = {(each.source, each.chip, each.batch_size, each.precision) for each in found if not each.same_as}
    return tuple(each for each in found if (each.same_as, each.chip, each.batch_size, each.precision) not in there)


@dataclass(frozen=True)
class Accuracy:
    """Top-1 (and top-5) accuracy in percent, the data it was measured on, and who says so.

    Args:
        precision: 'int8' where the network computed in integers; '' for floating point.
    """

    top1_percent: float
    dataset: str
    source: str
    top5_percent: float | None = None
    precision: str = ""


@dataclass(frozen=True)
class WeightsSource:
    """Where an entry's weights may come from.

    Args:
        file: name of a safetensors file in the entry's folder.
        hf_repo: a Hugging Face repository holding model.safetensors.
        sha256: of that file, or of the repository's, in hex.
        ngc_url, ngc_member: NVIDIA's zip and the checkpoint inside it.
    """

    file: str | None = None
    sha256: str | None = None
    hf_repo: str | None = None
    ngc_url: str | None = None
    ngc_member: str | None = None


@dataclass(frozen=True)
class Preprocessing:
    """How an image becomes the network's input: resize, centre crop to `input_px`, normalise by mean and std."""

    input_px: int
    crop_pct: float = 0.875
    interpolation: str = "bicubic"
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD


@dataclass(frozen=True)
class Entry:
    """A network of the zoo and what is known of it; `records` are its latencies.

    Args:
        name: unique in the zoo; a plain word.
        role: 'released' (NVIDIA's), 'baseline' (the paper's Table 3), 'own' (a user's zoo) or 'timm' (the catalogue).
        architecture: as timm names it: 'gpunet_1', 'gpunet' (with `spec_data`), any other timm name; None
            where only figures are known and nothing can be built.
        accuracy: None where nobody measured it.
        licence: of the weights.
        classes: their names in order, where they are known; None for ImageNet's, which timm names.
        distilled: whether it was trained with distillation; None where nobody says.
        extra_data: whether it was trained on more images than ImageNet-1k's, or distilled from what was; None where
            nobody says.
        activations_millions: outputs of its convolutions and matrix products for one image.
        model_args: arguments of a timm architecture that make it this network, such as a transformer's width.
    """

    name: str
    role: str
    architecture: str | None
    accuracy: Accuracy | None
    preprocessing: Preprocessing | None
    licence: str
    title: str = ""
    sources: tuple[str, ...] = ()
    weights: WeightsSource | None = None
    note: str = ""
    num_classes: int = 1000
    in_chans: int = 3
    classes: tuple[str, ...] | None = None
    parameters_millions: float | None = None
    multiply_adds_billions: float | None = None
    distilled: bool | None = None
    extra_data: bool | None = None
    activations_millions: float | None = None
    model_args: Mapping[str, Any] | None = field(default=None, hash=False)
    spec_data: Mapping[str, Any] | None = field(default=None, repr=False, hash=False)
    records: tuple[LatencyRecord, ...] = field(default=(), repr=False)
    folder: Path | None = None

    def __post_init__(self) -> None:
        check_entry_name(self.name)

    @cached_property
    def spec(self) -> NetworkSpec | None:
        """The architecture as a NetworkSpec; None for one that is not GPUNet's."""
        if self.spec_data is None:
            return None
        try:
            return NetworkSpec.from_dict(self.spec_data)
        except ValueError as error:
            raise EntryError(f"entry {self.name}: in its spec, {error}", f"Mend it in {self.folder}.") from None

    @property
    def buildable(self) -> bool:
        """Whether the network can be built here; False where only figures are known."""
        return self.architecture is not None

    @property
    def top1_percent(self) -> float | None:
        """Top-1 accuracy in percent; None where nobody measured it."""
        return None if self.accuracy is None else self.accuracy.top1_percent

    @property
    def dataset(self) -> str | None:
        """The images that the accuracy is of, by their one spelling; None where there is no accuracy."""
        return None if self.accuracy is None else canonical_dataset(self.accuracy.dataset)

    @cached_property
    def parameters(self) -> int | None:
        """Parameters: counted from the spec, else the published figure, else None."""
        if self.spec is not None:
            return self.spec.count_parameters(in_channels=self.in_chans, num_classes=self.num_classes)
        return None if self.parameters_millions is None else round(self.parameters_millions * 1e6)

    @cached_property
    def multiply_adds(self) -> int | None:
        """Multiply-adds for one image: counted from the spec, else the published figure, else None."""
        if self.spec is not None:
            return self.spec.count_multiply_adds(
                in_channels=self.in_chans, num_classes=self.num_classes, resolution_px=self.input_px
            )
        return None if self.multiply_adds_billions is None else round(self.multiply_adds_billions * 1e9)

    @property
    def input_px(self) -> int | None:
        """Side of the square input; None where only figures are known."""
        if self.preprocessing is not None:
            return self.preprocessing.input_px
        return self.spec.resolution_px if self.spec is not None else None

    @property
    def identity(self) -> str:
        """What fixes the network's latency, whatever its name: the spec's SHA-256 or the timm name, and the input.

        Of timm's own networks the tag, which names the weights, does not count. Branches are fused wherever a network
        is measured.
        """
        if self.spec is not None:
            network = self.spec.sha256
        else:
            named = str(self.architecture)
            network = f"timm:{named.partition('.')[0] if self.role == TIMM else named}"
        if self.model_args:
            network += json.dumps(dict(self.model_args), sort_keys=True)
        return f"{network}@{self.in_chans}x{self.input_px}:{self.num_classes}"

    @property
    def throughput_ips(self) -> float | None:
        """The most images a second that a record states; None where none does."""
        return max((each.throughput_ips for each in self.records if each.throughput_ips is not None), default=None)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, with the counts and the records."""
        skipped = ("records", "folder", "spec_data")
        body = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in skipped}
        for name in ("accuracy", "preprocessing", "weights"):
            body[name] = None if body[name] is None else asdict(body[name])
        body.update(parameters=self.parameters, multiply_adds=self.multiply_adds)
        body["spec"] = None if self.spec is None else self.spec.to_dict()
        return {**body, "records": [record.to_dict() for record in self.records]}


@dataclass(frozen=True)
class Match:
    """An entry that satisfies a query, and the records that say so.

    Args:
        entry: the network.
        record: the slowest of the records that apply: the one that decides.
        records: all that apply.
    """

    entry: Entry
    record: LatencyRecord
    records: tuple[LatencyRecord, ...] = field(repr=False)

    @property
    def name(self) -> str:
        """The entry's name, for `gpunet.load`."""
        return self.entry.name

    @property
    def latency_ms(self) -> float:
        """Latency of the deciding record, for its whole batch."""
        return self.record.latency_ms

    @property
    def top1_percent(self) -> float | None:
        """Top-1 accuracy of the entry, in percent."""
        return self.entry.top1_percent

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "name": self.name,
            "top1_percent": self.top1_percent,
            "dataset": self.entry.dataset,
            "latency_ms": self.latency_ms,
            "parameters": self.entry.parameters,
            "record": self.record.to_dict(),
            "records": [record.to_dict() for record in self.records],
        }

    def __str__(self) -> str:
        top1 = "accuracy unknown" if self.top1_percent is None else f"top-1 {self.top1_percent:g} %"
        return f"{self.name}: {top1}; {self.record}"
