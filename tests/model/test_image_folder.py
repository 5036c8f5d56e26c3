"""Folders as people have them: what is a picture, what is a class, and what is said of the rest."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gpunet.errors import DataError, InvalidArgumentError
from gpunet.exporters.int8.calibration import calibration_images
from gpunet.model import SMALL, GPUNet
from gpunet.model.classes import class_numbers
from gpunet.model.image_folder import read_image_folder, suffixes
from gpunet.train import open_data


def picture(path: Path, side_px: int = 8) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((side_px, side_px, 3), 128, np.uint8)).save(path)


def test_a_class_is_the_first_folder_whatever_lies_below(tmp_path: Path):
    for name in ("cat/2020/0.png", "cat/2021/0.png", "dog/0.png", "dog/2020/deep/er/1.png"):
        picture(tmp_path / name)
    found = read_image_folder(tmp_path)
    assert found.classes == ("cat", "dog")
    assert [number for _, number in found.samples] == [0, 0, 1, 1]
    assert open_data(tmp_path).classes == ("cat", "dog")


def test_the_order_is_timms_and_the_same_for_all(tmp_path: Path):
    from timm.data import create_dataset

    for name in ("10", "2", "1", "Zebra", "apple", "b2", "b10"):
        picture(tmp_path / name / "0.png")
    order = tuple(create_dataset("", str(tmp_path)).reader.class_to_idx)
    assert read_image_folder(tmp_path).classes == order == ("1", "2", "10", "apple", "b2", "b10", "Zebra")
    assert open_data(tmp_path).classes == order
    found = calibration_images(GPUNet(SMALL, num_classes=7), (3, 32, 32), tmp_path)
    names = [Path(file).parent.name for file, _ in read_image_folder(tmp_path).samples]
    assert found.labels is not None
    assert dict(zip(names, found.labels, strict=True)) == {name: number for number, name in enumerate(order)}


def test_what_is_hidden_is_no_class_and_no_picture(tmp_path: Path):
    for name in ("cat/0.png", "dog/0.png", ".ipynb_checkpoints/0.png", "__MACOSX/cat/0.png", "cat/.hidden/0.png"):
        picture(tmp_path / name)
    (tmp_path / "cat" / "._0.png").write_bytes(b"\0\5\x16\7")
    (tmp_path / "dog" / "Thumbs.db").write_bytes(b"\0")
    (tmp_path / "dog" / "notes.txt").write_text("a dog")
    picture(tmp_path / "stray.png")
    found = read_image_folder(tmp_path)
    assert found.classes == ("cat", "dog")
    assert len(found.samples) == 2
    assert sorted(Path(name).name for name, _ in found.left_out) == ["Thumbs.db", "notes.txt", "stray.png"]
    assert "2 no picture by its name, 1 in no class's folder" in str(found)


def test_a_folder_without_classes_is_flat(tmp_path: Path):
    for name in ("b.png", "a.jpg"):
        picture(tmp_path / name)
    found = read_image_folder(tmp_path)
    assert found.classes == ()
    assert [(Path(file).name, number) for file, number in found.samples] == [("a.jpg", -1), ("b.png", -1)]


@pytest.mark.parametrize("suffix", [".webp", ".bmp", ".tif", ".TIFF", ".gif", ".ppm", ".jpe", ".tga"])
def test_every_suffix_that_pillow_opens_counts(suffix: str, tmp_path: Path):
    (tmp_path / "a").mkdir()
    Image.fromarray(np.full((8, 8, 3), 128, np.uint8)).save(tmp_path / "a" / f"0{suffix}")
    assert suffix.lower() in suffixes()
    data = open_data(tmp_path)
    assert len(data) == 1
    assert data.dataset[0][0].mode == "RGB"


@pytest.mark.skipif(os.name != "posix", reason="links are POSIX's")
def test_a_link_that_leads_back_is_followed_once(tmp_path: Path):
    picture(tmp_path / "data" / "cat" / "0.png")
    picture(tmp_path / "elsewhere" / "0.png")
    (tmp_path / "data" / "cat" / "back").symlink_to(tmp_path / "data")
    (tmp_path / "data" / "dog").symlink_to(tmp_path / "elsewhere")
    found = read_image_folder(tmp_path / "data")
    assert found.classes == ("cat", "dog")
    assert len(found.samples) == 2


@pytest.mark.skipif(os.name != "posix", reason="names are bytes on POSIX")
@pytest.mark.parametrize("name", [b"caf\xe9/0.png", b"tea/\xff.png"])
def test_a_name_that_is_not_utf8_is_refused(name: bytes, tmp_path: Path):
    picture(tmp_path / "tea" / "0.png")
    path = os.path.join(os.fsencode(tmp_path), name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    os.link(os.fsencode(tmp_path / "tea" / "0.png"), path)
    with pytest.raises(DataError, match="is not UTF-8"):
        open_data(tmp_path)


def test_names_compare_however_their_accents_are_written(tmp_path: Path):
    picture(tmp_path / unicodedata.normalize("NFD", "café") / "0.png")
    assert read_image_folder(tmp_path).classes == (unicodedata.normalize("NFC", "café"),)
    picture(tmp_path / unicodedata.normalize("NFC", "café") / "0.png")
    if len(list(tmp_path.iterdir())) == 2:  # a file system may take the two for one
        with pytest.raises(DataError, match="all written"):
            read_image_folder(tmp_path)


def test_validation_images_are_matched_by_name(tmp_path: Path):
    for name in ("train/a", "train/b", "train/c", "validation/c", "validation/a"):
        picture(tmp_path / name / "0.png")
    classes = open_data(tmp_path).classes
    validation = open_data(tmp_path, split="validation").for_model(3, classes)
    assert [validation.target(number) for number in range(2)] == [0, 2]
    assert class_numbers(("c", "a"), 3, ("a", "b", "c")) == (2, 0)
    assert class_numbers(("z",), 3, ("a", "b", "c")) is None


def test_a_damaged_calibration_picture_is_left_out_and_many_are_an_error(tmp_path: Path):
    for number in range(12):
        picture(tmp_path / f"{number}.png")
    (tmp_path / "broken.png").write_bytes(b"<html>not found</html>")
    model = GPUNet(SMALL, num_classes=2)
    found = calibration_images(model, (3, 32, 32), tmp_path)
    assert len(list(found)) == 12
    assert found.source.endswith(", 1 more unreadable")
    for number in range(4):
        (tmp_path / f"broken{number}.png").write_bytes(b"")
    with pytest.raises(InvalidArgumentError, match="5 of 17 pictures"):
        calibration_images(model, (3, 32, 32), tmp_path)
