from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers.estimates import roofline_ms
from helpers.tables import CONDITIONS

from gpunet.cli.main import main
from gpunet.errors import (
    DataError,
    GpunetError,
    InvalidArgumentError,
    SpecError,
    StudyError,
    StudyUnavailableError,
    TableError,
    UsageError,
)
from gpunet.latency.records import NetworkLatency
from gpunet.latency.table import LatencyTable
from gpunet.search import ConvSpace, StageChoices
from gpunet.search.study.opening import open_study

TINY = ConvSpace(
    (16,), (8,),
    (StageChoices("conv", 2, None, (3,), activations=("swish",)),
     StageChoices("irb", 2, (8, 16), (3,), (1, 2), ("swish",), (2,), (True,))),
    head_filters=16,
)  # fmt: skip


def search(*arguments: object) -> None:
    main(["search", *map(str, arguments)])


def test_create(create: list[str], table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    search(*create)
    said = capsys.readouterr()
    assert said.out == f"study digits: 3 trials, checkpoints in {tmp_path / 'digits-digits'}\n"
    assert "gpunet search worker --study" in said.err
    made = open_study(tmp_path / "digits.sqlite").definition
    assert (made.table, made.epochs, made.num_classes, made.optimizer) == (str(table), 2, 10, "random")
    search(*create, "--json")
    assert json.loads(capsys.readouterr().out) == {
        "study": "digits", "storage": str(tmp_path / "digits.sqlite"), "max_trials": 3,
        "folder": str(tmp_path / "digits-digits"),
    }  # fmt: skip
    search(*(each.replace("--images-fraction", "--fraction") for each in create))
    assert "--fraction is called --images-fraction now" in capsys.readouterr().err
    with pytest.raises(StudyError, match="holds another study digits: its seed differs"):
        search(*create, "--seed", 1)


@pytest.mark.parametrize(("changes", "kind", "message"), [
    (["--table", "{tmp}/nowhere.sqlite"], TableError, "nowhere"),
    (["--space", "{tmp}/nowhere.json"], InvalidArgumentError, "--space"),
    (["--data", "{tmp}/nowhere"], DataError, "nowhere"),
    (["--high-ms", "0"], InvalidArgumentError, "--high-ms must be a finite number above 0, but got"),
    (["--low-ms", "1000"], StudyError, "no network of the space has an estimate 1000 ms or more"),
    (["--high-ms", "nan"], GpunetError, "nan"),
    (["--trials", "0"], UsageError, "--trials"),
    (["--trials", "-1"], UsageError, "--trials"),
    (["--trials", str(10**30)], UsageError, "--trials"),
    (["--images-fraction", "nan"], SpecError, "fraction"),
    (["--holdout", "1"], SpecError, "holdout"),
    (["--optimizer", "lamct"], InvalidArgumentError, "optimizer must be one of"),
    (["--pruner", "all"], UsageError, "--pruner"),
    (["--recipe", "gpunet_d2", "--epochs", "1"], InvalidArgumentError, "has distillation, which would rank students"),
    (["--name", "a/b"], StudyError, "a study's name has letters"),
    (["--study", "grpc://127.0.0.1"], StudyError, "names no host and port"),
])  # fmt: skip
def test_what_cannot_be_made(
    changes: list[str], kind: type[GpunetError], message: str, create: list[str], tmp_path: Path
) -> None:
    with pytest.raises(kind, match=message):
        search(*create, *(each.replace("{tmp}", str(tmp_path)) for each in changes))
    assert not (tmp_path / "digits.sqlite").exists()


def test_a_tier_narrower_than_the_table_is_exact_is_refused(
    create: list[str], write_table: Callable[[Path, int], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_table(tmp_path / "own.sqlite", 10)
    networks = [TINY.keys(vector, num_classes=10) for vector in TINY.lattice().draw(8, np.random.default_rng(0))]
    with LatencyTable(path, CONDITIONS) as table:
        for number, keys in enumerate(networks):
            whole_ms = (1.1, 0.9)[number % 2] * sum(map(roofline_ms, keys))
            table.add_network(keys, NetworkLatency(whole_ms, whole_ms, 5, "2026-11-24T10:00:00Z"))
    middle_ms = sum(map(roofline_ms, networks[0]))
    tier = ["--table", path, "--low-ms", 0.97 * middle_ms, "--high-ms", 1.03 * middle_ms]
    with pytest.raises(InvalidArgumentError, match=r"6\.2 % wide, but the table's estimates are exact to") as caught:
        search(*create, *tier)
    assert "take it as it is: --allow-narrow" in str(caught.value.hint)
    assert not (tmp_path / "digits.sqlite").exists()
    search(*create, *tier, "--allow-narrow")
    assert f"own.sqlite: estimates {len(set(map(tuple, networks)))} networks within" in capsys.readouterr().err


def test_a_study_is_not_made_in_a_latency_table(create: list[str], table: Path) -> None:
    before = table.read_bytes()
    with pytest.raises(StudyError, match=r"is a SQLite file of something else: it has the tables .*layers") as caught:
        search(*create, "--study", table)
    assert caught.value.hint == "Give the study a file of its own: --study search.sqlite"
    assert table.read_bytes() == before
    assert not table.with_name(f"{table.name}.lock").exists()


def test_a_place_that_refuses_is_said_at_once(create: list[str], tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="is a folder") as caught:
        search(*create, "--study", tmp_path)
    assert caught.value.hint == "Name a file in it: --study FOLDER/search.sqlite"
    (tmp_path / "text").write_text("some text " * 500, encoding="utf-8")
    with pytest.raises(StudyUnavailableError, match="file is not a database"):
        search(*create, "--study", tmp_path / "text")
    with pytest.raises(StudyUnavailableError, match="cannot be written: its folder is a file"):
        search(*create, "--study", tmp_path / "text" / "search.sqlite")
