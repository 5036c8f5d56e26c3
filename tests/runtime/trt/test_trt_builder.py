"""Engines are built for real, by TensorRT-RTX, which needs no GPU for it."""

from __future__ import annotations

import dataclasses
import re
import signal
import subprocess
import sys
from pathlib import Path

import onnx
import pytest
from helpers.small_onnx import make_onnx
from onnx import TensorProto, helper

from gpunet.core.gpu import find_gpu
from gpunet.errors import ExportError, InvalidArgumentError, RuntimeUnavailableError
from gpunet.runtime.trt.builder import build_engine, check_coverage
from gpunet.runtime.trt.graph import read_graph
from gpunet.runtime.trt.library import TENSORRT, TENSORRT_RTX, messages
from gpunet.runtime.trt.monitor import Progress
from gpunet.runtime.trt.options import BuildOptions

rtx = pytest.importorskip("tensorrt_rtx", reason="builds engines by tensorrt-rtx: pip install 'gpunet[rtx]'")


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_it_builds_an_engine_and_proves_its_precision(precision: str) -> None:
    source = make_onnx(precision=precision)
    built = build_engine(TENSORRT_RTX, source, BuildOptions(precision))
    assert built.data[1:4] == b"trt"  # the library's own magic: no prefix
    report = built.report
    assert report.size_bytes == len(built.data) > 20_000
    assert report.library == "tensorrt_rtx"
    assert report.version == rtx.__version__
    assert report.batch == (1, 1, 1)
    assert report.precision.precision == precision
    assert report.precision.compute_nodes == 3
    assert report.precision.quantised_nodes == (3 if precision == "int8" else 0)
    assert report.precision.layers == len(built.layers) > 0
    model = onnx.load_model_from_string(source)
    assert report.nodes + report.constant_nodes == len(model.graph.node)
    assert report.network_layers >= report.nodes
    assert report.to_dict()["batch"] == [1, 1, 1]


def test_two_builds_give_the_same_engine() -> None:
    first, second = (build_engine(TENSORRT_RTX, make_onnx(), BuildOptions()).data for _ in range(2))
    assert first == second


def test_tf32_is_off_unless_asked_for() -> None:
    assert re.findall(rb"tf32=(\d)", build_engine(TENSORRT_RTX, make_onnx(), BuildOptions()).data) == [b"0"]
    assert re.findall(rb"tf32=(\d)", build_engine(TENSORRT_RTX, make_onnx(), BuildOptions(tf32=True)).data) == [b"1"]


@pytest.mark.parametrize("asked", [(), ("7.5",), ("8.6", "12.0")])
def test_it_builds_for_the_compute_capabilities_named(asked: tuple[str, ...]) -> None:
    options = BuildOptions("fp16", compute_capabilities=asked)
    engine = build_engine(TENSORRT_RTX, make_onnx(precision="fp16"), options).data
    targets = {name.decode() for found in re.findall(rb"accelerators=\{([^}*]+)\}", engine) for name in found.split()}
    assert targets == {"sm" + each.replace(".", "") for each in asked or ("8.0",)}


def test_a_batch_profile_is_built_into_the_engine() -> None:
    built = build_engine(TENSORRT_RTX, make_onnx(batch="N"), BuildOptions(batch=(1, 2, 4)))
    assert built.report.batch == (1, 2, 4)
    shapes = {tensor.shape for layer in built.layers for tensor in layer.inputs if tensor.name == "input"}
    assert shapes == {(-1, 3, 32, 32)}


def test_the_workspace_limit_reaches_the_builder() -> None:
    with pytest.raises(ExportError, match="cannot build the engine") as caught:
        build_engine(TENSORRT_RTX, make_onnx(), BuildOptions(workspace_bytes=1 << 20))
    assert "workspace" in caught.value.message
    assert caught.value.hint == "Give the builder more workspace (workspace_bytes)."


@pytest.mark.parametrize(("held", "asked"), [("fp32", "fp16"), ("fp16", "fp32"), ("int8", "fp32")])
def test_an_engine_in_another_precision_is_an_error(held: str, asked: str) -> None:
    with pytest.raises(
        ExportError, match=f"the engine does not run in {asked}: \\d+ of \\d+ tensors are of other types"
    ):
        build_engine(TENSORRT_RTX, make_onnx(precision=held), BuildOptions(asked))


def test_int8_of_a_graph_that_is_not_quantised_is_an_error() -> None:
    with pytest.raises(ExportError, match="no convolution or linear layer of the graph is quantised"):
        build_engine(TENSORRT_RTX, make_onnx(), BuildOptions("int8"))


def test_what_the_builder_says_is_in_the_error() -> None:
    with pytest.raises(ExportError, match=r"TensorRT-RTX [\d.]+ cannot build the engine: .*Turing \(SM75\)") as caught:
        build_engine(TENSORRT_RTX, make_onnx(), BuildOptions(compute_capabilities=("7.5",)))
    assert caught.value.hint.startswith("For compute capability 7.5 build in fp16")


