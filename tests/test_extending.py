"""CONTRIBUTING's table "to add X, do Y", each row tried with something that is not gpunet's.

Runtimes are tried in tests/runtime/test_contract.py, search spaces in tests/search/spaces/test_contract.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from helpers import ROOT
from helpers.commands import PLACES
from helpers.studies import Trainer, definition, estimator

from gpunet import runtime as runtimes
from gpunet.errors import StudyError
from gpunet.latency import LatencyTable, LayerMeter, MeterSettings, Work, register_kinds
from gpunet.latency.layers.keys import key_from_text, text_of
from gpunet.search import Optimizer, StudyStorage, Worker, create_study, register_backend, register_optimizer
from gpunet.search.optimize.named import optimizer_names, unregister_optimizer
from gpunet.search.storage.backends import unregister_backend
from gpunet.testing.storages import StorageContract

if TYPE_CHECKING:
    from gpunet.exporters.graph.builder import GraphBuilder

# ------------------------------------------------------------------- an optimiser


class SmallestFirst(Optimizer):
    """Of many points the new one whose choices are least in sum."""

    title = "smallest first"

    def _propose(self, n: int) -> np.ndarray:
        points = np.unique(self.domain.draw(256, np.random.default_rng(self.seed)), axis=0)
        points = points[self._is_new(points)]
        return points[np.argsort(points.sum(axis=1), kind="stable")[:n]]


def test_an_optimiser_is_a_class_and_a_registration(tmp_path: Path) -> None:
    register_optimizer("smallest_first", SmallestFirst)
    try:
        assert "smallest_first" in optimizer_names()
        study = create_study(
            tmp_path / "search.sqlite",
            "own",
            definition(optimizer="smallest_first", max_trials=2),
            folder=tmp_path / "trials",
        )
        Worker(study, Trainer(), estimator()).work()
        first, second = study.trials()
        assert (first.state, second.state) == ("complete", "complete")
        assert sum(first.vector) <= sum(second.vector)
        study.storage.close()
    finally:
        unregister_optimizer("smallest_first")


# ------------------------------------------------------------------- a layer kind


@dataclass(frozen=True)
class ReluKey:
    """A layer that is a rectifier alone."""

    kind: str
    channels: int
    side_px: int
    follows: bool = True

    @property
    def text(self) -> str:
        return text_of(self)

    @property
    def input_shape(self) -> tuple[int, ...]:
        return self.channels, self.side_px, self.side_px

    @property
    def output_shape(self) -> tuple[int, ...]:
        return self.input_shape

    def work(self) -> Work:
        return Work(0, 0, 2 * self.channels * self.side_px**2, 0, 0, 1)

    def add_to(self, graph: GraphBuilder, source: str) -> str:
        return graph.activation(source, "relu", "relu")


def test_a_layer_kind_is_a_class_of_keys_and_a_registration(tmp_path: Path) -> None:
    register_kinds(["relu"], ReluKey)
    key = ReluKey("relu", 8, 16)
    assert key_from_text(key.text) == key
    settings = MeterSettings(min_repeats=3, agreeing=2, within_percent=50.0, max_time_s=0.05)
    meter = LayerMeter(runtimes.get("onnxruntime"), threads=1, settings=settings)
    with LatencyTable(tmp_path / "table.sqlite", meter.conditions) as table:
        table.add(key, meter.layer(key))
    with LatencyTable(tmp_path / "table.sqlite") as table:
        assert list(table.layers()) == [key]


# -------------------------------------------------------------- a storage backend


class Journal:
    """Optuna's journal in a file."""

    at_once = 1

    def full_url(self, url: str) -> str:
        return url

    def shown(self, url: str) -> str:
        return url

    def path(self, url: str) -> Path | None:
        return Path(url.removeprefix("journal://"))

    def open(self, optuna: ModuleType, url: str, *, reading: bool, make: bool, wait_s: float) -> Any:
        path = self.path(url)
        if not make and not path.is_file():
            raise StudyError(f"{path}: there is no such file.")
        return optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(path)))

    def close(self, raw: Any) -> None:
        pass


class TestAStorageBackendIsAClassAndARegistration(StorageContract):
    @pytest.fixture
    def open_storage(self, tmp_path: Path) -> Iterator[Callable[..., StudyStorage]]:
        register_backend("journal", Journal)
        yield lambda **options: StudyStorage(f"journal://{tmp_path}/study.log", **options)
        unregister_backend("journal")


# ---------------------------------------------------------------- a CLI command


def test_a_command_is_a_file_and_a_line() -> None:
    """A file under `@command` that no group knows is a command forgotten."""
    folder = ROOT / "gpunet" / "cli"
    files = {path.relative_to(folder).with_suffix("") for path in folder.rglob("*.py") if path != folder / "command.py"}
    written = {
        path for path in files if "\n@command(" in (folder / path).with_suffix(".py").read_text(encoding="utf-8")
    }
    assert written == {Path(place.partition(":")[0].replace(".", "/")) for place in PLACES}
