"""INT8 by calibration: ranges of least error, and what it does to a network that has learned something."""

from __future__ import annotations

from functools import partial

import numpy as np
import onnx
import pytest
from helpers.trained_digits import trained
from hypothesis import given, settings
from hypothesis import strategies as st

from gpunet import runtime as runtimes
from gpunet.errors import ExportError, InvalidArgumentError
from gpunet.exporters.graph.half import half_from_float
from gpunet.exporters.int8.calibration import CalibrationImages
from gpunet.exporters.int8.quantize import best_scale, int8_from_float, scale_of
from gpunet.exporters.int8.ranges import TensorRange, logits_of
from gpunet.exporters.onnx import onnx_from_network

LAYOUTS = runtimes.layouts()


def images_of(arrays: np.ndarray, labels: np.ndarray | None = None) -> CalibrationImages:
    return CalibrationImages(
        f"{len(arrays)} digits", labels, tuple(partial(arrays.__getitem__, n) for n in range(len(arrays)))
    )


@pytest.fixture(scope="module")
def digits():
    network, pictures, labels = trained()
    return onnx_from_network(network, batch_size=(1, 8, 64)), pictures, labels


def held(values: np.ndarray) -> TensorRange:
    return TensorRange(float(values.min()), float(values.max()), values.astype(np.float32))


def error_of(scale, values, layout) -> float:
    first, last = layout.integer_span
    integers = np.clip(np.round(values / scale.scale) + scale.zero_point, first, last)
    return float(np.mean((values - scale.scale * (integers - scale.zero_point)) ** 2))


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_an_outlier_is_clipped_rather_than_the_rest_coarsened(layout):
    values = np.concatenate([np.random.default_rng(0).standard_normal(1_000_000), [60.0]])
    scale, wide = best_scale(held(values), layout), scale_of(values.min(), values.max(), layout)
    assert scale.scale < 0.5 * wide.scale
    assert error_of(scale, values, layout) < 0.5 * error_of(wide, values, layout)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(sorted(LAYOUTS)),
    st.sampled_from(["relu", "swish", "normal", "uniform", "positive"]),
    st.floats(1e-3, 1e3),
    st.integers(0, 100),
)
def test_the_error_is_never_above_that_of_the_ends_as_they_are(name, kind, size, seed):
    drawn = np.random.default_rng(seed).standard_normal(4000)
    values = size * {
        "relu": np.maximum(drawn, 0), "swish": drawn / (1 + np.exp(-drawn)), "normal": drawn,
        "uniform": np.clip(drawn, -1, 1), "positive": np.abs(drawn) + 1}[kind]  # fmt: skip
    layout = LAYOUTS[name]
    best = error_of(best_scale(held(values), layout), values, layout)
    assert best <= 1.05 * error_of(scale_of(min(values.min(), 0), max(values.max(), 0), layout), values, layout)


def test_zero_is_an_integer_and_signs_keep_their_place():
    unsigned, signed = LAYOUTS["openvino"], LAYOUTS["tensorrt"]
    assert scale_of(0.0, 2.55, unsigned).zero_point == 0
    assert scale_of(-1.0, 0.0, unsigned).zero_point == 255
    assert scale_of(-0.28, 5.0, unsigned).zero_point == pytest.approx(0.28 / 5.28 * 255, abs=1)
    assert scale_of(-0.28, 5.0, signed) == scale_of(-5.0, 5.0, signed)
    assert scale_of(-0.28, 5.0, signed).zero_point == 0


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_a_tensor_of_zeros(layout):
    scale = best_scale(held(np.zeros(100)), layout)
    assert 0 < scale.scale < 1e-6


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_trained_network_keeps_its_accuracy(digits, layout):
    network, pictures, labels = digits
    quantized, report = int8_from_float(network, images_of(pictures[:100], labels[:100]), layout=layout)
    assert report.layout == layout
    assert report.image_count == 100
    assert report.top1_percent_before > 90
    assert report.top1_change_percent == pytest.approx(report.top1_percent_after - report.top1_percent_before)
    assert abs(report.top1_change_percent) <= 2
    assert report.mean_cosine > 0.998
    assert report.int8_multiply_adds_percent > 99
    unseen = logits_of(quantized, pictures[100:])
    assert np.mean(unseen.argmax(1) == labels[100:]) > 0.9
    assert np.mean(unseen.argmax(1) == logits_of(network, pictures[100:]).argmax(1)) > 0.96


