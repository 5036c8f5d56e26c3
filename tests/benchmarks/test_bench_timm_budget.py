"""The benchmark of the search within a budget, on latencies made up of the catalogue's own figures."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench_timm_budget import main, works


def test_it_says_how_often_the_best_is_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    rows = ["model,infer_img_size,infer_step_time"]
    rows += [f"{key[0]},{key[1]},{4 * work.multiply_adds_billions + 3}" for key, work in list(works().items())[::4]]
    (tmp_path / "benchmark-cpu-made-up.csv").write_text("\n".join(rows))
    monkeypatch.setattr("bench_timm_budget.SHARES", (0.3,))
    monkeypatch.setattr("bench_timm_budget.BUDGETS_MS", (10, 50))
    assert main([str(tmp_path), "--draws", "1"]) == 0
    said = capsys.readouterr().out
    assert "in all, on processors: best found in 100.0 %, mean regret 0.0000" in said
    assert "rtx5090 pytorch-compile, " in said
    assert "sure by " in said


def test_a_folder_without_latencies_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main([str(tmp_path)]) == 1
    assert "holds no *cpu*.csv" in capsys.readouterr().err
