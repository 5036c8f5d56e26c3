"""Scales that do not fit what the calibration's pictures held are named; sound ones are not, outliers or none."""

from __future__ import annotations

import dataclasses

import numpy as np
import onnx
import pytest

from gpunet import runtime as runtimes
from gpunet.exporters.images import ImageSet
from gpunet.exporters.int8.calibration import calibration_images
from gpunet.exporters.int8.fit import MOST_LOSS, loss_ratio, misfits
from gpunet.exporters.int8.quantize import best_scale, int8_from_float
from gpunet.exporters.int8.ranges import TensorRange, tensor_ranges
from gpunet.exporters.onnx import onnx_from_network
from gpunet.exporters.rounding import Constants, QuantizedTensor
from gpunet.exporters.verify_graph import verify_graph
from gpunet.testing.networks import SIDE_PX, tiny_module

LAYOUTS = runtimes.layouts()


@pytest.fixture(scope="module")
def float32() -> onnx.ModelProto:
    return onnx_from_network(tiny_module(), batch_size=1, input_px=SIDE_PX)


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    """The last one is an outlier: twenty times as bright."""
    arrays = np.random.default_rng(0).standard_normal((8, 3, SIDE_PX, SIDE_PX)).astype(np.float32)
    arrays[7] *= 20
    return arrays


def rescaled(model: onnx.ModelProto, name: str, factor: float) -> onnx.ModelProto:
    result = onnx.ModelProto()
    result.CopyFrom(model)
    tensor = next(each for each in result.graph.initializer if each.name == f"{name}.scale")
    values = np.asarray(onnx.numpy_helper.to_array(tensor) * np.float32(factor))
    tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    return result


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_a_scale_twice_too_large_or_too_small_is_named(float32, pictures, layout, factor) -> None:
    calibration = calibration_images(tiny_module(), pictures.shape[1:], pictures)
    held: dict[str, TensorRange] = {}
    model, _ = int8_from_float(float32, calibration, layout=layout, held=held)
    assert not misfits(model, held)
    for name in held:
        (said,) = misfits(rescaled(model, name, factor), held)
        assert said.startswith(f"{name}: its scale")
        assert "times what it must on the calibration" in said
    assert held.keys() == Constants(model).quantized().keys()
    assert not misfits(rescaled(model, "input", factor), {})  # of other tensors nothing is known


def test_a_proof_on_four_pictures_sees_it(float32, pictures) -> None:
    """An outlier among the calibration's pictures is no fault on those without; a scale twice too large is."""
    calibration = calibration_images(tiny_module(), pictures.shape[1:], pictures)
    held: dict[str, TensorRange] = {}
    model, _ = int8_from_float(float32, calibration, layout="onnxruntime", held=held)
    proof = {"runtime": "onnxruntime", "precision": "int8", "images": ImageSet(pictures[:4], ("given image",) * 4)}
    wide = rescaled(model, "input", 2.0)
    assert not verify_graph(model, float32, **proof, held=held).layers.coarse
    found = verify_graph(wide, float32, **proof, held=held)
    assert found.outcome == "failed"
    assert "input: its scale" in found.reason


def test_observed_again_the_values_are_the_same(float32, pictures) -> None:
    """Whichever other tensors are observed: the scales are those of the least loss again."""
    names = [node.output[0] for node in float32.graph.node if node.op_type in ("Conv", "Relu")]
    held = tensor_ranges(float32, names, pictures)
    again = tensor_ranges(float32, names[:1], pictures)[names[0]]
    assert np.array_equal(held[names[0]].samples, again.samples)


@pytest.mark.parametrize("signed", [True, False])
def test_the_ratio(signed) -> None:
    values = np.random.default_rng(1).uniform(-1, 2, 20_000).astype(np.float32)
    values[::2] = 0
    held = TensorRange(float(values.min()), float(values.max()), values)
    layout = next(each for each in LAYOUTS.values() if each.signed == signed)
    best = best_scale(held, layout)

    def ratio(scale: float, zero_off: int = 0) -> float:
        pair = QuantizedTensor(
            best.scale * scale, best.zero_point, layout.integer_span, best.scale * scale, best.zero_point + zero_off
        )
        return loss_ratio(pair, held)

    assert ratio(1.0) == pytest.approx(1, abs=0.05)
    assert ratio(2.0) == pytest.approx(4, rel=0.2)
    assert min(ratio(0.5), ratio(1.0, 1)) > 5 * MOST_LOSS
    nothing = dataclasses.replace(held, low=0.0, high=0.0, samples=np.zeros(10, np.float32))
    assert loss_ratio(QuantizedTensor(1.0, 0, layout.integer_span, 1.0, 0), nothing) == 1.0
