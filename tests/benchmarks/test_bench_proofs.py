from __future__ import annotations

import json
import subprocess
import sys

import bench_proofs as bench
import pytest
from damages.trials import Trial
from helpers import ROOT


def test_help():
    script = ROOT / "benchmarks" / "bench_proofs.py"
    done = subprocess.run([sys.executable, str(script), "--help"], capture_output=True, text=True, check=True)
    for option in ("--models", "--runtimes", "--precisions", "--places", "--pictures", "--json", "--kinds"):
        assert option in done.stdout


def test_a_table_of_real_damages(tmp_path, capsys):
    path = tmp_path / "trials.json"
    bench.main(["--models", "digits", "--runtimes", "onnxruntime", "--precisions", "fp16", "--pictures", "50",
                "--kinds", "a gate cut", "classes permuted", "--json", str(path)])  # fmt: skip
    shown = capsys.readouterr().out
    assert "found 1 of 1" in shown
    assert "2 of 2 damages found" in shown
    assert "0 of 1 healthy graphs failed" in shown
    assert "PASS" in shown
    trials = json.loads(path.read_text())
    assert [each["kind"] for each in trials] == ["", "a gate cut", "classes permuted"]
    assert all(0 < trials[0][figure] < 1 for figure in ("end", "inside"))
    assert f"fp16 onnxruntime: {100 * trials[0]['end']:.0f} % at the end" in shown
    bench.main(["--report", str(path)])
    assert capsys.readouterr().out == shown


def test_an_unknown_damage(capsys):
    with pytest.raises(SystemExit, match="2"):
        bench.main(["--kinds", "a gate"])
    assert "no such damage: a gate; they are: kernel turned by 180 degrees," in capsys.readouterr().err


def test_what_is_missed_fails(capsys):
    def trial(kind: str, found: bool, changed: float) -> Trial:
        return Trial("net", "openvino", "int8", kind, found, changed, "said")

    harmless = [trial("", False, 0.0), trial("a gate cut", False, 0.5)]
    bench.report(harmless)
    assert "harmless 0 of 1, 0 %" in capsys.readouterr().out
    for wrong in (trial("a bias dropped", False, 7.0), trial("", True, 0.0)):
        with pytest.raises(SystemExit, match="1"):
            bench.report([*harmless, wrong])
        assert f"FAIL net int8 openvino: {wrong.kind or 'healthy'}: said" in capsys.readouterr().out
