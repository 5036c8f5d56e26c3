"""The builder from end to end: a small space measured for real on ONNX Runtime."""

from __future__ import annotations

import dataclasses
import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.spaces import SMALL_SPACE

from gpunet.cli.main import main as gpunet_command
from gpunet.errors import InvalidArgumentError, TableError
from gpunet.latency import Estimator, LatencyTable, LayerCosts
from gpunet.latency.build import in_shard
from gpunet.search import VitSpace
from gpunet.search.tiers.stratify import stratify

QUICK = ["--runtime", "onnxruntime", "--threads", "1", "--classes", "10"]
KEYS = SMALL_SPACE.lookup_plan(num_classes=10).keys()


@pytest.fixture
def space(tmp_path: Path) -> str:
    path = tmp_path / "space.json"
    path.write_text(json.dumps(SMALL_SPACE.to_dict()))
    return str(path)


def built(*arguments: str) -> None:
    gpunet_command(["table", "build", *arguments])


def test_a_part_is_measured_then_the_rest_and_networks_are_estimated(
    space: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    table = str(tmp_path / "table.sqlite")
    part = ["--space", space, "--layers-fraction", "0.4", *QUICK]
    built(table, *part, "--max-layers", "5")
    assert f"5 layers; {round(0.4 * len(KEYS)) - 5} of {round(0.4 * len(KEYS))} missing" in capsys.readouterr().out
    built(table, *part, "--networks", "5")
    printed = capsys.readouterr().out
    assert f"{round(0.4 * len(KEYS)) - 5} measured in" in printed
    assert "none missing" in printed
    assert "estimates 5 networks within" in printed
    with LatencyTable(table) as open_table:
        assert open_table.check() == []
        costs = LayerCosts.from_table(open_table)
    assert costs.calibration.networks == 5
    estimator = Estimator(SMALL_SPACE.lookup_plan(num_classes=10), costs)
    vectors = SMALL_SPACE.lattice().draw(50, np.random.default_rng(0))
    assert (estimator.latency_ms(vectors) > 0).all()
    assert estimator.leans_on_completion(vectors).any()
    middle = float(np.median(estimator.latency_ms(vectors)))
    strata = stratify(SMALL_SPACE, estimator, bounds_ms=(middle,), count=20_000)
    for tier in strata.tiers:
        found = tier.draw(20, np.random.default_rng(1))
        assert tier.contains(found).all()
        assert ((estimator.latency_ms(found) < middle) == (tier.high_ms == middle)).all()
    assert min(strata.counts) > 2_000
    built(table, *part, "--networks", "5", "--json")
    layers = round(0.4 * len(KEYS))
    assert json.loads(capsys.readouterr().out) == {
        "table": table, "layers": layers, "asked_for": layers, "measured": 0, "missing": 0, "failed": 0, "networks": 5,
    }  # fmt: skip


def test_a_space_of_transformers_goes_the_same_way(tmp_path: Path):
    space = VitSpace((32,), (8, 16), (32, 64), (1, 2), (2,), (2.0, 4.0))
    (tmp_path / "vit.json").write_text(json.dumps(space.to_dict()))
    table = tmp_path / "table.sqlite"
    gpunet_command(
        ["table", "build", str(table), "--space", str(tmp_path / "vit.json"), *QUICK, "--networks", "4", "--lone"]
    )
    with LatencyTable(table) as open_table:
        costs = LayerCosts.from_table(open_table, complete=False)
        assert len(open_table.networks()) == 4
        assert all(each.lone_ms for each in open_table.layers().values())
    estimator = Estimator(space.lookup_plan(num_classes=10), costs)
    latency_ms = estimator.latency_ms(space.lattice().draw(200, np.random.default_rng(0)))
    assert latency_ms.min() > 0
    assert latency_ms.max() > latency_ms.min()  # by how much is the machine's


def test_shards_measure_their_part_and_merge_into_the_whole(
    space: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    shards = [str(tmp_path / f"shard-{number}.sqlite") for number in (1, 2)]
    for number, shard in enumerate(shards, start=1):
        gpunet_command(
            [
                "table",
                "build",
                shard,
                "--space",
                space,
                *QUICK,
                "--shard",
                f"{number}/2",
                "--no-recheck",
                "--resolutions",
                "28",
            ]
        )
        with LatencyTable(shard) as table:
            assert 0 < len(table) == len(in_shard(table.layers(), (number, 2)))
    gpunet_command(["table", "merge", str(tmp_path / "all.sqlite"), *shards])
    with LatencyTable(tmp_path / "all.sqlite") as table:
        one = dataclasses.replace(SMALL_SPACE, resolutions_px=(28,))
        assert set(table.layers()) == set(one.lookup_plan(num_classes=10).keys())
    assert "layers added" in capsys.readouterr().out


def test_two_processes_fill_one_table(
    space: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("gpunet.cli.table.build.available_threads", lambda: 2)  # sharing one is slow, and no error
    gpunet_command(
        [
            "table",
            "build",
            str(tmp_path / "table.sqlite"),
            "--space",
            space,
            *QUICK,
            "--processes",
            "2",
            "--resolutions",
            "28",
        ]
    )
    with LatencyTable(tmp_path / "table.sqlite") as table:
        assert table.claimants() == []
        count = len(table)
    printed = capsys.readouterr().out
    assert f"{count} measured in" in printed
    by_other = int(re.search(r"builder 2: (\d+) measured", printed).group(1))
    assert 0 < by_other < count


@pytest.mark.parametrize("background", [False, True])
def test_a_job_ends_with_the_builder_that_began_it(background: bool, space: str, tmp_path: Path):
    """Even where a shell began it in the background, which makes processes ignore SIGINT."""
    command = [sys.executable, "-m", "gpunet.cli.main", "table", "build", str(tmp_path / "table.sqlite"), "--until-eof"]
    code = "import os, signal, sys; signal.signal(2, int(sys.argv[1])); os.execv(sys.argv[2], sys.argv[2:])"
    how = str(int(signal.SIG_IGN if background else signal.SIG_DFL))
    job = subprocess.Popen(
        [sys.executable, "-c", code, how, *command, *QUICK, "--layers-fraction", "0.5", "--no-recheck"],
        stdin=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    job.stdin.close()  # as when the process at the other end is killed
    assert job.wait(timeout=120) == 130
    job.stderr.close()


def test_the_layers_of_models_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    spec = tmp_path / "network.json"
    spec.write_text(SMALL_SPACE.decode([0] * len(SMALL_SPACE.digits)).to_json())
    table = str(tmp_path / "table.sqlite")
    gpunet_command(
        ["table", "build", table, "--models", str(spec), "--runtime", "onnxruntime", "--threads", "1", "--lone"]
    )
    gpunet_command(["table", "estimate", table, str(spec)])
    printed = capsys.readouterr().out
    assert "none missing" in printed
    assert "estimated, not measured" in printed


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--shard", "3/2"], "1 <= i <= n must hold"),
        (["--shard", "two"], "a shard is written i/n"),
        (["--layers-fraction", "0"], "0 < fraction <= 1"),
        (["--resolutions", "100"], "100 is not one of 224, 256"),
        (["--space", "nowhere.json"], "--space nowhere.json: .*No such file"),
        (["--processes", "2", "--threads", "2"], "--processes 2 needs --threads 1"),
        (["--processes", "0"], "--processes must be an integer"),
        (["--models", "gpunet_0", "--networks", "3", "--layers-fraction", "1"], "--models was given"),
        (["--classes", "0"], "--classes must be an integer"),
        (["--max-minutes", "nan"], "--max-minutes must be a number of 0 or more"),
        (["--max-layers", "-5"], "--max-layers must be an integer"),
        (["--cpu-time", "--threads", "2", "--runtime", "onnxruntime"], "counts the time of all threads together"),
        (["--runtime", "abacus"], "runtime must be one of"),
        (["--threads", "0"], "--threads must be an integer"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_before_anything_is_made(tmp_path: Path, arguments: list[str], said: str):
    with pytest.raises(InvalidArgumentError, match=said):
        built(str(tmp_path / "table.sqlite"), "--layers-fraction", "0.001", *arguments)
    assert not list(tmp_path.iterdir())


def test_a_table_of_other_conditions_is_refused(space: str, tmp_path: Path):
    table = str(tmp_path / "table.sqlite")
    built(table, "--space", space, *QUICK, "--max-layers", "1")
    with pytest.raises(TableError, match="--batch-size 1, not 2"):
        built(table, "--space", space, *QUICK, "--batch-size", "2")
