from __future__ import annotations

import json

import pytest
from helpers.small_onnx import make_onnx

from gpunet.errors import ExportError
from gpunet.runtime.trt.graph import Graph, read_graph
from gpunet.runtime.trt.layers import EngineLayer, EngineTensor, layers_from_inspector, layers_from_messages
from gpunet.runtime.trt.precision import prove_precision

# A line as tensorrt_rtx 1.7.1 prints it, shortened.
LINE = (
    "Name: /conv1_myl0_1, LayerType: correlation, Inputs: [ { Name: relu.1_2_myl0, Dimensions: [1,4,64,64], Strides: "
    "[16384,1,256,4], StrideOrder: [3,0,2,1], Datatype: Half, Format: (NHWC) Channel major format }], Constants: [ { "
    "Name: const_myl0, Dimensions: [16,4,3,3], Strides: [36,1,12,4], StrideOrder: [3,0,2,1], Datatype: Half, Format: "
    "(NHWC) Channel major format }, { Name: one_myl0, Dimensions: [1], Strides: [1], StrideOrder: [0], Datatype: "
    "Float, Format: (Linear) Row major linear format }], Outputs: [ { Name: out_myl0, Dimensions: [-1,16,32,32], "
    "Strides: [1,1,1,1], StrideOrder: [3,0,2,1], Datatype: Int8, Format: (NHWC) Channel major format }], TacticName: "
    "__myl_CASK, StreamId: 0, Metadata: [ONNX Layer: conv1][ONNX Layer: conv1.relu]"
)


def test_a_line_of_the_builders_list() -> None:
    said = f"Layers:\n{LINE}\n\nI/O Tensors:\n Name: input, IOMode: Input, DataType: Float, Dimensions: [1,3,64,64]"
    layers = layers_from_messages(["Something else", said])
    assert layers == (
        EngineLayer(
            "/conv1_myl0_1",
            "correlation",
            (EngineTensor("relu.1_2_myl0", (1, 4, 64, 64), "fp16"),),
            (EngineTensor("out_myl0", (-1, 16, 32, 32), "int8"),),
            (EngineTensor("const_myl0", (16, 4, 3, 3), "fp16"), EngineTensor("one_myl0", (1,), "fp32")),
            ("conv1", "conv1.relu"),
        ),
    )


def test_no_list_is_an_error() -> None:
    with pytest.raises(ExportError, match="the builder did not list the layers of the engine"):
        layers_from_messages(["Layers: none", "Engine generation completed in 0.1 seconds."])


def test_a_list_of_another_form_is_an_error() -> None:
    with pytest.raises(ExportError, match="in a form that is not known: Name: conv1, LayerType: correlation, Weights"):
        layers_from_messages(["Layers:\nName: conv1, LayerType: correlation, Weights: []"])


def _inspected(kind: str, *, split: bool, weights: str, node: str = "conv1") -> dict[str, object]:
    """A layer as the inspector of TensorRT 8.6 and 10 (one field) or 11 (two fields) describes it."""
    says = {"Datatype": kind, "Format": "(NHWC) Channel major format"} if split else {"Format/Datatype": kind}
    return {
        "Name": f"{node} + relu", "LayerType": "CaskConvolution",
        "Inputs": [{"Name": "in", "Location": "Device", "Dimensions": [1, 16, 8, 8], **says}],
        "Outputs": [{"Name": "out", "Location": "Device", "Dimensions": [1, 32, 4, 4], **says}],
        "ParameterType": "Convolution", "Weights": {"Type": weights, "Count": 4608},
        "Bias": {"Type": "Float", "Count": 32},
        "TacticName": "sm80_xmma_fprop", "Metadata": f"[ONNX Layer: {node}]\x1e[ONNX Layer: {node}.relu]",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "split", "weights", "dtype"),
    [
        ("Row major linear FP32", False, "Float", "fp32"),
        ("Channel major FP16 format where channel % 8 == 0", False, "Half", "fp16"),
        ("Thirty-two wide channel vectorized row major Int8 format.", False, "Int8", "int8"),
        ("Half", True, "Half", "fp16"),
        ("Float", True, "Float", "fp32"),
        ("BFloat16", True, "BFloat16", "bf16"),
    ],
)
def test_a_layer_of_the_inspector(kind: str, split: bool, weights: str, dtype: str) -> None:
    (layer,) = layers_from_inspector(json.dumps({"Layers": [_inspected(kind, split=split, weights=weights)]}))
    assert {tensor.dtype for tensor in (*layer.inputs, *layer.outputs, *layer.constants)} == {dtype}
    assert layer.inputs[0].shape == (1, 16, 8, 8)
    assert layer.onnx_nodes == ("conv1", "conv1.relu")
    assert [tensor.wide_axes for tensor in layer.constants] == [2]


