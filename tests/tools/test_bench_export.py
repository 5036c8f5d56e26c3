from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from gpunet.runtime.timing import Measurement

SCRIPT = Path(__file__).parents[2] / "tools" / "bench_export.py"


@pytest.fixture(scope="module")
def bench():
    spec = importlib.util.spec_from_file_location("bench_export", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def block(ours_ms: float, default_ms: float, traced_ms: float) -> dict[str, Measurement]:
    return {
        kind: Measurement(p25, p25, p25, p25, p25, p25, 0.0, 9, 3)
        for kind, p25 in (("gpunet", ours_ms), ("default", default_ms), ("traced", traced_ms))
    }


def test_ratios_above_one_say_that_ours_is_faster(bench):
    blocks = [block(10, 15, 9), block(20, 24, 18), block(10, 30, 9)]
    result = bench.compared("net", "onnxruntime", blocks, {"gpunet": 1.0})
    assert result["ratios"] == {"default": pytest.approx(1.5), "traced": pytest.approx(0.9)}  # medians of the blocks
    assert result["uncertainties"] == {"default": pytest.approx((2.25 - 1.35) / 2), "traced": pytest.approx(0)}
    assert result["p25_ms"] == {"gpunet": 10, "default": 15, "traced": 9}
    assert len(result["blocks"]) == 3


def test_files_are_loaded_in_turn(bench, tmp_path):
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, 4, 4]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "relu", value[:1], value[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "a.onnx")
    files = dict.fromkeys(("default", "traced", "gpunet"), tmp_path / "a.onnx")
    orders = [list(bench.load_all("onnxruntime", files, 1, first=number)) for number in range(4)]
    assert [order[0] for order in orders] == ["default", "traced", "gpunet", "default"]
    assert all(set(order) == set(files) for order in orders)


def test_geometric_means_are_by_kind(bench):
    means = bench.geometric_means([{"default": 4.0, "traced": 1.0}, {"default": 1.0, "traced": 1.0}])
    assert means == {"default": pytest.approx(2.0), "traced": pytest.approx(1.0)}


def test_help():
    done = subprocess.run([sys.executable, str(SCRIPT), "--help"], capture_output=True, text=True, check=True)
    for option in ("--models", "--runtimes", "--threads", "--rounds", "--json", "--at-least"):
        assert option in done.stdout


@pytest.mark.slow
def test_a_table_and_json_of_real_files(bench, tmp_path, capsys):
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
    assert "onnxruntime: geometric mean of the ratios" in shown
    written = json.loads(path.read_text())
    assert written["results"][0]["model"] == "gpunet_p0"
    assert written["results"][0]["ratios"]["traced"] > 0.5
    assert [set(each) for each in written["results"][0]["blocks"]] == [{"gpunet", "traced"}] * 2


@pytest.mark.slow
def test_a_ratio_below_the_least_fails(bench):
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
