"""Exports that are damaged: what changes more than 1 % of the first classes is found, and what is sound passes."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.reference
import pytest
import torch
from damages import DAMAGES, damaged
from damages.subjects import BATCH, DIGITS, PRECISIONS, Subject, subject
from damages.trials import Trial, trials

from gpunet.exporters.int8.ranges import logits_of

PICTURES = 200
# One of each sort, for every day; the slow tests have them all.
QUICK = (
    "depthwise kernel turned by 180 degrees", "one channel zeroed", "a bias dropped", "classes permuted", "a gate cut",
    "gate's sigmoid hard", "a residual dropped", "padding moved by a pixel", "int8: scale halved",
    "int8: scale doubled", "int8: one weight scale doubled",
)  # fmt: skip
# What attention, LayerNorm and GELU are made of.
OF_TRANSFORMERS = (
    "attention's scale halved", "Softmax over another axis", "LayerNorm's epsilon", "LayerNorm's weight",
    "a position's embedding rolled", "GELU approximated by tanh", "a residual scaled", "int8: scale doubled",
)  # fmt: skip


@pytest.fixture(scope="module")
def digits() -> Subject:
    return subject(DIGITS, PICTURES)


def missed(network: Subject, runtime: str, precision: str, kinds: tuple[str, ...]) -> list[Trial]:
    made = list(trials(network, runtime, precision, kinds))
    assert made[0].kind == ""
    assert not made[0].found, made[0].said
    assert len(made) > 5
    return [each for each in made if each.missed]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_damages_of_a_trained_network_are_found(digits: Subject, precision: str) -> None:
    assert not missed(digits, "onnxruntime", precision, QUICK)


@pytest.mark.slow
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_all_damages_are_found(digits: Subject, runtime: str, precision: str) -> None:
    assert not missed(digits, runtime, precision, tuple(DAMAGES))


@pytest.mark.slow
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(
    ("name", "kinds"), [("mobilenetv3_small_050@32", QUICK), ("test_vit", OF_TRANSFORMERS)], ids=["mobilenet", "vit"]
)
def test_damages_of_random_weights_are_found(name: str, kinds: tuple[str, ...], precision: str) -> None:
    """The end alone sees little of a gate cut or a kernel turned."""
    assert not missed(subject(name, 2 * BATCH), "onnxruntime", precision, kinds)


def test_a_fitted_classifier_tells_pictures_apart() -> None:
    """Else which class comes first would be chance, and no damage could be told to do harm."""
    network = subject("test_resnet@32", 2 * BATCH)
    assert {len(network.pictures), *network.pictures.shape[1:]} == {2 * BATCH, 3, 32}
    graphs = [network.healthy(precision, "onnxruntime").graph for precision in ("fp32", "int8")]
    before, after = (logits_of(graph, network.pictures).argmax(1) for graph in graphs)
    assert np.bincount(before).max() < 0.4 * len(before)
    assert np.mean(before == after) > 0.85


def test_there_are_damages_of_many_kinds() -> None:
    assert len(DAMAGES) > 70


def test_gelu_by_tanh_is_its_approximation() -> None:
    """PyTorch's approximate='tanh', of GELU written with erf."""
    names = ["scaled", "erf", "one", "half", "y"]
    numbers = {"root": np.sqrt(2.0), "unit": 1.0, "part": 0.5}
    nodes = [("Div", ["x", "root"]), ("Erf", ["scaled"]), ("Add", ["erf", "unit"]), ("Mul", ["x", "part"]),
             ("Mul", ["half", "one"])]  # fmt: skip
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node(kind, inputs, [made]) for (kind, inputs), made in zip(nodes, names, strict=True)],
        "gelu", [value("x", 1, [101])], [value("y", 1, [101])],
        [onnx.numpy_helper.from_array(np.array(number, np.float32), name) for name, number in numbers.items()],
    )  # fmt: skip
    wrong = damaged(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)]),
                    "GELU approximated by tanh", 0)  # fmt: skip
    x = np.linspace(-5, 5, 101, dtype=np.float32)
    (found,) = onnx.reference.ReferenceEvaluator(wrong).run(None, {"x": x})
    wanted = torch.nn.functional.gelu(torch.from_numpy(x), approximate="tanh").numpy()
    assert np.allclose(found, wanted, atol=1e-6)
    assert np.abs(found - torch.nn.functional.gelu(torch.from_numpy(x)).numpy()).max() > 1e-4