@pytest.mark.parametrize(("layout", "runtime"), [(a, b) for a in LAYOUTS for b in ("onnxruntime", "openvino")])
def test_every_layout_is_computed_rightly_by_every_runtime(digits, layout, runtime):
    network, pictures, _ = digits
    quantized, _ = int8_from_float(network, images_of(pictures[:40]), layout=layout)
    found = runtimes.get(runtime).load(quantized).run(pictures[40:80])
    wanted = logits_of(network, pictures[40:80])
    cosine = (found * wanted).sum(1) / np.linalg.norm(found, axis=1) / np.linalg.norm(wanted, axis=1)
    assert cosine.min() > 0.97


def test_unsigned_integers_lie_closer_than_signed_ones(digits):
    """Behind a ReLU, the signed layout leaves half of its integers unused."""
    network, pictures, _ = digits
    wanted = logits_of(network, pictures[:100])
    errors = {
        layout: np.abs(
            logits_of(int8_from_float(network, images_of(pictures[:100]), layout=layout)[0], pictures[:100]) - wanted
        ).mean()
        for layout in ("tensorrt", "openvino")
    }
    assert errors["openvino"] < errors["tensorrt"]


def test_the_report_in_words_and_as_json(digits):
    network, pictures, labels = digits
    _, report = int8_from_float(network, images_of(pictures[:20], labels[:20]))
    assert str(report).startswith("int8 for tensorrt: 11 layers, 99.")
    assert "; on 20 digits: top-1 " in str(report)
    assert report.to_dict()["float_layers"] == list(report.float_layers)
    _, unlabelled = int8_from_float(network, images_of(pictures[:20]))
    assert "on 20 digits: no labels, so no accuracy, agreement with float32" in str(unlabelled)
    assert unlabelled.top1_percent_before is unlabelled.top1_change_percent is None


def test_the_network_given_stays_as_it_is(digits):
    network, pictures, _ = digits
    before = network.SerializeToString()
    quantized, _ = int8_from_float(network, images_of(pictures[:4]))
    assert network.SerializeToString() == before
    assert {each.key for each in quantized.metadata_props} == {each.key for each in network.metadata_props}
    assert len(quantized.SerializeToString()) < len(before)


def test_layers_left_out_stay_in_float(digits):
    network, pictures, _ = digits
    name = next(node.name for node in network.graph.node if node.op_type == "Gemm")
    quantized, report = int8_from_float(network, images_of(pictures[:4]), leave_out=[name])
    assert name in report.float_layers
    gemm = next(node for node in quantized.graph.node if node.op_type == "Gemm")
    assert not gemm.input[1].startswith(name)


def test_integers_with_the_rest_in_half_for_a_gpu(digits):
    """The same integers; float16 between them."""
    network, _, _ = trained()
    _, pictures, _ = digits
    quantized, _ = int8_from_float(
        onnx_from_network(network, batch_size=(1, 8, 64), opset=19), images_of(pictures[:40])
    )
    half = half_from_float(quantized)
    assert onnx.TensorProto.FLOAT not in {tensor.data_type for tensor in half.graph.initializer}
    found, wanted = logits_of(half, pictures[40:80]), logits_of(quantized, pictures[40:80])
    assert np.abs(found - wanted).max() < 0.1 * np.abs(wanted).max()


def test_the_parser_of_tensorrt_rtx_takes_its_layout_and_no_other(digits):
    trt = pytest.importorskip("tensorrt_rtx", reason="the rtx extra is not installed")
    network, pictures, _ = digits
    logger = trt.Logger(trt.Logger.INTERNAL_ERROR)
    builder = trt.Builder(logger)
    for layout, taken in {"tensorrt": True, "openvino": False, "onnxruntime": False}.items():
        quantized, _ = int8_from_float(network, images_of(pictures[:4]), layout=layout)
        assert trt.OnnxParser(builder.create_network(0), logger).parse(quantized.SerializeToString()) == taken


def test_a_network_that_computes_nan(digits):
    network, pictures, _ = digits
    broken = np.full_like(pictures[:2], np.nan)
    with pytest.raises(ExportError, match=r"computes nan to nan in the tensor input, so it cannot be quantised"):
        int8_from_float(network, images_of(broken))


def test_an_unknown_layout_and_images_of_another_size(digits):
    network, pictures, _ = digits
    with pytest.raises(InvalidArgumentError, match="layout must be one of"):
        int8_from_float(network, images_of(pictures[:2]), layout="cpu")
    with pytest.raises(InvalidArgumentError, match="takes images of 3 x 16 x 16, but got 3 x 8 x 16"):
        int8_from_float(network, images_of(pictures[:2, :, :8]))
