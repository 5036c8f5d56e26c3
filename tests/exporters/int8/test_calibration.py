"""Calibration images: from folders, datasets, files and arrays, and whether their labels are the model's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from timm.data import ImageNetInfo

from gpunet.errors import InvalidArgumentError
from gpunet.exporters.images import image_set
from gpunet.exporters.int8.calibration import calibration_images
from gpunet.model.network import GPUNet

SHAPE = (3, 32, 32)


@pytest.fixture
def pictures(tmp_path):
    """Makes pictures: `pictures('cat/1.png', ...)` -> the folder that holds them. Each is of a colour of its own."""

    def make(*names: str):
        for number, name in enumerate(names):
            path = tmp_path / "pictures" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (40, 36), (20 * number, 90, 255 - 20 * number)).save(path)
        return tmp_path / "pictures"

    return make


def test_a_flat_folder_has_no_labels(model, pictures):
    folder = pictures("a.png", "b.jpg", "c.webp")
    (folder / "notes.txt").write_text("no picture")
    images = calibration_images(model, SHAPE, folder)
    assert len(images) == 3
    assert images.labels is None
    assert images.source == f"3 of the 3 pictures in {folder}"
    arrays = list(images)
    assert {(array.shape, array.dtype) for array in arrays} == {(SHAPE, np.dtype("float32"))}
    assert np.array_equal(np.stack(arrays), np.stack(list(images))), "the images can be gone through again"


def test_pictures_are_prepared_as_the_models_own_transforms_do(model, pictures):
    folder = pictures("a.png")
    assert np.array_equal(
        next(iter(calibration_images(model, SHAPE, folder))), image_set(model, SHAPE, folder).arrays[0]
    )


def test_a_folder_for_each_class_gives_labels_in_order(model, pictures):
    """The model has ten classes."""
    images = calibration_images(model, SHAPE, pictures(*(f"class{n}/{k}.png" for n in range(10) for k in range(2))))
    assert images.labels.tolist() == [n for n in range(10) for _ in range(2)]


def test_folders_for_some_of_the_classes_give_none(model, pictures):
    assert calibration_images(model, SHAPE, pictures("class3/1.png", "class7/1.png")).labels is None


def test_folders_with_names_of_imagenet_are_numbered_as_imagenet(pictures):
    spec = {
        "resolution_px": 32,
        "stem": {"filters": 4},
        "stages": [{"type": "conv", "filters": 4}],
        "head": {"filters": 4},
    }
    names = ImageNetInfo("imagenet-1k").label_names()
    images = calibration_images(GPUNet(spec), SHAPE, pictures(f"{names[217]}/1.png", f"{names[0]}/1.png"))
    assert sorted(images.labels.tolist()) == [0, 217]


def test_a_limit_draws_the_same_images_each_time(model, pictures):
    folder = pictures(*(f"class{n}/1.png" for n in range(10)))
    draws = [calibration_images(model, SHAPE, folder, limit=4) for _ in range(2)]
    assert len(draws[0]) == 4
    assert draws[0].source == f"4 of the 10 pictures in {folder}"
    assert draws[0].labels.tolist() == draws[1].labels.tolist()
    assert calibration_images(model, SHAPE, folder, limit=4, seed=1).labels.tolist() != draws[0].labels.tolist()
    colours = [float(image[0].mean()) for image in draws[0]]
    assert colours == sorted(colours), "labels and pictures are in one order"


def test_a_dataset_of_timms(model, pictures):
    folder = pictures(*(f"class{n}/1.png" for n in range(10)))
    images = calibration_images(model, SHAPE, "torch/image_folder", root=folder, split="")
    assert len(images) == 10
    assert images.labels.tolist() == list(range(10))
    assert images.source == "10 of 10 images of torch/image_folder ()"


def test_a_dataset_with_other_classes_gives_no_labels(model, pictures):
    folder = pictures("cat/1.png", "dog/1.png")
    assert calibration_images(model, SHAPE, "torch/image_folder", root=folder, split="").labels is None


def test_a_dataset_object(model):
    pairs = [(Image.new("L", (40, 40), 25 * n), torch.tensor(n)) for n in range(10)]
    images = calibration_images(model, SHAPE, list_dataset(pairs))
    assert images.labels.tolist() == list(range(10))
    assert next(iter(images)).shape == SHAPE
    assert images.source == "10 of 10 images of a ListDataset"


def test_pictures_with_labels_in_a_list(model):
    pairs = [(Image.new("RGB", (40, 40), (25 * n, 0, 0)), n) for n in range(10)]
    assert calibration_images(model, SHAPE, pairs).labels.tolist() == list(range(10))


def test_a_stream_gives_its_first_images(model):
    class Stream:
        def __iter__(self):
            return ((Image.new("RGB", (40, 40)), n) for n in range(10**9))

    assert calibration_images(model, SHAPE, Stream(), limit=7).labels.tolist() == list(range(7))


def test_unlabelled_samples(model):
    pairs = [(Image.new("RGB", (40, 40)), None)] * 3
    assert calibration_images(model, SHAPE, list_dataset(pairs)).labels is None


def list_dataset(pairs):
    class ListDataset:
        def __len__(self):
            return len(pairs)

        def __getitem__(self, place):
            return pairs[place]

    return ListDataset()


def test_arrays_and_files(model, pictures):
    given = np.random.default_rng(0).standard_normal((6, *SHAPE)).astype(np.float32)
    images = calibration_images(model, SHAPE, given, limit=5)
    assert len(images) == 5
    assert images.source == "5 of 6 given images"
    assert all(any(np.array_equal(image, each) for each in given) for image in images)
    folder = pictures("a.png", "b.png")
    assert calibration_images(model, SHAPE, [folder / "a.png", folder / "b.png"]).source == "2 of 2 files"


@pytest.mark.parametrize(
    ("images", "said"),
    [
        ("nowhere", r"nowhere: there is no such folder"),
        ("./also/nowhere", r"also/nowhere: there is no such folder"),
        ("torch/nothing", r"timm cannot open the dataset 'torch/nothing' \(root None, split 'validation'\)"),
        (np.zeros((2, 3, 16, 16), np.float32), "float32 array of n x 3 x 32 x 32, but got float32 of shape"),
        ([], "one picture at least, but the list is empty"),
        (7, "must be a folder, a dataset, files or an array, but got a int"),
    ],
)
def test_what_is_no_source_of_images(model, images, said):
    with pytest.raises(InvalidArgumentError, match=said):
        calibration_images(model, SHAPE, images)


def test_a_dataset_of_a_hub_that_cannot_be_reached(model, monkeypatch, capsys):
    """At once, and without what the hub's client prints of its attempts."""
    pytest.importorskip("datasets")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(InvalidArgumentError, match="timm cannot open the dataset 'hfds/nobody/nothing'") as caught:
        calibration_images(model, SHAPE, "hfds/nobody/nothing")
    assert caught.value.exit_code == 4
    assert capsys.readouterr().err == ""


def test_an_empty_folder_and_an_empty_dataset(model, tmp_path):
    with pytest.raises(InvalidArgumentError, match=r"must hold pictures, but .* holds none"):
        calibration_images(model, SHAPE, tmp_path)
    with pytest.raises(InvalidArgumentError, match="one picture at least, but a ListDataset holds none"):
        calibration_images(model, SHAPE, list_dataset([]))


def test_a_dataset_without_labels_or_of_other_things(model):
    with pytest.raises(InvalidArgumentError, match=r"must give \(picture, label\), but gave a Image"):
        calibration_images(model, SHAPE, list_dataset([Image.new("RGB", (40, 40))]))


def test_a_damaged_picture(model, pictures):
    folder = pictures("a.png")
    (folder / "a.png").write_bytes(b"\x89PNG nothing")
    with pytest.raises(InvalidArgumentError, match=r"1 of 1 pictures in .* cannot be read: .*a\.png"):
        list(calibration_images(model, SHAPE, folder))


@pytest.mark.parametrize("limit", [0, True, 1.5])
def test_a_limit_that_is_none(model, limit):
    with pytest.raises(InvalidArgumentError, match="limit must be an integer of 1 or more"):
        calibration_images(model, SHAPE, "folder", limit=limit)
