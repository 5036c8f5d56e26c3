from __future__ import annotations

import json
from pathlib import Path

import bench_detection
import pytest


def _found(cascade: list[float], faster: list[float]) -> list[dict]:
    both = {"cascade": cascade, "faster": faster}
    return [
        {"kind": kind, "seed": seed, "metrics": {"AP75": value}}
        for kind, values in both.items()
        for seed, value in enumerate(values)
    ]


def test_the_verdict_is_by_the_mean_over_seeds():
    says = bench_detection.verdict(_found([20.0, 10.0, 15.0], [10.0, 12.0, 14.0]))
    assert says["mean_ap75"] == {"cascade": 15.0, "faster": 12.0}
    assert says["gains"] == [10.0, -2.0, 1.0]
    assert says["mean_gain"] == pytest.approx(3.0)
    assert says["holds"] is True
    assert bench_detection.verdict(_found([1.0], [1.0]))["holds"] is False


@pytest.mark.slow
def test_both_kinds_are_trained_and_scored(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "detection.json"
    with pytest.raises(SystemExit) as left:
        bench_detection.main(["--seeds", "1", "--backbone", "lcnet_050", "--train", "8", "--validation", "4",
                              "--epochs", "1", "--side-px", "64", "--jobs", "1", "-o", str(path)])  # fmt: skip
    said = json.loads(path.read_text(encoding="utf-8"))
    assert left.value.code == (0 if said["holds"] else 1)
    assert [each["kind"] for each in said["runs"]] == ["cascade", "faster"]
    assert "mean AP75: cascade" in capsys.readouterr().out
