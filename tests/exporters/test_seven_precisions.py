"""The seven released networks at every precision, on photographs: ONNX on ONNX Runtime, and OpenVINO IR."""

from __future__ import annotations

import pytest
from side_by_side import precisions

import gpunet
from gpunet.exporters.artefact import export_graph
from gpunet.exporters.graph.half import half_from_float
from gpunet.exporters.images import ImageSet, image_set, image_shape, shipped_photographs
from gpunet.exporters.int8.quantize import int8_from_float
from gpunet.exporters.onnx import onnx_from_network
from gpunet.exporters.verify_graph import pictures_of, verify_graph

pytest.importorskip("openvino", reason="the openvino extra is not installed")


@pytest.mark.slow
@pytest.mark.parametrize("name", gpunet.list_models())
def test_onnx_and_ir_are_verified_at_every_precision(name, tmp_path):
    assert len(shipped_photographs()) == 4
    model = gpunet.load(name, pretrained=False)
    shape = image_shape(model)
    calibrated_on = precisions.crops(model, shape, 12)
    precisions.settle(model, calibrated_on, batch_size=4)
    every = image_set(model, shape)
    images = ImageSet(every.arrays[[0, 1, -1]], (*every.kinds[:2], every.kinds[-1]))
    single = onnx_from_network(model)
    for precision in ("fp32", "fp16", "int8"):
        graph, on, floats = single, images, ()
        if precision == "fp16":
            graph = half_from_float(single)
        elif precision == "int8":
            graph, report = int8_from_float(single, calibrated_on, layout="openvino")
            on, floats = pictures_of(images), report.float_layers
            assert report.int8_multiply_adds_percent > 99.5
        verify_graph(graph, single, runtime="onnxruntime", precision=precision, images=on).require_passed()
        report = export_graph(
            graph,
            tmp_path / "net.xml",
            target="openvino",
            precision=precision,
            images=on,
            reference=single,
            float_layers=floats,
        )
        assert report.verification.passed
        assert "photograph" in report.verification.images
