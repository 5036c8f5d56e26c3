from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
from helpers.runs import digits, network, recipe, run, validation
from PIL import Image

from gpunet.errors import TrainingError
from gpunet.train import open_data
from gpunet.train.identity import differing, identity_of, listing_sha256


def folder(path: Path, names: dict[str, str]) -> Path:
    for name, kind in names.items():
        (path / kind).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(path / kind / name)
    return path


def test_a_listing_is_of_names_and_classes(tmp_path: Path) -> None:
    kinds = {"1.png": "cat", "2.png": "cat", "3.png": "dog"}
    first = listing_sha256(open_data(folder(tmp_path / "a", kinds)))
    assert first == listing_sha256(open_data(folder(tmp_path / "b", kinds)))
    assert first != listing_sha256(open_data(folder(tmp_path / "c", {**kinds, "2.png": "dog"})))
    assert first != listing_sha256(open_data(folder(tmp_path / "d", {"1.png": "cat", "4.png": "cat", "3.png": "dog"})))
    assert listing_sha256(digits(20)) == listing_sha256(digits(20)) != listing_sha256(digits(19))


def test_what_lists_nothing_has_no_hash() -> None:
    assert listing_sha256(dataclasses.replace(digits(), streamed=True)) is None
    assert listing_sha256(dataclasses.replace(digits(), dataset=[1, 2], rows=None)) is None


def test_the_first_difference_is_named_by_its_path() -> None:
    one = identity_of(network(), recipe(), digits(), None, 0, 1)
    assert differing(one, one) is None
    assert differing(one, identity_of(network(), recipe(epochs=9), digits(), None, 0, 1)) == ("recipe.epochs", 2, 9)
    assert differing({**one, "versions": {}}, one) is None
    other = identity_of(network(), recipe(), digits(), validation(), 0, 1)
    assert (differing(one, other) or "")[0] == "validation"
    gone = identity_of(network(), recipe(ema_decay=None), digits(), None, 0, 1)
    assert differing(one, gone) == ("recipe.ema_decay", 0.9, None)


def test_other_images_of_the_same_number_are_another_run(tmp_path: Path) -> None:
    run(tmp_path, how=recipe(epochs=1))
    others = dataclasses.replace(digits(), rows=tuple(range(1, 161)))
    with pytest.raises(TrainingError, match=r"holds another run: its data\.listing_sha256 is "):
        run(tmp_path, how=recipe(epochs=1), data=others)
    with pytest.raises(TrainingError, match=re.escape("its recipe.epochs is 1, but now it is 2.\nGive another folder")):
        run(tmp_path)
