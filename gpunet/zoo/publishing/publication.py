"""Publication: a trained and measured network with all that its entry will say of it, checked before it is written.

Its machine-readable remainder, what neither entry.json nor latency.csv holds, is the file publication.json.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpunet.errors import EntryError
from gpunet.model.entry import Accuracy, LatencyRecord
from gpunet.model.preprocessing import image_config, num_classes_of

if TYPE_CHECKING:
    from torch import nn

FORMAT, FORMAT_VERSION = "gpunet-publication", 1
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}")


@dataclass(frozen=True)
class Publication:
    """A network and what its entry says of it.

    Args:
        name: unique in the zoo; letters, digits, '.', '_' and '-', so that it can name a folder and a repository.
        model: a GPUNet, or a model of timm's, with its trained weights.
        records: latencies of this network, one measured at least. The first is the one that a tier and an estimate
            are compared with. `gpunet.zoo.measured.record_from_measurement` makes one of a measurement.
        accuracy: in percent, with the images it was measured on and by what.
        data: what the network was trained on, in words.
        recipe: how it was trained, as plain JSON types: `Recipe.to_dict()`.
        licence: of the weights; an SPDX name such as 'apache-2.0' where there is one.
        weights: a safetensors file with the model's tensors, to be copied; None for the tensors the model holds.
        classes: names of the classes, in order.
        seed: of the training run.
        versions: of the software that trained and measured it, by name.
        tier_ms: least and greatest latency of the tier it was searched in, in milliseconds.
        estimated_ms: the latency by which it was searched, in milliseconds.
        note, sources: see `Entry`.

    Raises:
        EntryError: (a ValueError) naming the field at fault.
    """

    name: str
    model: nn.Module
    records: Sequence[LatencyRecord]
    accuracy: Accuracy
    data: str
    recipe: Mapping[str, Any]
    licence: str
    weights: str | Path | None = None
    classes: Sequence[str] | None = None
    seed: int | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    tier_ms: tuple[float, float] | None = None
    estimated_ms: float | None = None
    note: str = ""
    sources: Sequence[str] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise EntryError(
                f"name {self.name!r} cannot name a folder and a repository.",
                "Use letters, digits, '.', '_' and '-', with a letter or digit first.",
            )
        for name, text in (("data", self.data), ("licence", self.licence)):
            if not isinstance(text, str) or not text.strip():
                raise EntryError(f"{self.name}: {name} must say something, but is {text!r}.")
        self._check_accuracy()
        self._check_records()
        self._check_classes()
        self._check_tier()
        try:
            json.dumps(dict(self.recipe), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise EntryError(
                f"{self.name}: the recipe is not of plain JSON types: {error}.", "Give Recipe.to_dict()."
            ) from None

    def _check_accuracy(self) -> None:
        accuracy = self.accuracy
        if not isinstance(accuracy, Accuracy):
            raise EntryError(f"{self.name}: accuracy must be an Accuracy, but is {accuracy!r}.")
        for name in ("dataset", "source"):
            if not getattr(accuracy, name).strip():
                raise EntryError(
                    f"{self.name}: accuracy.{name} is empty.",
                    "Say which images the accuracy was measured on, and by what.",
                )
        for name in ("top1_percent", "top5_percent"):
            value = getattr(accuracy, name)
            if value is not None and not 0 <= value <= 100:
                raise EntryError(f"{self.name}: accuracy.{name} must be from 0 to 100, but is {value!r}.")

    def _check_records(self) -> None:
        if not any(record.kind == "measured" for record in self.records):
            raise EntryError(
                f"{self.name}: of its {len(self.records)} latency records none is measured.",
                "Measure the network: gpunet.benchmark, then gpunet.zoo.measured.record_from_measurement.",
            )
        image = [int(size) for size in image_config(self.model)["input_size"]]
        for record in self.records:
            if record.model != self.name:
                raise EntryError(f"{self.name}: a latency record is of the model {record.model!r}.")
            measured_with = record.conditions.get("input_shape")
            if measured_with is not None and list(measured_with)[1:] != image:
                raise EntryError(
                    f"{self.name}: a latency record is of images of {list(measured_with)[1:]}, the model takes {image}."
                )

    def _check_classes(self) -> None:
        count = num_classes_of(self.model)
        if self.classes is not None and len(self.classes) != count:
            raise EntryError(
                f"{self.name}: {len(self.classes)} classes are named, but the model tells {count} apart.",
                "Name each class once, in the order of the model's outputs.",
            )

    def _check_tier(self) -> None:
        if self.tier_ms is not None and not 0 <= self.tier_ms[0] < self.tier_ms[1]:
            raise EntryError(f"{self.name}: 0 <= low < high must hold for tier_ms, but got {self.tier_ms!r}.")
        if self.estimated_ms is not None and not self.estimated_ms > 0:
            raise EntryError(f"{self.name}: estimated_ms must be above 0, but is {self.estimated_ms!r}.")

    @property
    def recipe_name(self) -> str:
        """The recipe's, as it says itself."""
        return str(self.recipe.get("name", "of its own"))

    @property
    def how_trained(self) -> str:
        """Data, recipe and seed in one line."""
        seed = "" if self.seed is None else f", seed {self.seed}"
        return f"trained on {self.data} by recipe {self.recipe_name}{seed}"

    def to_dict(self) -> dict[str, Any]:
        """What publication.json holds: tier, estimate, training and versions, as plain JSON types."""
        return {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "name": self.name,
            "tier_ms": None if self.tier_ms is None else list(self.tier_ms),
            "estimated_ms": self.estimated_ms,
            "data": self.data,
            "recipe": dict(self.recipe),
            "seed": self.seed,
            "versions": dict(self.versions),
        }
