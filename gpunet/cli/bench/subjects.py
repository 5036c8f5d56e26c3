"""What `gpunet bench` measures: entries of the zoo and files, loaded one by one, then run in turn."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpunet.cli.bench.turns import Ratio, Turns
from gpunet.cli.options import PrecisionName
from gpunet.core import console
from gpunet.core.progress import ProgressBar
from gpunet.errors import GpunetError, InvalidArgumentError

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

    from gpunet.model.entry import Entry
    from gpunet.runtime import Session
    from gpunet.runtime.measurement import Measurement

RUNS_PER_ROUND = 3


@dataclass(frozen=True)
class RunsBy:
    """How networks are run.

    Args:
        runtime: None for the best; of a file, for the best that can run it.
        precision: None for fp32, and for what a file holds.
        batch_size: images a run.
        threads: that compute; None for all available.
        input_px: height and width of an image; None for a network's own.
        backbone: measure a network's feature maps, as a detector takes them, in place of its logits.
    """

    runtime: str | None = None
    precision: PrecisionName | None = None
    batch_size: int = 1
    threads: int | None = None
    input_px: tuple[int, int] | None = None
    backbone: bool = False

    @property
    def as_published(self) -> bool:
        """Whether networks are measured as their accuracies, and other figures of them, are of."""
        return self.input_px is None and not self.backbone


@dataclass(frozen=True)
class Subject:
    """A network to measure.

    Args:
        name: the entry's, or the file's as it was given.
        role: the entry's, or 'file'.
        load: makes it ready to run, with images for it.
        top1_percent: published accuracy; None for a file.
        dataset: that it is of.
        entry: the zoo's; None for a file.
    """

    name: str
    role: str
    load: Callable[[], tuple[Session, np.ndarray]]
    top1_percent: float | None = None
    dataset: str | None = None
    entry: Entry | None = None


@dataclass(frozen=True)
class Benched:
    """What was measured.

    Args:
        figures: by name, in the order given.
        turns: of those that ran in turn, by which they are compared; None where none did.
    """

    figures: dict[str, Measurement]
    turns: Turns | None

    def low_ms(self, name: str) -> float:
        """What a network is compared by: its lower quartile, at the machine's median speed where it ran in turn."""
        if self.turns is None or name not in self.turns:
            return self.figures[name].p25_ms
        return self.turns.low_ms(name)

    def ratios(self) -> list[Ratio]:
        """Each network beside the first."""
        base, *others = self.figures
        return [self.ratio(name, base) for name in others]

    def of(self, names: Sequence[str]) -> Benched:
        """Some of them alone."""
        return Benched({name: self.figures[name] for name in names}, self.turns)

    def ratio(self, name: str, base: str) -> Ratio:
        """One network beside another."""
        if self.turns is None or name not in self.turns or base not in self.turns:
            return Ratio(name, base, self.figures[name].p25_ms / self.figures[base].p25_ms)
        return self.turns.ratio(name, base)


def subjects(
    names: Sequence[str], by: RunsBy, *, baselines: bool = False, zoo: Sequence[str] | None = None
) -> list[Subject]:
    """What the command line names, all that are no baselines where it names nothing; baselines last.

    Raises:
        UnknownModelError: there is no such entry.
        InvalidArgumentError: one cannot be built, or the batch size is out of range.
    """
    from gpunet.runtime import available as available_runtime
    from gpunet.zoo.benchmark import check_batch_size
    from gpunet.zoo.file_session import file_named

    check_batch_size(by.batch_size)
    if by.backbone and any(file_named(name) is not None for name in names):
        raise InvalidArgumentError("--backbone is of a network, but a file is named.", "It is measured as it is.")
    files = [Subject(name, "file", _loads_file(path, by)) for name in names if (path := file_named(name))]
    models = [name for name in names if file_named(name) is None]
    chosen = _entries(models, baselines=baselines, all_others=not names, zoo=zoo)
    if not chosen:
        return files
    runtime = available_runtime(by.runtime)
    networks = [
        Subject(entry.name, entry.role, _loads(entry, runtime, by), entry.top1_percent, entry.dataset, entry)
        if by.as_published else Subject(entry.name, entry.role, _loads(entry, runtime, by))
        for entry in chosen
    ]  # fmt: skip
    return [*(each for each in networks if each.role != "baseline"), *files,
            *(each for each in networks if each.role == "baseline")]  # fmt: skip


