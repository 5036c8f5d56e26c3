from __future__ import annotations

import sys

import numpy as np
import pytest
import timm
import torch
from PIL import Image

from gpunet.errors import InvalidArgumentError
from gpunet.exporters.images import image_set, image_shape, shipped_photographs, synthetic_picture
from gpunet.model.network import GPUNet

SHAPE = (3, 32, 32)
PACKAGES = ("sklearn", "skimage", "matplotlib")


@pytest.fixture
def no_photographs(monkeypatch):
    """As where none of the packages is installed."""
    for package in PACKAGES:
        monkeypatch.setitem(sys.modules, package, None)


def picture(path, colour=(200, 100, 50)):
    Image.new("RGB", (64, 48), colour).save(path)
    return path


# ------------------------------------------------------------------ the images


def test_photographs_of_installed_packages_are_used(model):
    assert 1 <= len(shipped_photographs()) <= 4
    images = image_set(model, SHAPE)
    assert images.arrays.shape == (len(images), *SHAPE)
    assert images.arrays.dtype == np.float32
    assert images.kinds.count("photograph") == len(shipped_photographs())
    assert images.kinds[-2:] == ("random image", "random image")
    assert str(images).endswith("photographs and 2 random images")
    assert images.arrays.std() > 0.5  # normalised, not black


def test_without_them_pictures_are_made(model, no_photographs):
    assert shipped_photographs() == []
    images = image_set(model, SHAPE)
    assert str(images) == "3 synthetic pictures and 2 random images"
    np.testing.assert_array_equal(images.arrays, image_set(model, SHAPE).arrays)


def test_synthetic_pictures_have_structure():
    pixels = np.asarray(synthetic_picture(0, 128), dtype=float)
    assert pixels.shape == (128, 128, 3)
    neighbours = np.corrcoef(pixels[:, :-1].ravel(), pixels[:, 1:].ravel())[0, 1]
    assert neighbours > 0.8  # as in photographs; noise has 0
    assert not np.array_equal(pixels, np.asarray(synthetic_picture(1, 128)))


def test_pictures_can_be_given(model, tmp_path):
    first, second = picture(tmp_path / "a.png"), picture(tmp_path / "b.jpg", (0, 0, 0))
    (tmp_path / "notes.txt").write_text("no picture")
    assert str(image_set(model, SHAPE, first)) == "1 photograph and 2 random images"
    listed, folder = image_set(model, SHAPE, [str(first), second]), image_set(model, SHAPE, tmp_path)
    assert listed.kinds == folder.kinds
    np.testing.assert_array_equal(listed.arrays, folder.arrays)


def test_prepared_images_can_be_given(model):
    given = np.zeros((3, *SHAPE), np.float32)
    images = image_set(model, SHAPE, given)
    np.testing.assert_array_equal(images.arrays[:3], given)
    assert str(images) == "3 given images and 2 random images"


def test_channels_other_than_three(model, tmp_path):
    path = picture(tmp_path / "a.png")
    three = image_set(model, SHAPE, path).arrays[0]
    np.testing.assert_allclose(image_set(model, (1, 32, 32), path).arrays[0, 0], three.mean(axis=0), rtol=1e-6)
    np.testing.assert_array_equal(image_set(model, (5, 32, 32), path).arrays[0], three[[0, 1, 2, 0, 1]])


def test_inputs_that_are_not_square(model, tmp_path):
    assert image_set(model, (3, 32, 64), picture(tmp_path / "a.png")).arrays.shape == (3, 3, 32, 64)


@pytest.mark.parametrize(
    "given", [np.zeros((3, 32, 32), np.float32), np.zeros((1, *SHAPE)), np.zeros((0, *SHAPE), np.float32)]
)
def test_arrays_of_another_shape_are_refused(model, given):
    with pytest.raises(InvalidArgumentError, match="must be a float32 array of n x 3 x 32 x 32, but got float"):
        image_set(model, SHAPE, given)


def test_pictures_that_cannot_be_read_are_refused(model, tmp_path):
    with pytest.raises(InvalidArgumentError, match=r"missing\.png cannot be read as a picture") as caught:
        image_set(model, SHAPE, tmp_path / "missing.png")
    assert "JPEG, PNG" in caught.value.hint
    (tmp_path / "fake.jpg").write_text("no picture")
    with pytest.raises(InvalidArgumentError, match=r"fake\.jpg cannot be read as a picture: no kind of picture"):
        image_set(model, SHAPE, tmp_path)


def test_folders_and_lists_hold_pictures(model, tmp_path):
    with pytest.raises(InvalidArgumentError, match=r"must be a folder with pictures, but .* holds none") as caught:
        image_set(model, SHAPE, tmp_path)
    assert ".jpg" in caught.value.hint
    with pytest.raises(InvalidArgumentError, match="at least one picture, but the list is empty"):
        image_set(model, SHAPE, [])


# ------------------------------------------------------------------ their shape


def test_shape_of_a_gpunet(model):
    assert image_shape(model) == (3, 32, 32)
    assert image_shape(GPUNet(model.spec, in_chans=4), 64) == (4, 64, 64)
    assert image_shape(model, (48, 64)) == (3, 48, 64)


def test_shape_of_a_timm_model():
    assert image_shape(timm.create_model("test_efficientnet")) == (3, 160, 160)
    assert image_shape(timm.create_model("test_efficientnet", in_chans=1), 96) == (1, 96, 96)


def test_shape_of_another_module():
    assert image_shape(torch.nn.Conv2d(6, 8, 3, groups=2), 24) == (6, 24, 24)
    assert image_shape(torch.nn.ReLU(), 24) == (3, 24, 24)
    with pytest.raises(InvalidArgumentError, match="the input size of this Conv2d is not known") as caught:
        image_shape(torch.nn.Conv2d(3, 8, 3))
    assert "input_px" in caught.value.hint


@pytest.mark.parametrize("given", [0, -1, True, 2.5, "224", (224,), (224, 0)])
def test_sides_are_integers(model, given):
    with pytest.raises(InvalidArgumentError, match=r"input_px must be an integer of 1 or more, or \(height, width\)"):
        image_shape(model, given)
