"""OpenVINO IR: in the graph's precision, inspected, compared, and kept only where all of it held."""

from __future__ import annotations

import functools
import json

import numpy as np
import onnx
import pytest
from helpers.trained_digits import trained
from onnx import numpy_helper

from gpunet import runtime as runtimes
from gpunet.errors import ExportError, InvalidArgumentError, VerificationError
from gpunet.exporters.artefact import export_graph
from gpunet.exporters.graph.bfloat16 import bfloat16_from_float
from gpunet.exporters.graph.half import half_from_float
from gpunet.exporters.images import ImageSet, image_set
from gpunet.exporters.int8.calibration import calibration_images
from gpunet.exporters.int8.quantize import int8_from_float
from gpunet.exporters.onnx import onnx_from_network
from gpunet.runtime.batch import BatchProfile
from gpunet.runtime.openvino.format import computes_bfloat16, execution_types, metadata_of, openvino_from_onnx
from gpunet.runtime.openvino.runtime import network_precision, read_network
from gpunet.runtime.sidecar import read_sidecar

ov = pytest.importorskip("openvino", reason="the openvino extra is not installed")
RANGE = BatchProfile(1, 4, 8)
export_openvino = functools.partial(export_graph, target="openvino")


@pytest.fixture(scope="module")
def digits():
    network, pictures, _ = trained()
    return network, onnx_from_network(network, batch_size=(1, 4, 8)), pictures


@pytest.fixture(scope="module")
def images(digits):
    return ImageSet(digits[2][:12], ("given image",) * 12)


def in_precision(digits, precision):
    network, graph, pictures = digits
    if precision != "int8":
        made = {"fp32": lambda x: x, "fp16": half_from_float, "bf16": bfloat16_from_float}
        return made[precision](graph), ()
    quantized, report = int8_from_float(
        graph, calibration_images(network, (3, 16, 16), pictures, limit=40), layout="openvino"
    )
    return quantized, report.float_layers


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16", "int8"])
def test_each_precision(digits, images, tmp_path, precision):
    graph, float_layers = in_precision(digits, precision)
    path = tmp_path / "new folder" / "net.xml"
    report = export_openvino(
        graph, path, precision=precision, images=images, reference=digits[1], batch=RANGE, float_layers=float_layers
    )
    assert sorted(each.name for each in path.parent.iterdir()) == ["net.bin", "net.xml", "net.xml.json"]
    assert report.path == path
    assert read_sidecar(path) == report.sidecar
    assert report.verification.passed
    assert report.verification.precision == precision
    assert report.verification.batch_sizes == (1, 8)
    assert report.sidecar.artefact_bytes == path.stat().st_size + path.with_suffix(".bin").stat().st_size
    assert (report.sidecar.precision, report.sidecar.batch) == (precision, RANGE.sizes)
    assert sum(report.sidecar.builder_flags["executed"].values()) == 13
    if precision == "bf16":
        assert report.verification.arithmetic == ("bfloat16" if computes_bfloat16() else "float32")
        assert network_precision(read_network(path)) == "bf16"
    session = runtimes.get("openvino").load(path)
    assert session.run(digits[2][:5]).shape == (5, 10)


def test_sizes_are_those_of_the_precision(digits, images, tmp_path):
    sizes = {}
    for precision in ("fp32", "fp16", "bf16", "int8"):
        graph, float_layers = in_precision(digits, precision)
        path = tmp_path / f"{precision}.xml"
        export_openvino(graph, path, precision=precision, images=images, reference=digits[1], batch=RANGE,
                        float_layers=float_layers)  # fmt: skip
        sizes[precision] = path.with_suffix(".bin").stat().st_size
    assert sizes["fp16"] < 0.55 * sizes["fp32"]
    assert sizes["bf16"] < 0.55 * sizes["fp32"]
    assert sizes["int8"] < 0.45 * sizes["fp32"]


def test_layers_of_an_int8_network_run_in_eight_bits(digits, images, tmp_path):
    graph, float_layers = in_precision(digits, "int8")
    options = {"images": images, "reference": digits[1], "batch": RANGE, "float_layers": float_layers}
    report = export_openvino(graph, tmp_path / "net.xml", precision="int8", **options)
    types = execution_types(tmp_path / "net.xml")
    assert {name for name, kind in types.items() if kind == "f32"} == set(float_layers)
    assert sum(report.sidecar.builder_flags["executed"].values()) == len(types) == 13
    assert report.sidecar.builder_flags["executed"]["f32"] == len(float_layers) == 2


def test_a_quantised_layer_that_runs_in_float_is_an_error(graph, tmp_path):
    """Its input is quantised, but each of its input channels by a scale of its own: no integer kernel does that."""
    weight, scales = np.ones((4, 12, 1, 1), np.int8), np.linspace(0.01, 0.1, 12).astype(np.float32)
    scale, zero = graph.weight(values=scales), graph.weight(values=np.zeros(12, np.int8))
    integers = graph.add("QuantizeLinear", "x", scale, zero, axis=1)
    source = graph.add("DequantizeLinear", integers, scale, zero, axis=1)
    kernel = [graph.weight(values=each) for each in (weight, np.full(4, 0.1, np.float32), np.zeros(4, np.int8))]
    graph.add("Conv", source, graph.add("DequantizeLinear", *kernel, axis=0), to="pooled")
    graph.nodes[-1].name = "only"
    graph.add("Flatten", graph.add("GlobalAveragePool", "pooled"), to="y")
    images = ImageSet(np.random.default_rng(0).standard_normal((4, 12, 9, 9)).astype(np.float32), ("given image",) * 4)
    with pytest.raises(ExportError, match=r"OpenVINO runs 1 of 1 layers of the int8 graph in float: only\.") as caught:
        export_openvino(graph.model(), tmp_path / "net.xml", precision="int8", images=images)
    assert "leave_out" in caught.value.hint
    assert not list(tmp_path.iterdir())


