"""The benchmark of latency tables, in a small form that measures for real."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import bench_latency
import bench_tiering
import pytest

GOOD = bench_latency.Build("demo", "onnxruntime", "none", 1, 9.0, 3.9, -1.4, 0.94, "layers in context", False, 2.0)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, []),
        ({"mape_percent": 4.1}, ["MAPE 4.10 %, not at most 4"]),
        ({"space": "paper"}, ["MAPE 3.90 %, not at most 3", "Kendall tau 0.940, not at least 0.97"]),
        ({"bias_percent": -1.6}, ["bias -1.60 %, not within 1.5"]),
        ({"kendall_tau": float("nan")}, ["Kendall tau nan, not at least 0.93"]),
        ({"load": "half", "disturbed": True, "mape_percent": 7.9, "bias_percent": 2.9, "kendall_tau": 0.87}, []),
        ({"load": "half"}, ["the table does not say that it was disturbed"]),
    ],
)
def test_a_table_is_held_to_its_limits_and_beside_a_load_to_twice_as_much(changes: dict, said: list[str]):
    assert dataclasses.replace(GOOD, **changes).faults() == said


@pytest.mark.slow
def test_a_table_is_made_and_judged_by_the_commands_that_users_have(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    preset = bench_latency.PRESETS["demo-small"]
    monkeypatch.setitem(bench_latency.PRESETS, "demo", preset)
    arguments = ["--out", str(tmp_path), "--parts", "builds", "--spaces", "demo", "--runtimes", "onnxruntime"]
    bench_latency.main([*arguments, "--builds", "1", "--networks", "3", "--calibrate", "4", "--loads", "half"])
    printed = capsys.readouterr().out
    assert "demo   onnxruntime  half  1" in printed
    [found] = json.loads((tmp_path / "results.json").read_text())["builds"]
    assert found["mape_percent"] > 0
    assert found["own_error_percent"] > 0
    assert (tmp_path / "demo-onnxruntime-half-1" / "report.png").stat().st_size > 10_000


@pytest.mark.slow
def test_tiering_is_timed_against_sobol_points_alone(capsys: pytest.CaptureFixture[str]):
    missed: list[str] = []
    found = bench_tiering.sampling(50_000, 0, missed)
    assert found["networks"] == 50_000
    assert found["sobol_s"] > 0
    assert 0 < found["peak_bytes"] < 2e9
    assert "times the" in capsys.readouterr().out
