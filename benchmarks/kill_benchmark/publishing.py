"""Publishing, killed: the old entry or the new one is there, and the next publication leaves nothing else."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch

from gpunet.core import placing
from gpunet.core.machine import available_threads, fingerprint
from gpunet.model.entry import Accuracy
from gpunet.model.network import GPUNet
from gpunet.model.small import SMALL
from gpunet.runtime import get
from gpunet.runtime.measurement import Measurement
from gpunet.zoo.catalog import catalog
from gpunet.zoo.measured import record_from_measurement
from gpunet.zoo.publishing.publication import Publication
from gpunet.zoo.publishing.publish import publish_entry
from kill_benchmark.counts import Counts
from kill_benchmark.events import completed, killed_before, moments, single_threaded, spread

NAME = "killed"


@single_threaded()
def publishing(kills: int | None, *, swaps: bool = True) -> Counts:
    """Replace an entry by another, killed at each moment, or at `kills` of them.

    Args:
        kills: how many; None for each moment once.
        swaps: False for a file system that cannot swap folders.
    """
    counts = Counts("publishing" if swaps else "publishing, where folders cannot be swapped")
    old, new = publication(0), publication(1)
    with tempfile.TemporaryDirectory(prefix="gpunet-kill-") as folder:
        made = {}
        for name, each in (("old", old), ("new", new)):
            completed(_publishing(Path(folder, name), each))
            made[name] = content(Path(folder, name, NAME))
        zoo = Path(folder, "zoo")

        def replacing() -> None:
            if not swaps:
                placing.swapped = lambda one, other: False
            publish_entry(zoo, new, replace=True)

        completed(_publishing(zoo, old))
        count = moments(replacing)
        for moment in spread(count, kills):
            completed(_publishing(zoo, old))
            counts.killed += killed_before(moment, replacing)
            if content(catalog(zoo)[NAME].folder) not in made.values():
                counts.lost += 1
                counts.faults.append(f"killed before moment {moment} of {count}: neither the old entry nor the new one")
            completed(replacing)
            if content(zoo / NAME) != made["new"]:
                counts.lost += 1
                counts.faults.append(f"after moment {moment} of {count}: the new entry could not be published")
            counts.left_over += len(list(zoo.iterdir())) - 1
    return counts


def content(folder: Path | None) -> dict[str, bytes]:
    """A folder's files."""
    return {} if folder is None else {path.name: path.read_bytes() for path in folder.iterdir()}


def publication(seed: int) -> Publication:
    """A small network's, untrained."""
    torch.manual_seed(seed)
    here = fingerprint(
        runtime="pytorch", runtime_version=get("pytorch").version(), precision="fp32", threads=available_threads()
    )
    said = {**here.to_dict(), "batch_size": 1, "input_shape": [1, 3, 32, 32]}
    figures = dict.fromkeys(("latency_ms", "mean_ms", "min_ms", "p25_ms", "p90_ms", "p99_ms"), 1.0 + seed)
    measured = Measurement(**figures, spread_percent=1.0, repeats=5, warmup=1, conditions=said)
    return Publication(
        NAME, GPUNet(SMALL, num_classes=10).eval(), records=[record_from_measurement(NAME, measured)],
        accuracy=Accuracy(90.0, "digits (validation)", "nobody measured it"), data="none", recipe={}, seed=seed,
        licence="Apache-2.0", classes=tuple("0123456789"), versions={"torch": torch.__version__},
    )  # fmt: skip


def _publishing(zoo: Path, given: Publication) -> Callable[[], object]:
    return lambda: publish_entry(zoo, dataclasses.replace(given), replace=True)