def test_a_node_that_the_parser_does_not_know_is_named(tmp_path: Path) -> None:
    port = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 4, 4])
    result = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 3, 4, 4])
    node = helper.make_node("Mystery", ["input"], ["logits"], name="odd_one", domain="of.nobody")
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("of.nobody", 1)]
    model = helper.make_model(helper.make_graph([node], "g", [port], [result]), opset_imports=opsets, ir_version=8)
    path = tmp_path / "odd.onnx"
    onnx.save(model, path)
    with pytest.raises(ExportError, match=r"cannot read the ONNX file: node odd_one \(Mystery\): .*Plugin not found"):
        build_engine(TENSORRT_RTX, path, BuildOptions())


def test_a_node_that_became_no_layer_is_an_error() -> None:
    graph = read_graph(make_onnx())
    heard = messages(rtx)
    builder = rtx.Builder(heard.logger)
    network = builder.create_network(0)
    parser = rtx.OnnxParser(network, heard.logger)
    assert parser.parse(graph.data)
    check_coverage(parser, network, graph)
    with pytest.raises(ExportError, match="the parser left out 1 of 8 nodes: ghost"):
        check_coverage(parser, network, dataclasses.replace(graph, data_nodes=(*graph.data_nodes, "ghost")))


def test_quantised_biases_are_refused_with_what_to_do() -> None:
    model = onnx.load_model_from_string(make_onnx(precision="int8"))
    bias = helper.make_tensor("bias", TensorProto.INT32, [16], [1] * 16)
    zero = helper.make_tensor("bias.zero", TensorProto.INT32, [], [0])
    model.graph.initializer.extend([bias, zero])
    node = helper.make_node("DequantizeLinear", ["bias", "conv1.scale", "bias.zero"], ["bias.d"], name="bias.d")
    model.graph.node.insert(0, node)
    next(each for each in model.graph.node if each.name == "conv1").input.append("bias.d")
    with pytest.raises(ExportError, match=r"node bias\.d \(DequantizeLinear\): .*Int32") as caught:
        build_engine(TENSORRT_RTX, model.SerializeToString(), BuildOptions("int8"))
    assert caught.value.hint.startswith("Quantise activations and weights, not biases")


def test_zero_points_other_than_zero_are_refused_with_what_to_do() -> None:
    model = onnx.load_model_from_string(make_onnx(precision="int8"))
    zero = next(each for each in model.graph.initializer if each.name == "conv1.zero")
    zero.CopyFrom(helper.make_tensor("conv1.zero", TensorProto.INT8, [], [3]))
    with pytest.raises(ExportError, match="Non-zero zero point is not supported") as caught:
        build_engine(TENSORRT_RTX, model.SerializeToString(), BuildOptions("int8"))
    assert caught.value.hint == "Quantise symmetrically: signed 8-bit integers, zero points of 0."


def test_progress_grows_to_the_end() -> None:
    seen: list[Progress] = []
    build_engine(TENSORRT_RTX, make_onnx(), BuildOptions(), on_progress=seen.append)
    assert len(seen) > 10
    assert seen[0].phase == "Building engine"
    fractions = [each.fraction for each in seen]
    assert all(0 <= fraction <= 1 for fraction in fractions)
    assert fractions[-1] == max(fractions) > 0.6
    assert all(each.step <= each.steps for each in seen)


def test_what_the_progress_callback_raises_ends_the_build() -> None:
    calls = []

    def fail(progress: Progress) -> None:
        calls.append(progress)
        raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        build_engine(TENSORRT_RTX, make_onnx(), BuildOptions(), on_progress=fail)
    assert len(calls) == 1
    assert build_engine(TENSORRT_RTX, make_onnx(), BuildOptions()).data


def test_ctrl_c_cancels_the_build() -> None:
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    calls = []

    def interrupt(progress: Progress) -> None:
        calls.append(progress)
        if len(calls) == 3:
            signal.raise_signal(signal.SIGINT)

    try:
        with pytest.raises(KeyboardInterrupt):
            build_engine(TENSORRT_RTX, make_onnx(), BuildOptions(), on_progress=interrupt)
        assert len(calls) == 3
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("source", [b"", b"no network at all", "cut"])
def test_a_damaged_file_is_refused_before_the_builder_sees_it(source: bytes | str) -> None:
    data = make_onnx()[:-100] if source == "cut" else source
    with pytest.raises(InvalidArgumentError, match=r"the ONNX model is not a whole ONNX file: \d+ bytes that"):
        build_engine(TENSORRT_RTX, data, BuildOptions())


@pytest.mark.skipif(find_gpu() is not None, reason="this machine has a GPU")
def test_tensorrt_without_a_gpu_says_where_to_go() -> None:
    with pytest.raises(
        RuntimeUnavailableError, match="TensorRT builds an engine on the GPU that will run it"
    ) as caught:
        build_engine(TENSORRT, make_onnx(), BuildOptions())
    assert "--trt-rtx" in caught.value.hint
    assert "Run the same command on the target" in caught.value.hint


_CROWDED = """
import sys, tensorrt_rtx as trt
from gpunet.runtime.trt.builder import build_engine
from gpunet.runtime.trt.library import TENSORRT_RTX
from gpunet.runtime.trt.options import BuildOptions
theirs = trt.Builder(trt.Logger(trt.Logger.ERROR))
print(build_engine(TENSORRT_RTX, sys.stdin.buffer.read(), BuildOptions()).report.precision.layers)
"""


def test_another_packages_logger_does_not_take_the_proof_away() -> None:
    done = subprocess.run([sys.executable, "-c", _CROWDED], input=make_onnx(), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert int(done.stdout) > 0
