from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

from gpunet.exporters.graph.rewrite import drop_unused, global_average_pools, inline_identities, optimize
from gpunet.exporters.graph.tensors import infer_shapes


def operators(model):
    return [node.op_type for node in model.graph.node]


def test_identities_of_weights_and_tensors_go(graph, run):
    shared, bias = graph.weight(12, 12, 1, 1), graph.weight(12)
    first = graph.add("Conv", "x", shared, bias)
    copied = graph.add("Identity", graph.add("Identity", bias))
    graph.add("Conv", graph.add("Identity", first), shared, copied, to="y")
    model = graph.model()
    before = run(model)
    assert inline_identities(model) == 3
    assert operators(model) == ["Conv", "Conv"]
    np.testing.assert_array_equal(run(model), before)


def test_an_identity_that_names_an_output_stays(graph, run):
    graph.add("Identity", graph.add("Relu", "x"), to="y")
    model = graph.model()
    assert inline_identities(model) == 0
    assert run(model).min() == 0


@pytest.mark.parametrize("axes", [[2, 3], [3, 2], [-1, -2], [-2, 3]])
def test_spatial_means_become_pools(graph, run, axes):
    graph.add("ReduceMean", graph.conv("x", 12, 12), axes=axes, keepdims=1, to="y")
    model = graph.model()
    before = run(model)
    assert global_average_pools(model, infer_shapes(model)) == 1
    assert operators(model) == ["Conv", "GlobalAveragePool"]
    np.testing.assert_allclose(run(model), before, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("constant", [False, True])
def test_spatial_means_of_later_opsets_become_pools(graph18, run, constant):
    axes = np.array([2, 3])
    if constant:
        name = graph18.add("Constant", value=helper.make_tensor("axes", 7, [2], axes))
    else:
        name = graph18.weight(values=axes)
    graph18.add("ReduceMean", "x", name, to="y")
    model = graph18.model()
    before = run(model)
    assert global_average_pools(model, infer_shapes(model)) == 1
    np.testing.assert_allclose(run(model), before, rtol=1e-5, atol=1e-6)
    optimize(model)
    assert operators(model) == ["GlobalAveragePool"]
    assert not model.graph.initializer


@pytest.mark.parametrize("options", [{"axes": [2]}, {"axes": [1, 2]}, {"axes": [2, 3], "keepdims": 0}, {}])
def test_other_means_stay(graph, options):
    graph.add("ReduceMean", "x", to="y", **options)
    model = graph.model()
    assert global_average_pools(model, infer_shapes(model)) == 0


def test_a_mean_over_axes_that_are_computed_stays(graph18):
    axes = graph18.add("Neg", graph18.weight(values=np.array([-2, -3])))
    graph18.add("ReduceMean", "x", axes, to="y")
    model = graph18.model()
    assert global_average_pools(model, infer_shapes(model)) == 0


def test_what_nothing_uses_goes(graph):
    graph.add("Relu", graph.add("Mul", "x", graph.weight(1)))
    graph.add("Neg", "x", to="y")
    graph.weight(3)
    model = graph.model()
    drop_unused(model)
    assert operators(model) == ["Neg"]
    assert not model.graph.initializer
