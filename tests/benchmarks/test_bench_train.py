from __future__ import annotations

import json
from pathlib import Path

import bench_train
import pytest


@pytest.mark.slow
def test_both_parts_print_and_write_their_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "train.json"
    bench_train.main(["--rounds", "4", "--images", "256", "--seeds", "2", "--epochs", "2", "--teacher-epochs", "2",
                      "--json", str(path)])  # fmt: skip
    said = capsys.readouterr().out
    assert "of a bare loop's step (limit: 5 %)" in said
    assert "students on 10% of the labels (143 images), top-1 % on 360 others" in said
    found = json.loads(path.read_text(encoding="utf-8"))
    times = found["step"]["step_ms"]
    assert len(times["gpunet"]) == len(times["bare"]) == 5
    assert all(each > 0 for own in times.values() for each in own)
    rows = found["distillation"]["rows"]
    assert [row[0] for row in rows] == [0, 1]
    gains = [taught - alone for _, alone, taught in rows]
    assert found["distillation"]["gain_percent"] == pytest.approx(sum(gains) / 2)


def test_too_few_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        bench_train.main(["--rounds", "2"])
    assert "--rounds must be 4 or more and --seeds 2 or more, but got 2 and 5" in capsys.readouterr().err
