"""What the tensors of a graph held: against numpy."""

from __future__ import annotations

import numpy as np
import pytest

from gpunet.errors import InvalidArgumentError
from gpunet.exporters.int8.ranges import SAMPLES_PER_IMAGE, logits_of, tensor_ranges


@pytest.fixture
def images():
    return np.random.default_rng(3).standard_normal((5, 12, 9, 9)).astype(np.float32)


def relu_of_twice(graph):
    graph.add("Relu", graph.add("Add", "x", "x", to="twice"), to="y")
    return graph.model()


def test_ends_and_samples(graph, images):
    logits: list[np.ndarray] = []
    ranges = tensor_ranges(relu_of_twice(graph), ["x", "twice", "y"], images, logits)
    assert list(ranges) == ["x", "twice", "y"]
    assert (ranges["x"].low, ranges["x"].high) == (images.min(), images.max())
    assert (ranges["twice"].low, ranges["twice"].high) == (2 * images.min(), 2 * images.max())
    assert ranges["y"].low == 0
    assert np.array_equal(logits, np.maximum(2 * images, 0))
    assert np.isin(ranges["x"].samples, images).all()


def test_a_batch_that_is_not_full_is_filled_up_and_not_counted(graph, images):
    """The graph takes 2 images a run; the fifth stands alone."""
    images[4] = 7.0
    model = relu_of_twice(graph)
    ranges = tensor_ranges(model, ["twice"], iter(images))
    assert ranges["twice"].high == 14.0
    assert len(ranges["twice"].samples) == min(5 * SAMPLES_PER_IMAGE, images.size)
    assert np.mean(ranges["twice"].samples == 14.0) == pytest.approx(0.2, abs=0.01)
    assert logits_of(model, images).shape == (5, 12, 9, 9)


def test_large_tensors_are_sampled(graph):
    graph.shape = (1, 3, 64, 64)
    ranges = tensor_ranges(relu_of_twice(graph), ["x"], np.zeros((4, 3, 64, 64), np.float32))
    assert len(ranges["x"].samples) == 4 * SAMPLES_PER_IMAGE


def test_the_draw_is_the_same_each_time(graph, images):
    model = relu_of_twice(graph)
    first, second = (tensor_ranges(model, ["x"], images)["x"].samples for _ in range(2))
    assert np.array_equal(first, second)


def test_nan_is_seen(graph, images):
    images[2, 3, 4, 5] = np.nan
    ranges = tensor_ranges(relu_of_twice(graph), ["x"], images)
    assert np.isnan([ranges["x"].low, ranges["x"].high]).all()


def test_images_of_another_shape(graph):
    with pytest.raises(InvalidArgumentError, match="the graph takes images of 12 x 9 x 9, but got 12 x 8 x 9"):
        tensor_ranges(relu_of_twice(graph), ["x"], np.zeros((2, 12, 8, 9), np.float32))


def test_no_images(graph):
    with pytest.raises(InvalidArgumentError, match="observed on one image or more, but got none"):
        logits_of(relu_of_twice(graph), [])
