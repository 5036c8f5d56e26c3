"""All seven released networks, built for real at FP32 and FP16 by TensorRT-RTX: no GPU, no stand-in for the builder."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from gpunet.exporters.onnx import onnx_from_network
from gpunet.model.network import GPUNet
from gpunet.runtime.trt.builder import BuiltEngine, build_engine
from gpunet.runtime.trt.library import TENSORRT_RTX
from gpunet.runtime.trt.options import BuildOptions
from gpunet.zoo.catalog import catalog

pytestmark = pytest.mark.slow
pytest.importorskip("tensorrt_rtx", reason="builds engines by tensorrt-rtx: pip install 'gpunet[rtx]'")

SEVEN = ["gpunet_0", "gpunet_1", "gpunet_2", "gpunet_p0", "gpunet_p1", "gpunet_d1", "gpunet_d2"]


def _half(model: onnx.ModelProto) -> onnx.ModelProto:
    """Half weights and activations, float32 input and output by casts."""
    graph = model.graph
    for weights in graph.initializer:
        if weights.data_type == TensorProto.FLOAT:
            narrow = numpy_helper.to_array(weights).astype(np.float16)
            weights.CopyFrom(numpy_helper.from_array(narrow, weights.name))
    source, result = graph.input[0].name, graph.output[0].name
    for node in graph.node:
        node.input[:] = ["half_in" if name == source else name for name in node.input]
        node.output[:] = ["half_out" if name == result else name for name in node.output]
    graph.node.insert(0, helper.make_node("Cast", [source], ["half_in"], name="to_half", to=TensorProto.FLOAT16))
    graph.node.append(helper.make_node("Cast", ["half_out"], [result], name="from_half", to=TensorProto.FLOAT))
    return model


@functools.lru_cache(maxsize=2)
def _build(name: str, precision: str) -> tuple[BuiltEngine, int]:
    """The engine and the bytes of the network's weights in that precision."""
    torch.manual_seed(0)
    entry = catalog()[name]
    model = onnx_from_network(GPUNet(entry.spec).eval())
    parameters = entry.parameters
    if precision == "fp16":
        model = _half(model)
    source = model.SerializeToString()
    return build_engine(TENSORRT_RTX, source, BuildOptions(precision)), parameters * (4 if precision == "fp32" else 2)


@pytest.mark.parametrize("name", SEVEN)
def test_both_precisions_build_and_are_proved(name: str, tmp_path: Path) -> None:
    sizes = {}
    for precision in ("fp32", "fp16"):
        built, weights_bytes = _build(name, precision)
        report = built.report
        # every node that depends on the input became a layer, and every convolution and linear layer is in the engine
        assert report.network_layers >= report.nodes > 40
        assert report.precision.precision == precision
        assert report.precision.compute_nodes > 15
        assert report.precision.layers == len(built.layers) > 15
        # not trivial: it holds the weights, and not much beside them
        assert weights_bytes * 0.95 < report.size_bytes < weights_bytes * 1.15 + 4_000_000
        sizes[precision] = report.size_bytes
        _build.cache_clear()
    assert 0.48 < sizes["fp16"] / sizes["fp32"] < 0.58
