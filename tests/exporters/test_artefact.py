"""A graph that is not gpunet's own, written in a runtime's format."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from gpunet import runtime as runtimes
from gpunet.errors import InvalidArgumentError
from gpunet.exporters.artefact import export_graph
from gpunet.exporters.images import ImageSet
from gpunet.exporters.second_opinion import polygraphy_line
from gpunet.runtime.onnx_ports import image_input
from gpunet.testing.networks import SIDE_PX, tiny_module, tiny_onnx

IMAGES = ImageSet(
    np.random.default_rng(0).standard_normal((2, 3, SIDE_PX, SIDE_PX)).astype(np.float32), ("given image",) * 2
)


@pytest.fixture
def network() -> onnx.ModelProto:
    return tiny_onnx(tiny_module(), 1)


@pytest.fixture
def old(network: onnx.ModelProto) -> onnx.ModelProto:
    """As ONNX's first versions had it: the weights stand among the inputs, before the images."""
    images = network.graph.input[0]
    weights = [helper.make_tensor_value_info(w.name, w.data_type, w.dims) for w in network.graph.initializer]
    result = onnx.ModelProto()
    result.CopyFrom(network)
    del result.graph.input[:]
    result.graph.input.extend([*weights, images])
    return result


@pytest.mark.parametrize(("target", "suffix"), [("onnx", "onnx"), ("openvino", "xml")])
def test_weights_among_the_inputs(
    network: onnx.ModelProto, old: onnx.ModelProto, tmp_path: Path, target: str, suffix: str
) -> None:
    done = export_graph(
        old, tmp_path / f"a.{suffix}", target=target, precision="fp32", images=IMAGES, reference=network
    )
    assert done.verification.passed
    assert done.verification.layers is not None
    assert done.verification.layers.compared == done.verification.layers.tensors
    assert [each["name"] for each in done.sidecar.inputs] == ["input"]
    if target == "onnx":
        assert "input:[1,3,16,16]" in polygraphy_line("a.onnx", old, done.sidecar)


def test_images_enter_alone(network: onnx.ModelProto) -> None:
    assert image_input(network).name == "input"
    network.graph.input.append(helper.make_tensor_value_info("mask", TensorProto.FLOAT, [1]))
    with pytest.raises(InvalidArgumentError, match=r"by one input, but this graph has 2: input, mask\.\nImages alone"):
        image_input(network)
    del network.graph.input[:]
    with pytest.raises(InvalidArgumentError, match=r"by one input, but this graph has none\.\nImages alone"):
        runtimes.get("onnxruntime").pieces(network)  # type: ignore[attr-defined]


@pytest.mark.parametrize("given", [True, False])
def test_a_graph_is_not_compared_with_itself(network: onnx.ModelProto, tmp_path: Path, given: bool) -> None:
    """Such a proof cannot fail."""
    found = export_graph(
        network, tmp_path / "a.onnx", target="onnx", precision="fp32", images=IMAGES,
        reference=network if given else None,
    ).verification  # fmt: skip
    assert (found.outcome, found.reason) == ("not verified", "nothing to compare it with")


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ('{"crop_pct": 1.0}', set()),
        ('{"mean": [0.5]}', {"mean"}),
        ('{"mean": [0], "std": [1]}', {"mean", "std", "range"}),
    ],
)
def test_images_that_are_half_described(network: onnx.ModelProto, tmp_path: Path, said: str, found: set[str]) -> None:
    network.metadata_props.add(key="gpunet.preprocessing", value=said)
    (entering,) = export_graph(network, tmp_path / "a.onnx", target="onnx", precision="fp32").sidecar.inputs
    assert entering.keys() == {"name", "dtype", "shape", "layout", *found}
