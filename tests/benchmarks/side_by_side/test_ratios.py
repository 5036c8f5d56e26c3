from __future__ import annotations

import onnx
import pytest
from onnx import TensorProto, helper
from side_by_side import plain
from side_by_side.ratios import geometric_means, load_all

from gpunet.runtime.timing import Measurement


def block(ours_ms: float, default_ms: float, traced_ms: float) -> dict[str, Measurement]:
    return {
        kind: Measurement(p25, p25, p25, p25, p25, p25, 0.0, 9, 3)
        for kind, p25 in (("gpunet", ours_ms), ("default", default_ms), ("traced", traced_ms))
    }


def test_ratios_above_one_say_that_ours_is_faster():
    blocks = [block(10, 15, 9), block(20, 24, 18), block(10, 30, 9)]
    result = plain.result_of("net", "onnxruntime", blocks, {"gpunet": 1.0})
    assert result["ratios"] == {"default": pytest.approx(1.5), "traced": pytest.approx(0.9)}  # medians of the blocks
    assert result["uncertainties"] == {"default": pytest.approx((2.25 - 1.35) / 2), "traced": pytest.approx(0)}
    assert result["p25_ms"] == {"gpunet": 10, "default": 15, "traced": 9}
    assert len(result["blocks"]) == 3


def test_files_are_loaded_in_turn(tmp_path):
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, 4, 4]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "relu", value[:1], value[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "a.onnx")
    files = dict.fromkeys(("default", "traced", "gpunet"), tmp_path / "a.onnx")
    orders = [list(load_all("onnxruntime", files, 1, first=number)) for number in range(4)]
    assert [order[0] for order in orders] == ["default", "traced", "gpunet", "default"]
    assert all(set(order) == set(files) for order in orders)


def test_geometric_means_are_by_kind():
    means = geometric_means([{"default": 4.0, "traced": 1.0}, {"default": 1.0, "traced": 1.0}])
    assert means == {"default": pytest.approx(2.0), "traced": pytest.approx(1.0)}
