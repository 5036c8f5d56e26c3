from __future__ import annotations

import argparse
import json
import subprocess
import sys

import bench_export as bench
import pytest
from helpers import ROOT

SCRIPT = ROOT / "benchmarks" / "bench_export.py"


def test_help():
    done = subprocess.run([sys.executable, str(SCRIPT), "--help"], capture_output=True, text=True, check=True)
    for option in ("--models", "--runtimes", "--threads", "--rounds", "--json", "--at-least", "--precisions"):
        assert option in done.stdout


@pytest.mark.slow
def test_a_table_and_json_of_real_files(tmp_path, capsys):
    path = tmp_path / "ratios.json"
    options = [
        "--models",
        "gpunet_p0",
        "--against",
        "traced",
        "--runtimes",
        "onnxruntime",
        "--blocks",
        "2",
        "--rounds",
        "1",
    ]
    bench.main([*options, "--json", str(path)])
    shown = capsys.readouterr().out
    assert "ratio to traced" in shown
    assert "onnxruntime: geometric mean of the ratios over 1 networks: " in shown
    written = json.loads(path.read_text())
    assert written["results"][0]["model"] == "gpunet_p0"
    assert written["results"][0]["ratios"]["traced"] > 0.5
    assert [set(each) for each in written["results"][0]["blocks"]] == [{"gpunet", "traced"}] * 2


@pytest.mark.slow
def test_a_ratio_below_the_least_fails():
    options = [
        "--models",
        "gpunet_p0",
        "--against",
        "traced",
        "--runtimes",
        "onnxruntime",
        "--rounds",
        "1",
        "--runs",
        "1",
    ]
    with pytest.raises(SystemExit, match=r"the least ratio is .*, below 1000\.0"):
        bench.main([*options, "--at-least", "1000"])


@pytest.mark.slow
def test_the_precisions_of_one_network(tmp_path, capsys):
    arguments = ["--precisions", "--models", "gpunet_p0", "--runtimes", "openvino", "--blocks", "1", "--rounds", "2"]
    bench.main([*arguments, "--json", str(tmp_path / "out.json")])
    printed = capsys.readouterr().out
    assert "gpunet_p0  openvino" in printed
    assert "openvino: geometric mean of the ratios over 1 networks: fp16 " in printed
    (result,) = json.loads((tmp_path / "out.json").read_text())["results"]
    assert result["failed"] == []
    assert result["files"]["int8"]["bytes"] < 0.3 * result["files"]["fp32"]["bytes"]
    assert result["files"]["int8"]["quantization"]["mean_cosine"] > 0.95


def test_a_file_that_was_not_verified_fails_before_the_ratios_are_judged():
    result = {"model": "net", "ratios": {"int8": 0.5}, "failed": ["int8"]}
    args = argparse.Namespace(precisions=True, at_least=1.4)
    with pytest.raises(SystemExit, match="not verified: net int8"):
        bench.judge([result], {"openvino": {"int8": 0.5}}, args)
    with pytest.raises(SystemExit, match=r"INT8 on OpenVINO is 0\.500 times as fast as FP32, below 1\.4"):
        bench.judge([{**result, "failed": []}], {"openvino": {"int8": 0.5}}, args)
    bench.judge([{**result, "failed": []}], {"openvino": {"int8": 1.5}}, args)
