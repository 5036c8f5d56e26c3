"""A graph in any precision against the float32 one."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from gpunet.errors import InvalidArgumentError
from gpunet.exporters.graph.half import half_from_float
from gpunet.exporters.images import ImageSet, image_set
from gpunet.exporters.onnx import onnx_from_network
from gpunet.exporters.verify_graph import pictures_of, verify_graph
from gpunet.runtime.batch import BatchProfile


@pytest.fixture
def network(model):
    return onnx_from_network(model, batch_size=(1, 2, 4))


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_half_against_float(model, network, runtime):
    images = image_set(model, (3, 32, 32))
    found = verify_graph(
        half_from_float(network), network, runtime=runtime, precision="fp16", images=images, batch=BatchProfile(1, 2, 4)
    )
    assert found.passed
    assert (found.precision, found.batch_sizes) == ("fp16", (1, 4))
    assert found.candidate.startswith(runtime)


def test_the_tolerance_is_that_of_the_precision(model, network):
    """What rounding to half leaves is too much for float32."""
    images = image_set(model, (3, 32, 32))
    half = half_from_float(network)
    assert verify_graph(half, network, runtime="onnxruntime", precision="fp32", images=images).outcome == "failed"


def test_another_network_fails_at_any_precision(model, network):
    other = onnx.ModelProto()
    other.CopyFrom(network)
    for tensor in other.graph.initializer:
        if len(tensor.dims) == 4:
            tensor.CopyFrom(numpy_helper.from_array(-numpy_helper.to_array(tensor), tensor.name))
    images = image_set(model, (3, 32, 32))
    for precision in ("fp32", "fp16"):
        assert not verify_graph(other, network, runtime="onnxruntime", precision=precision, images=images).passed


def test_pictures_alone():
    arrays = np.arange(4 * 12, dtype=np.float32).reshape(4, 3, 2, 2)
    kept = pictures_of(ImageSet(arrays, ("photograph", "random image", "given image", "random image")))
    assert kept.kinds == ("photograph", "given image")
    assert np.array_equal(kept.arrays, arrays[[0, 2]])


def test_an_unknown_precision(model, network):
    with pytest.raises(InvalidArgumentError, match="precision must be one of fp32, fp16, bf16, int8, but got 'fp8'"):
        verify_graph(network, network, runtime="onnxruntime", precision="fp8", images=image_set(model, (3, 32, 32)))


def test_a_graph_is_not_looked_into_beside_itself(model, network):
    images = image_set(model, (3, 32, 32))
    for runtime, looked_into in (("onnxruntime", False), ("openvino", True)):
        found = verify_graph(network, network, runtime=runtime, precision="fp32", images=images)
        assert (found.layers is not None) == looked_into