def test_the_batch_range_is_the_profile(digits):
    shape = openvino_from_onnx(digits[1], precision="fp32", batch=RANGE).inputs[0].partial_shape
    assert (shape[0].get_min_length(), shape[0].get_max_length()) == (1, 8)
    assert openvino_from_onnx(digits[1], precision="fp32").inputs[0].partial_shape[0].is_dynamic


def test_metadata_is_carried(digits, images, tmp_path):
    export_openvino(digits[1], tmp_path / "net.xml", precision="fp32", images=images)
    found = metadata_of(tmp_path / "net.xml")
    wanted = {each.key.removeprefix("gpunet."): each.value for each in digits[1].metadata_props}
    assert found == {**wanted, "precision": "fp32"}
    assert json.loads(found["batch"]) == {"min": 1, "opt": 4, "max": 8}


def test_an_ir_of_someone_elses_has_no_metadata(graph, tmp_path):
    graph.add("Relu", "x", to="y")
    ov.save_model(ov.Core().read_model(graph.model().SerializeToString()), str(tmp_path / "net.xml"))
    assert metadata_of(tmp_path / "net.xml") == {}


def test_one_that_computes_something_else_is_not_kept(digits, images, tmp_path):
    """And what was there before stays."""
    export_openvino(digits[1], tmp_path / "net.xml", precision="fp32", images=images)
    before = {each.name: each.read_bytes() for each in tmp_path.iterdir()}
    other = onnx.ModelProto()
    other.CopyFrom(digits[1])
    name = next(node.input[2] for node in other.graph.node if node.op_type == "Gemm")
    bias = next(tensor for tensor in other.graph.initializer if tensor.name == name)
    bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias) + 1, name))
    with pytest.raises(VerificationError, match="the logits differ by more than is allowed"):
        export_openvino(other, tmp_path / "net.xml", precision="fp32", images=images, reference=digits[1])
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == before


def test_it_is_replaced_whole(digits, images, tmp_path):
    for _ in range(2):
        report = export_openvino(digits[1], tmp_path / "net.xml", precision="fp32", images=images)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["net.bin", "net.xml", "net.xml.json"]
    assert report.verification.passed


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_a_graph_of_another_precision(digits, images, tmp_path, precision):
    with pytest.raises(ExportError, match=f"the graph is not in {precision}: "):
        export_openvino(digits[1], tmp_path / "net.xml", precision=precision, images=images)
    assert not list(tmp_path.iterdir())


def test_what_is_not_valid(digits, images, tmp_path):
    graph = digits[1]
    with pytest.raises(InvalidArgumentError, match=r"path must end in \.xml, but got .*net\.bin"):
        export_openvino(graph, tmp_path / "net.bin", precision="fp32", images=images)
    with pytest.raises(ExportError, match="is a folder"):
        export_openvino(graph, tmp_path, precision="fp32", images=images)
    with pytest.raises(InvalidArgumentError, match="precision must be one of fp32, fp16, bf16, int8, but got 'fp8'"):
        export_openvino(graph, tmp_path / "net.xml", precision="fp8", images=images)


def test_a_folder_that_cannot_be_written(digits, images, tmp_path):
    (tmp_path / "file").write_text("text")
    with pytest.raises(ExportError, match=r"file.*cannot be written: "):
        export_openvino(digits[1], tmp_path / "file" / "net.xml", precision="fp32", images=images)


def test_a_graph_that_openvino_does_not_know(graph, images, tmp_path):
    graph.add("Relu", "x", to="y")
    model = graph.model()
    model.opset_import.append(onnx.helper.make_opsetid("nobody", 1))
    model.graph.node[0].op_type, model.graph.node[0].domain = "Unheard", "nobody"
    with pytest.raises(ExportError, match=r"OpenVINO .* cannot convert this graph"):
        export_openvino(model, tmp_path / "net.xml", precision="fp32", images=images)


def test_damaged_and_missing_files(digits, images, tmp_path):
    with pytest.raises(InvalidArgumentError, match=r"net\.xml: there is no such file"):
        metadata_of(tmp_path / "net.xml")
    export_openvino(digits[1], tmp_path / "net.xml", precision="fp32", images=images)
    text = (tmp_path / "net.xml").read_text()
    (tmp_path / "net.xml").write_text(text[: len(text) // 2])
    with pytest.raises(InvalidArgumentError, match=r"net\.xml cannot be read by OpenVINO"):
        execution_types(tmp_path / "net.xml")
    (tmp_path / "net.xml").write_text(text)
    (tmp_path / "net.bin").unlink()
    with pytest.raises(InvalidArgumentError, match=r"Its \.bin must lie beside it"):
        metadata_of(tmp_path / "net.xml")


def test_photographs_and_noise(model, tmp_path):
    """The same graph by both runtimes: noise, which no calibration has seen, is judged too."""
    images = image_set(model, (3, 32, 32))
    quantized, report = int8_from_float(
        onnx_from_network(model), calibration_images(model, (3, 32, 32), images.arrays), layout="openvino"
    )
    export_openvino(quantized, tmp_path / "net.xml", precision="int8", images=images, float_layers=report.float_layers)
