"""One meaning of a class: by name where names are known, ImageNet's only where that is said."""

from __future__ import annotations

import pytest
import timm
import torch
from torch import nn

import gpunet
from gpunet.model.classes import class_numbers, classes_of, imagenet_words, numbers_by_name
from gpunet.model.entry import Accuracy, Entry

WORDS = imagenet_words(1000) or ()


def test_names_decide_in_any_order() -> None:
    assert class_numbers(("c", "a"), 3, ("a", "b", "c")) == (2, 0)
    assert class_numbers(("z",), 3, ("a", "b", "c")) is None
    assert class_numbers(("a", "a"), 2, ("a", "a")) == (0, 1)  # the very same names, though not unique
    assert class_numbers(("a",), 2, ("a", "a")) is None  # which of them?


def test_without_names_the_order_decides_and_that_can_be_told() -> None:
    assert class_numbers(("x", "y"), 2) == (0, 1)
    assert numbers_by_name(("x", "y"), 2) is None
    assert class_numbers(("x", "y"), 3) is None
    assert class_numbers(("x", "y"), 2, ("a", "b", "c")) == (0, 1)  # the names are another model's


def test_imagenets_classes_are_known_by_synset_and_by_words() -> None:
    assert len(WORDS) == 1000
    for known in (None, WORDS):
        assert class_numbers(("n02102040", "n01440764"), 1000, known) == (217, 0)
        assert class_numbers(("tench, Tinca tinca", "golden retriever"), 1000, known) == (0, 207)
        assert class_numbers(("crane",), 1000, known) is None  # a bird and a machine
    assert class_numbers(WORDS, 1000, WORDS) == tuple(range(1000))
    assert class_numbers(("n01440764",), 1000, tuple(map(str, range(1000)))) is None


@pytest.mark.parametrize(
    ("name", "how", "first"),
    [
        ("gpunet_p0", {}, "tench, Tinca tinca"),
        ("gpunet_p0", {"num_classes": 10}, None),
        ("resnet50", {}, "tench, Tinca tinca"),
    ],
)
def test_what_the_zoo_knows(name: str, how: dict[str, int], first: str | None) -> None:
    with torch.device("meta"):
        named = classes_of(gpunet.load(name, pretrained=False, **how))
    assert (named and named[0]) == first


def test_timms_are_imagenets_by_their_tag() -> None:
    with torch.device("meta"):
        assert (classes_of(timm.create_model("resnet18.a1_in1k")) or "-")[0] == "tench, Tinca tinca"
        assert classes_of(timm.create_model("resnet18.a1_in1k", num_classes=10)) is None
        assert classes_of(timm.create_model("repghostnet_050", pretrained_cfg_overlay={"tag": ""})) is None


def test_a_thousand_classes_alone_are_nobodys() -> None:
    network = nn.Linear(1, 1000)
    network.num_classes = 1000  # type: ignore[assignment]
    assert classes_of(network) is None
    for dataset, role, first in (("pets", "own", None), ("ImageNet-1k (validation)", "own", "tench, Tinca tinca"),
                                 ("pets", "baseline", "tench, Tinca tinca")):  # fmt: skip
        network.entry = Entry("x", role, "x", Accuracy(50, dataset, "a test"), None, "MIT")  # type: ignore[assignment]
        named = classes_of(network)
        assert (named and named[0]) == first