def _entries(names: Sequence[str], *, baselines: bool, all_others: bool, zoo: Sequence[str] | None) -> list[Entry]:
    from gpunet.model.entry import TIMM
    from gpunet.zoo.catalog import catalog
    from gpunet.zoo.timm_zoo.names import entry_by_name

    chosen = {entry.name: entry for name in names for entry in [entry_by_name(name, zoo)]}
    for entry in catalog(zoo).values():
        if entry.buildable and (baselines if entry.role == "baseline" else all_others and entry.role != TIMM):
            chosen.setdefault(entry.name, entry)
    for entry in chosen.values():
        if not entry.buildable:
            raise InvalidArgumentError(
                f"{entry.name} cannot be measured: only its published figures are known.",
                "'gpunet list --baselines' says which can be built.",
            )
    return sorted(chosen.values(), key=lambda entry: entry.role == "baseline")


def in_bfloat16(chosen: Sequence[Subject], by: RunsBy, zoo: Sequence[str] | None) -> Subject | None:
    """The first of what is measured, in bf16 as well: where that is faster it is offered, and nobody asked for another.

    None where a precision is asked for, where OpenVINO or the processor's own bfloat16 is not there, and for a file
    that holds another precision.
    """
    from gpunet.runtime import available as available_runtime

    if by.precision is not None or not chosen or available_runtime(by.runtime).name != "openvino":
        return None
    from gpunet.runtime.openvino.format import computes_bfloat16

    first = chosen[0]
    if not computes_bfloat16():
        return None
    try:
        loaded = subjects([first.name], dataclasses.replace(by, precision="bf16"), zoo=zoo)[0].load()
    except GpunetError:
        return None
    return Subject(f"{first.name} in bf16", first.role, lambda: loaded)


def measured(chosen: Sequence[Subject], by: RunsBy, rounds: int) -> Benched:
    """Load all, then run them in turn; those on a GPU by CUDA events, which other processes' noise does not reach."""
    from gpunet import runtime as runtimes
    from gpunet.exporters.reference import reference_for
    from gpunet.runtime.beside import measure_beside
    from gpunet.runtime.timing import interleave

    sessions: dict[str, Any] = {}
    images: dict[str, np.ndarray] = {}
    with ProgressBar("loading", len(chosen)) as bar:
        for done, each in enumerate(chosen):
            bar.update(done, description=f"loading {each.name}")
            sessions[each.name], images[each.name] = each.load()
        bar.update(len(chosen), description="loaded")
    found = {
        name: measure_beside(each, images[name], None, warn=False)
        for name, each in sessions.items()
        if each.device == "gpu"
    }
    others = {name: each for name, each in sessions.items() if name not in found}
    if not others:
        return Benched(found, None)
    used = {name: each.runtime for name, each in others.items()}
    loaded = {name: reference_for(runtimes.get(name), by.threads) for name in dict.fromkeys(used.values())}
    turns = Turns({name: each for name, each in loaded.items() if each is not None}, used)
    console.note(f"measuring {_counted(len(others))}, {rounds} rounds of {RUNS_PER_ROUND} runs ...")
    timed = interleave(others, images, rounds=rounds, runs_per_round=RUNS_PER_ROUND, on_turn=turns.add)
    turns.look()
    found |= {name: turns.beside(name, each) for name, each in timed.items()}
    return Benched({name: found[name] for name in sessions}, turns)


def _counted(networks: int) -> str:
    return "1 network" if networks == 1 else f"{networks} networks in turn"


def _loads(entry: Entry, runtime: Any, by: RunsBy) -> Callable[[], tuple[Session, np.ndarray]]:
    def load() -> tuple[Session, np.ndarray]:
        from gpunet.zoo.benchmark import session_from_network
        from gpunet.zoo.models import model_from_entry

        network: nn.Module
        if by.backbone:
            from gpunet.detection.backbone import averaged_maps

            network = averaged_maps(model_from_entry(entry, pretrained=False), entry)
        else:
            network = model_from_entry(entry, pretrained=False)
        return session_from_network(
            network,
            runtime,
            batch_size=by.batch_size,
            precision=by.precision or "fp32",
            threads=by.threads,
            input_px=by.input_px or entry.input_px,
        )

    return load


def _loads_file(path: Path, by: RunsBy) -> Callable[[], tuple[Session, np.ndarray]]:
    def load() -> tuple[Session, np.ndarray]:
        from gpunet.zoo.benchmark import images_for
        from gpunet.zoo.file_session import session_from_file

        session = session_from_file(path, runtime=by.runtime, precision=by.precision, threads=by.threads)
        return session, images_for(session, by.batch_size, by.input_px)

    return load
