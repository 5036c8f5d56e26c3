"""The benchmark of latency tables, in a small form that measures for real."""

from __future__ import annotations

import json
from pathlib import Path

import bench_latency
import pytest


def test_the_released_network_that_the_space_can_express_is_judged_too():
    assert set(bench_latency.released()) == {"gpunet_2"}
    fresh, again, other = bench_latency.networks(3, 7), bench_latency.networks(3, 7), bench_latency.networks(3, 8)
    assert fresh == again
    assert not set(map(tuple, fresh.values())) & set(map(tuple, other.values()))
    assert {keys[0].input_shape[1] for keys in bench_latency.networks(30, 0).values()} == {224, 256, 288}


@pytest.mark.slow
def test_every_part_measures_and_says_what_it_missed(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    small = ["--networks", "2", "--calibrate", "4", "--rounds", "1", "--fraction", "0.0012", "--cpu-time"]
    arguments = ["--out", str(tmp_path), "--runtimes", "onnxruntime", *small]
    bench_latency.main([*arguments, "--parts", "errors", "completion", "rate"])
    printed = capsys.readouterr().out
    for line in ("lone layers (the paper's sum)", "layers in context, completed", "layers a second"):
        assert line in printed
    found = json.loads((tmp_path / "results.json").read_text())["onnxruntime"]
    assert len(found["errors"][0]["estimates_ms"]) == 3
    assert found["layers_per_s"] > 0
    assert (tmp_path / "onnxruntime-fig4.png").stat().st_size > 10_000
    bench_latency.main([*arguments, "--parts", "errors"])  # everything is in the tables
    assert "layers in context" in capsys.readouterr().out


@pytest.mark.slow
def test_tiering_is_timed_against_sobol_points_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    bench_latency.main(["--out", str(tmp_path), "--parts", "sampling", "--count", "50000"])
    found = json.loads((tmp_path / "results.json").read_text())["sampling"]
    assert found["networks"] == 50_000
    assert found["sobol_s"] > 0
    assert 0 < found["peak_bytes"] < 2e9
    assert "times the" in capsys.readouterr().out
