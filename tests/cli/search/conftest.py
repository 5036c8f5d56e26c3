"""A study with trials of all kinds, and what another one is made of."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.estimates import roofline_ms
from helpers.studies import definition, every_network
from helpers.tables import CONDITIONS, figures
from optuna.trial import TrialState

from gpunet.latency.table import LatencyTable
from gpunet.search import ConvSpace, StageChoices
from gpunet.search.storage.storage import WORKERS
from gpunet.search.study.study import Study
from gpunet.search.work.creation import create_study
from gpunet.search.work.registry import WorkerRegistry

TINY = ConvSpace(
    (16,), (8,),
    (StageChoices("conv", 2, None, (3,), activations=("swish",)),
     StageChoices("irb", 2, (8, 16), (3,), (1, 2), ("swish",), (2,), (True,))),
    head_filters=16,
)  # fmt: skip


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """Four trials: complete with 50 and 70 %, failed, running."""
    made = create_study(tmp_path / "search.sqlite", "mine", definition(0.0, 900.0, max_trials=9))
    board = WorkerRegistry(made.storage, made.storage.made_study("mine" + WORKERS)[0], 100.0)
    session = board.register()
    for row in range(4):
        made.create_trial(every_network()[row].tolist(), 0.1 + row, f"key {row}", session.id)
    for number, top1 in ((0, 50.0), (1, 70.0)):
        made.storage.report(made.trial_id(number), 1, top1)
        made.storage.finish(made.trial_id(number), TrialState.COMPLETE, top1)
    made.storage.set_attr(made.trial_id(2), "reason", "a layer is too wide")
    made.storage.finish(made.trial_id(2), TrialState.FAIL)
    made.record_measured(1, 1.25, {"batch": 1})
    return made


@pytest.fixture
def url(study: Study, tmp_path: Path) -> str:
    return str(tmp_path / "search.sqlite")


def _written(path: Path, num_classes: int) -> Path:
    keys = TINY.lookup_plan(num_classes=num_classes).keys()
    with LatencyTable(path, CONDITIONS) as made:
        for key in keys:
            made.add(key, figures(roofline_ms(key)))
    return path


@pytest.fixture
def write_table() -> Callable[[Path, int], Path]:
    """Writes a latency table of all layers of the tiny space, at a path, for a number of classes."""
    return _written


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _written(tmp_path_factory.mktemp("table") / "table.sqlite", 10)


@pytest.fixture
def create(table: Path, tmp_path: Path) -> list[str]:
    space = tmp_path / "space.json"
    space.write_text(json.dumps(TINY.to_dict()), encoding="utf-8")
    return ["create", "--study", str(tmp_path / "digits.sqlite"), "--name", "digits", "--space", str(space),
            "--table", str(table), "--data", "digits", "--images-fraction", "0.12", "--epochs", "2", "--trials", "3",
            "--optimizer", "random", "--pruner", "none"]  # fmt: skip
