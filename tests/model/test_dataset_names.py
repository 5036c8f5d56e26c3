"""One spelling for each data set."""

from __future__ import annotations

import pytest

from gpunet.errors import InvalidArgumentError
from gpunet.model.dataset_names import IMAGENET, canonical_dataset, dataset_key, dataset_named

KNOWN = ["digits (validation)", "Flowers-102 test", "Flowers-102 validation", IMAGENET]


@pytest.mark.parametrize(
    "name",
    ["ImageNet-1k validation", "imagenet", "ImageNet", "imagenet-1k", "ImageNet 1K (val)", "ILSVRC 2012",
     "ILSVRC2012 validation", "torch/imagenet (validation)", "tfds/imagenet2012 (validation)", "/data/imagenet (val)",
     "hfds/timm/imagenet-1k-wds (validation)", " imagenet_1k "],
)  # fmt: skip
def test_imagenets_validation_images_have_one_name(name: str) -> None:
    assert canonical_dataset(name) == IMAGENET


@pytest.mark.parametrize(
    "name",
    ["imagenet-21k", "ImageNet-V2", "imagenet-1k test", "imagenet (train)", "imagenet-1k, 0.2 of each class",
     "imagenette (validation)", "my imagenet", "digits", "test"],
)  # fmt: skip
def test_other_images_are_not_imagenets(name: str) -> None:
    assert canonical_dataset(name) == name
    assert dataset_key(name) != dataset_key(IMAGENET)


def test_case_spaces_and_punctuation_do_not_matter() -> None:
    assert canonical_dataset(" Flowers-102   test ") == "Flowers-102 test"
    assert len({dataset_key(name) for name in ("digits (validation)", "Digits, val", "digits  validation")}) == 1
    assert dataset_key("/data/a (validation)") != dataset_key("/data/b (validation)")


def test_a_query_names_one() -> None:
    assert dataset_named(None, KNOWN) == dataset_named("ilsvrc2012", []) == IMAGENET
    assert dataset_named("digits", KNOWN) == dataset_named("Digits (val)", KNOWN) == "digits (validation)"
    with pytest.raises(InvalidArgumentError, match="dataset 'flowers 102' could be one of several") as caught:
        dataset_named("flowers 102", KNOWN)
    assert caught.value.hint == "There are 'Flowers-102 test', 'Flowers-102 validation'."
    with pytest.raises(InvalidArgumentError, match="no accuracy in the zoo is of the data set 'cifar'") as caught:
        dataset_named("cifar", KNOWN)
    assert "'digits (validation)'" in caught.value.hint
