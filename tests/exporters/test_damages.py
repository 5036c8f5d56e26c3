"""Exports that are damaged: what changes more than 1 % of the first classes is found, and what is sound passes."""

from __future__ import annotations

import pytest
from damages import DAMAGES
from damages.subjects import BATCH, DIGITS, PRECISIONS, Subject, subject
from damages.trials import Trial, trials

PICTURES = 200
# One of each sort, for every day; the slow tests have them all.
QUICK = (
    "depthwise kernel turned by 180 degrees", "one channel zeroed", "a bias dropped", "classes permuted", "a gate cut",
    "gate's sigmoid hard", "a residual dropped", "padding moved by a pixel", "int8: scale halved",
    "int8: zero point off by one", "int8: one weight scale doubled",
)  # fmt: skip


@pytest.fixture(scope="module")
def digits() -> Subject:
    return subject(DIGITS, PICTURES)


def missed(network: Subject, runtime: str, precision: str, kinds: tuple[str, ...]) -> list[Trial]:
    made = list(trials(network, runtime, precision, kinds))
    assert made[0].kind == ""
    assert not made[0].found, made[0].said
    assert len(made) > 5
    assert all(each.found for each in made if each.top1_change_percent > 5)
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
@pytest.mark.parametrize("precision", PRECISIONS[:2])
def test_damages_of_an_untrained_network_are_found(precision: str) -> None:
    """Whose logits say little: of a gate cut or a kernel turned, the end alone sees nothing."""
    network = subject("mobilenetv3_small_050", 2 * BATCH, 64)
    assert not missed(network, "onnxruntime", precision, QUICK)


def test_there_are_damages_of_many_kinds() -> None:
    assert len(DAMAGES) > 50
