"""A study that trains for real in seconds: digits, networks of some thousand parameters, and a made-up table."""

from __future__ import annotations

from pathlib import Path

from gpunet.core.machine import Fingerprint
from gpunet.latency.records import LayerLatency, TableConditions
from gpunet.latency.table import LatencyTable
from gpunet.search.spaces.conv_space import ConvSpace
from gpunet.search.spaces.stage_choices import StageChoices
from gpunet.search.study.definition import Pruning, defined
from gpunet.search.study.search_data import SearchData
from gpunet.search.study.study import Study
from gpunet.search.study.tables import estimator_from_table
from gpunet.search.study.training import RecipeTrainer
from gpunet.search.work.creation import create_study
from gpunet.train.recipe import Augmentation, Optimization, Recipe, Schedule
from search_benchmark.estimates import roofline_ms

NUM_CLASSES = 10
SPACE = ConvSpace(
    (16, 20, 24, 28), (8, 12),
    (StageChoices("conv", 1, None, (3, 5), (1, 2), ("relu", "swish")),
     StageChoices("irb", 2, (8, 12, 16), (3, 5), (1, 2, 3), ("relu", "swish"), (2, 3), (False, True)),
     StageChoices("irb", 2, (24, 32), (3, 5), (1, 2), ("relu", "swish"), (2, 4), (False, True))),
    head_filters=64,
)  # fmt: skip
DATA = SearchData("digits", fraction=0.3, holdout=0.1)
BATCH = 16


def recipe(epochs: int) -> Recipe:
    """A second an epoch, or less."""
    return Recipe(
        "soak", epochs=epochs, batch_size=BATCH, optimization=Optimization("adamw", 3e-3, BATCH),
        schedule=Schedule("cosine", by_update=True), augmentation=Augmentation(enabled=False),
    )  # fmt: skip


def write_table(path: Path, space: ConvSpace = SPACE) -> None:
    """A latency table of every layer of the space, with the figures of a roofline."""
    machine = Fingerprint("made up", "none", "none", 1, "onnxruntime", "0", "fp32")
    with LatencyTable(path, TableConditions(machine)) as table:
        keys = list(space.lookup_plan(num_classes=NUM_CLASSES).keys())
        rows = []
        for key in keys:
            own_ms = roofline_ms(key)
            rows.append((key.text, LayerLatency(own_ms, own_ms + 0.1, 0.1, own_ms, 1.0, 3, "2026-01-01T00:00:00Z")))
        table.add_rows(rows)


def make_study(
    url: str, folder: Path, *, trials: int, epochs: int, optimizer: str = "lamcts", pruner: str = "none"
) -> Study:
    """A study of the whole space, with its table and checkpoints in a folder."""
    table = folder / "latencies.sqlite"
    if not table.exists():
        write_table(table)
    trainer = RecipeTrainer(SPACE, recipe(epochs), DATA)
    definition = defined(
        SPACE, estimator_from_table(table, SPACE, NUM_CLASSES), 0.0, float("inf"), trainer=trainer.to_dict(),
        epochs=epochs, max_trials=trials, num_classes=NUM_CLASSES, table=str(table), optimizer=optimizer,
        pruning=Pruning(pruner),
    )  # fmt: skip
    return create_study(url, "small", definition, folder=folder / "trials")