@pytest.mark.parametrize("text", ["", "{}", json.dumps({"Layers": ["conv1 + relu"]}), json.dumps({"Layers": [{}]})])
def test_an_engine_that_does_not_say_is_an_error(text: str) -> None:
    with pytest.raises(ExportError, match="the engine does not say in what precision its layers run"):
        layers_from_inspector(text)


# ------------------------------------------------------------------ precision


@pytest.fixture(scope="module")
def graph() -> Graph:
    return read_graph(make_onnx())


def _layers(kind: str, weights: str) -> tuple[EngineLayer, ...]:
    said = [_inspected(kind, split=True, weights=weights, node=node) for node in ("conv1", "conv2", "line")]
    return layers_from_inspector(json.dumps({"Layers": said}))


def test_biases_and_scalars_do_not_decide(graph: Graph) -> None:
    scalar = EngineTensor("scale", (1,), "fp32")
    bias = EngineTensor("bias", (1, 16, 1, 1), "fp32")
    layers = _layers("Half", "Half")
    layers += (EngineLayer("extra", "kgen", (scalar,), (scalar,), (scalar, bias), ()),)
    proof = prove_precision(layers, graph, "fp16")
    assert (proof.layers, proof.tensors, proof.compute_nodes) == (4, 9, 3)
    assert proof.to_dict()["precision"] == "fp16"


def test_the_networks_own_ports_may_stay_float(graph: Graph) -> None:
    ports = EngineTensor("input", (1, 3, 32, 32), "fp32"), EngineTensor("logits", (1, 10), "fp32")
    layers = (*_layers("Half", "Half"), EngineLayer("cast", "kgen", ports[:1], ports[1:], (), ()))
    assert prove_precision(layers, graph, "fp16").tensors == 11


@pytest.mark.parametrize(
    ("kind", "weights", "asked", "odd"),
    [
        ("Float", "Half", "fp16", "in is fp32"),
        ("Half", "Float", "fp16", "weights is fp32"),
        ("BFloat16", "Half", "fp16", "in is bf16"),
        ("Half", "Half", "fp32", "in is fp16"),
        ("Int8", "Int8", "fp32", "in is int8"),
        ("N/A due to dynamic shapes", "Half", "fp16", r"in is \?"),
    ],
)
def test_another_type_is_an_error(graph: Graph, kind: str, weights: str, asked: str, odd: str) -> None:
    with pytest.raises(
        ExportError, match=rf"the engine does not run in {asked}: .*conv1 \+ relu \(CaskConvolution\): {odd}"
    ) as caught:
        prove_precision(_layers(kind, weights), graph, asked)
    assert f"export that in {asked}" in caught.value.hint


def test_a_convolution_that_is_in_no_layer_is_an_error(graph: Graph) -> None:
    with pytest.raises(
        ExportError, match=r"1 of 3 convolutions and linear layers of the graph are in no layer of the engine.*line"
    ):
        prove_precision(_layers("Half", "Half")[:2], graph, "fp16")


@pytest.mark.parametrize(("kind", "weights"), [("Half", "Int8"), ("Int8", "Half")])
def test_a_quantised_layer_that_runs_wider_is_an_error(kind: str, weights: str) -> None:
    quantised = read_graph(make_onnx(precision="int8"))
    layers = (*_layers("Int8", "Int8")[:2], *_layers(kind, weights)[2:])
    with pytest.raises(
        ExportError, match="does not run in int8: 1 of 3 quantised convolutions and linear layers do not: line"
    ):
        prove_precision(layers, quantised, "int8")
