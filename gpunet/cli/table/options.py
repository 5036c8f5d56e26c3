"""Options that the actions of `gpunet table` share, and what a builder is asked for, as values."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gpunet.cli.options import PrecisionName, complete_model, opt
from gpunet.errors import UsageError

if TYPE_CHECKING:
    from gpunet.latency.layers.keys import LayerKey
    from gpunet.latency.meter import LayerMeter
    from gpunet.search.spaces.space import SearchSpace

WHAT, _UNTIL = "What to measure", "Until when"
_MODELS_HELP = "in place of a space: the layers of zoo entries or of specs' JSON files"
_FRACTION_HELP = "of the layers, those that networks have most of (default: 1)"
_NETWORKS_HELP = "also measure N random networks whole, to calibrate on (of shards, the first does)"
_RECHECK_HELP = "leave layers as they are that look wrong beside the others (looking needs scikit-learn)"
_CPU_TIME_HELP = "processor time in place of wall time; for --threads 1"
_EFFORT_HELP = "repeats, times the usual: 4 takes up to four times as long, for half of the noise (default: 1)"
_MOST_CLASSES = 1_000_000
MOST_NETWORKS = 100_000


def _complete_space(incomplete: str) -> list[str]:
    return [name for name in ("paper", "release") if name.startswith(incomplete)]


Table = Annotated[Path, typer.Argument(metavar="TABLE", show_default=False, help="the latency table (SQLite)")]
NewTable = Annotated[
    Path,
    typer.Argument(metavar="TABLE", show_default=False, help="the latency table (SQLite); made if it is not there"),
]
Space = Annotated[
    str | None,
    opt("--space", metavar="NAME|FILE", complete=_complete_space, panel=WHAT,
        help="paper (Table 1, the default), release, or a space's JSON file"),
]  # fmt: skip
Models = Annotated[
    list[str] | None,
    opt("--models", metavar="NAME|FILE...", complete=complete_model, panel=WHAT, help=_MODELS_HELP),
]
Resolutions = Annotated[
    list[int] | None, opt("--resolutions", metavar="PX...", panel=WHAT, help="of the space (default: all)")
]
Classes = Annotated[
    int,
    opt("--classes", metavar="N", min=1, max=_MOST_CLASSES, panel=WHAT, help="of the classifier (default: 1000)"),
]
LayersFraction = Annotated[
    float | None, opt("--layers-fraction", metavar="PART", min=0, max=1, panel=WHAT, help=_FRACTION_HELP)
]
Networks = Annotated[
    int, opt("--networks", metavar="N", min=0, max=MOST_NETWORKS, panel=WHAT, help=_NETWORKS_HELP)
]  # fmt: skip
Lone = Annotated[
    bool, opt("--lone", panel=WHAT, help="measure each layer by itself too, for the paper's plain sum")
]  # fmt: skip
CpuTime = Annotated[bool, opt("--cpu-time", help=_CPU_TIME_HELP)]
Effort = Annotated[float, opt("--effort", metavar="X", min=0.1, max=100, help=_EFFORT_HELP)]
NoRecheck = Annotated[bool, opt("--no-recheck", help=_RECHECK_HELP)]
MaxLayers = Annotated[
    int | None, opt("--max-layers", metavar="N", min=1, panel=_UNTIL, help="stop after N layers, before any network")
]
MaxMinutes = Annotated[
    float | None,
    opt("--max-minutes", metavar="N", min=0, panel=_UNTIL, help="stop after N minutes, before any network"),
]


@dataclass(frozen=True)
class Builder:
    """What a builder measures, and how: the options that every one of several builders is started with.

    Args:
        space, models, resolutions, classes, layers_fraction, networks, lone: what.
        runtime, precision, batch_size, threads, cpu_time, effort: how.
        max_layers, max_minutes: until when.
    """

    space: str | None = None
    models: tuple[str, ...] = ()
    resolutions: tuple[int, ...] = ()
    classes: int = 1000
    layers_fraction: float | None = None
    networks: int = 0
    lone: bool = False
    runtime: str | None = None
    precision: PrecisionName = "fp32"
    batch_size: int = 1
    threads: int | None = None
    cpu_time: bool = False
    effort: float = 1.0
    max_layers: int | None = None
    max_minutes: float | None = None

    def __post_init__(self) -> None:
        for name in ("space", "resolutions", "networks", "layers_fraction") if self.models else ():
            if getattr(self, name):
                raise UsageError(f"{_option(name)} is of a space, but --models was given.", "Leave one out.")

    def options(self) -> list[str]:
        """The options that give this builder, but for those at their defaults."""
        given: list[str] = []
        for each in dataclasses.fields(self):
            value = getattr(self, each.name)
            if value is True:
                given.append(_option(each.name))
            elif value != each.default:
                given += [_option(each.name), *map(str, value if isinstance(value, tuple) else [value])]
        return given

    def keys(self, shard: tuple[int, int]) -> tuple[list[LayerKey], SearchSpace | None]:
        """The layers of a shard, and the space that they are of; None for those of models.

        Raises:
            InvalidArgumentError: there is no such space, resolution or model.
        """
        from gpunet.cli.table.subjects import keys_of_models
        from gpunet.latency.build import in_shard
        from gpunet.latency.sampling import choose_keys
        from gpunet.search.spaces.named import load_space

        if self.models:
            return in_shard(keys_of_models(self.models, self.classes), shard), None
        space = load_space(self.space or "paper", self.resolutions)
        fraction = 1.0 if self.layers_fraction is None else self.layers_fraction
        return in_shard(choose_keys(space.lookup_plan(num_classes=self.classes), fraction), shard), space

    def meter(self) -> LayerMeter:
        """What measures.

        Raises:
            InvalidArgumentError: there is no such runtime, or it does not run so.
            RuntimeUnavailableError: it is not installed, or has no device.
        """
        from gpunet import runtime as runtimes
        from gpunet.latency.meter import LayerMeter, MeterSettings

        return LayerMeter(
            runtimes.get(self.runtime) if self.runtime else runtimes.best(), precision=self.precision,
            batch_size=self.batch_size, threads=self.threads, clock="cpu" if self.cpu_time else "wall",
            settings=MeterSettings().times(self.effort),
        )  # fmt: skip


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
