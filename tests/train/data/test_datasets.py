from __future__ import annotations

import dataclasses
import gc
import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from helpers.runs import network
from PIL import Image

from gpunet.errors import DataError
from gpunet.model.classes import class_numbers
from gpunet.model.preprocessing import evaluation_transform, image_config
from gpunet.train import open_data
from gpunet.train.data.datasets import open_held_out, open_training_data
from gpunet.train.data.loader import TrainingLoader, evaluation_loader


def picture(number: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(number).integers(0, 256, (24, 24, 3), dtype=np.uint8))


def write(folder: Path, classes: tuple[str, ...], images: int = 2) -> Path:
    for name in classes:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(images):
            picture(number).save(folder / name / f"{number}.png")
    return folder


def test_digits_are_split_the_same_everywhere() -> None:
    train, validation = open_data("digits"), open_data("digits", split="validation")
    assert (len(train), len(validation)) == (1437, 360)
    assert train.classes == tuple("0123456789")
    assert train.targets()[:5].tolist() == [2, 8, 2, 6, 6] or len(set(train.targets().tolist())) == 10
    image, target = train.dataset[0]
    assert (image.size, image.mode, target) == ((8, 8), "RGB", int(train.targets()[0]))
    assert train.file(3) == "image 3 of digits (train)"
    with pytest.raises(DataError, match="digits has the splits train and validation, but got 'tset'"):
        open_data("digits", split="tset")


def test_a_folder_may_be_named_from_a_root(tmp_path: Path) -> None:
    write(tmp_path / "disk/pets/train", ("cat", "dog"), images=3)
    write(tmp_path / "disk/pets/validation", ("cat", "dog"))
    assert len(open_data("pets", root=tmp_path / "disk")) == 6
    assert len(open_training_data("pets", root=tmp_path / "disk")) == 6
    assert len(open_data(tmp_path / "disk/pets", root=tmp_path / "elsewhere", split="validation")) == 4
    with pytest.raises(DataError, match="elsewhere/pets: there is no such folder"):
        open_data("pets", root=tmp_path / "elsewhere")


def test_a_fraction_is_the_same_part_of_each_class() -> None:
    data = open_data("digits")
    part = data.fraction(0.1, seed=3)
    counts = np.bincount(part.targets())
    assert len(part) == counts.sum() == sum(round(0.1 * each) for each in np.bincount(data.targets()))
    assert part.rows == data.fraction(0.1, seed=3).rows != data.fraction(0.1, seed=4).rows
    assert data.fraction(1) is data
    assert len(data.fraction(1e-9)) == 10
    assert part.fraction(0.5, seed=1).targets().tolist() == [
        int(data.targets()[row]) for row in part.fraction(0.5, seed=1).rows or ()
    ]
    for wrong in (0, 1.1, float("nan")):
        with pytest.raises(DataError, match="a fraction must be above 0 and at most 1"):
            data.fraction(wrong)


def test_a_part_is_split_off_each_class() -> None:
    data = open_data("digits").fraction(0.5)
    rest, part = data.split(0.2, seed=3)
    assert not set(rest.rows or ()) & set(part.rows or ())
    assert sorted((*(rest.rows or ()), *(part.rows or ()))) == list(data.rows or ())
    counts = np.bincount(data.targets())
    assert np.bincount(part.targets()).tolist() == [round(0.2 * each) for each in counts]
    assert part.rows == data.split(0.2, seed=3)[1].rows != data.split(0.2, seed=4)[1].rows
    assert (rest.name, part.name) == tuple(f"{data.name}, {which}0.2 of each class" for which in ("all but ", ""))
    for tiny, sizes in ((1e-9, (len(data) - 10, 10)), (0.9999, (10, len(data) - 10))):
        assert tuple(map(len, data.split(tiny))) == sizes
    single = dataclasses.replace(data, rows=(0,))
    with pytest.raises(DataError, match="has no class of two images or more, so no part can be split off"):
        single.split(0.5)
    for wrong in (0, 1, float("nan")):
        with pytest.raises(DataError, match="a part to split off must be above 0 and below 1"):
            data.split(wrong)


def test_a_folder_with_splits(tmp_path: Path) -> None:
    write(tmp_path / "train", ("cat", "dog"), 3)
    write(tmp_path / "val", ("cat", "dog"), 1)
    train, validation = open_training_data(tmp_path), open_data(tmp_path, split="validation")
    assert (len(train), len(validation), train.classes) == (6, 2, ("cat", "dog"))
    assert train.file(0) == "cat/0.png"
    assert train.targets().tolist() == [0, 0, 0, 1, 1, 1]
    with pytest.raises(DataError, match="has no folder 'held-out'"):
        open_data(tmp_path, split="held-out")


def test_a_folder_without_splits_is_for_scoring_only(tmp_path: Path) -> None:
    write(tmp_path, ("cat", "dog"))
    assert len(open_data(tmp_path, split="validation")) == 4
    with pytest.raises(DataError, match="has no folder 'train', so its images cannot be told apart"):
        open_training_data(tmp_path)
    write(tmp_path / "train", ("cat", "dog"))
    with pytest.raises(DataError, match="has a folder 'train', but none for 'validation'"):
        open_data(tmp_path, split="validation")


def test_a_part_is_held_out_of_each_class_by_the_images_names(tmp_path: Path) -> None:
    pets = write(tmp_path / "pets", ("cat", "dog"), 10)
    rest, held_out = open_held_out(pets, 0.2)
    assert (rest.name, held_out.name) == (f"{pets}, all but 0.2 of each class", f"{pets}, 0.2 of each class")
    assert np.bincount(held_out.targets()).tolist() == [2, 2]
    names = {held_out.file(index) for index in range(4)}
    assert names.isdisjoint(rest.file(index) for index in range(16))
    # The same wherever the folder lies, and an image that comes or goes moves no other from one part to the other.
    pets.rename(tmp_path / "elsewhere")
    for number in range(10, 15):
        picture(number).save(tmp_path / "elsewhere" / "dog" / f"{number}.png")
    _, again = open_held_out("elsewhere", 0.2, root=tmp_path)
    both = {again.file(index) for index in range(len(again))}
    assert np.bincount(again.targets()).tolist() == [2, 3]
    assert {name for name in names if name.startswith("cat")} <= both
    old = {name for name in both if int(Path(name).stem) < 10}
    assert old <= names or names <= both


def test_what_has_splits_is_not_split(tmp_path: Path) -> None:
    write(tmp_path / "val", ("cat", "dog"))
    with pytest.raises(DataError, match=r"has splits already \(val\), so no part is held out\.\nLeave --holdout out"):
        open_held_out(tmp_path, 0.2)
    with pytest.raises(DataError, match="digits has splits of its own"):
        open_held_out("digits", 0.2)
    with pytest.raises(DataError, match="must be above 0 and below 1, but got nan"):
        open_held_out(write(tmp_path / "pets", ("cat", "dog")), float("nan"))


@pytest.mark.parametrize("name", ["digits", "torch/cifar10"])
def test_a_class_map_that_nothing_reads_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"nothing reads a class map of {name}"):
        open_data(name, class_map=tmp_path / "classes.txt")


def test_what_is_no_data(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no/such: there is no such folder|timm cannot open the dataset"):
        open_data("no/such")
    with pytest.raises(DataError, match=r"nothing: there is no such folder"):
        open_data("nothing")
    with pytest.raises(DataError, match="holds no image"):
        open_data(tmp_path)
    with pytest.raises(DataError, match=r"timm cannot open the dataset 'torch/nothing'"):
        open_data("torch/nothing", root=tmp_path)
    (tmp_path / "classes.pkl").write_bytes(b"")
    folder = write(tmp_path / "x", ("a",))
    with pytest.raises(DataError, match=r"classes.pkl is no class map"):
        open_data(folder, split="validation", class_map=tmp_path / "classes.pkl")


def test_classes_are_checked_against_the_models(tmp_path: Path) -> None:
    data = open_data(write(tmp_path, ("cat", "dog")), split="validation")
    assert data.for_model(2) is data.for_model(2, ("cat", "dog")) is data
    with pytest.raises(DataError, match=r"the model has 3 classes and .* has 2 \('cat', 'dog'\)"):
        data.for_model(3)
    matched = data.for_model(2, ("dog", "cat"))
    assert [matched.target(number) for number in range(2)] == [1, 0]
    with pytest.raises(DataError, match=r"has 'cat', which the model does not know; the model's 'bird' is not there"):
        data.for_model(2, ("bird", "dog"))
    with pytest.raises(DataError, match=r"has 'cat', which the model has more than once\."):
        data.for_model(3, ("cat", "dog", "cat"))
    (tmp_path / "classes.txt").write_text("bird\ndog\ncat\n", encoding="utf-8")
    mapped = open_data(tmp_path, split="validation", class_map=tmp_path / "classes.txt")
    assert mapped.classes == ("bird", "dog", "cat")
    assert sorted(mapped.targets().tolist()) == [1, 1, 2, 2]
    assert mapped.for_model(3, ("bird", "dog", "cat")) is mapped


def test_a_part_of_imagenets_synsets_has_imagenets_numbers(tmp_path: Path) -> None:
    data = open_data(write(tmp_path, ("n01443537", "n01440764")), split="validation").for_model(1000)
    assert data.targets().tolist() == [0, 0, 1, 1]
    loaded = next(iter(evaluation_loader(data, evaluation_transform(image_config(network())), 1000, 4)))
    assert loaded.targets.tolist() == [0, 0, 1, 1]
    assert class_numbers(("n02102040", "n01440764"), 1000) == (217, 0)
    assert class_numbers(("cat", "n01440764"), 1000) is None
    with pytest.raises(DataError, match="the model has 1000 classes"):
        open_data(write(tmp_path / "other", ("cat",)), split="validation").for_model(1000)


def test_torchvisions_datasets(tmp_path: Path) -> None:
    write(tmp_path / "train", ("cat", "dog"))
    data = open_data("torch/image_folder", root=tmp_path, split="train")
    assert (len(data), data.classes, data.targets().tolist()) == (4, ("cat", "dog"), [0, 0, 1, 1])
    assert data.file(3).endswith("dog/1.png")


def test_hugging_face_datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("datasets", reason="the package datasets is not installed")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    write(tmp_path / "pets" / "train", ("cat", "dog"))
    data = open_data(f"hfds/{tmp_path / 'pets'}", root=tmp_path / "cache", split="train")
    assert (len(data), data.classes, sorted(data.targets().tolist())) == (4, ("cat", "dog"), [0, 0, 1, 1])
    loader = TrainingLoader(data, evaluation_transform(image_config(network())), 2, 4, seed=0)
    assert sorted(next(loader.epoch(0)).targets.tolist()) == [0, 0, 1, 1]


_TFDS = """
import sys
import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
features = tfds.features.FeaturesDict({
    "image": tfds.features.Image(encoding_format="png"), "label": tfds.features.ClassLabel(names=["cat", "dog"])})
def split(count):
    images = np.random.default_rng(count).integers(0, 255, (count, 20, 24, 3), np.uint8)
    return tf.data.Dataset.from_tensor_slices({"image": images, "label": np.arange(count) % 2})
tfds.dataset_builders.store_as_tfds_dataset(
    "pets", version="1.0.0", features=features, split_datasets={"train": split(20), "validation": split(10)},
    data_dir=sys.argv[1])
"""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # TensorFlow's own
def test_tensorflow_datasets_stream(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow_datasets", reason="the package tensorflow-datasets is not installed")
    subprocess.run([sys.executable, "-c", _TFDS, str(tmp_path)], check=True)
    data = open_data("tfds/pets", root=tmp_path, split="train", batch_size=5)
    assert (len(data), data.streamed, data.classes) == (20, True, ("cat", "dog"))
    transform = evaluation_transform(image_config(network()))
    whole = list(TrainingLoader(data, transform, 2, 5, seed=0).epoch(1))
    assert [len(batch.targets) for batch in whole] == [5, 5, 5, 5]
    assert {target for batch in whole for target in batch.targets.tolist()} == {0, 1}  # drawn, not each once
    later = TrainingLoader(open_data("tfds/pets", root=tmp_path, split="train", batch_size=5), transform, 2, 5, seed=0)
    assert [each.targets.tolist() for each in later.epoch(1, first=2)] == [each.targets.tolist() for each in whole[2:]]
    scored = evaluation_loader(open_data("tfds/pets", root=tmp_path, split="validation"), transform, 2, 4)
    assert sorted(target for batch in scored for target in batch.targets.tolist()) == [0] * 5 + [1] * 5


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_webdataset_streams(tmp_path: Path) -> None:
    pytest.importorskip("webdataset", reason="the package webdataset is not installed")
    for split, shards in (("train", 2), ("validation", 1)):
        for shard in range(shards):
            with tarfile.open(tmp_path / f"pets-{split}-{shard:04}.tar", "w") as tar:
                for number in range(10):
                    content = io.BytesIO()
                    picture(number).save(content, "png")
                    for suffix, payload in (("png", content.getvalue()), ("cls", str(number % 2).encode())):
                        info = tarfile.TarInfo(f"{shard:04}-{number:04}.{suffix}")
                        info.size = len(payload)
                        tar.addfile(info, io.BytesIO(payload))
    (tmp_path / "_info.json").write_text(json.dumps({"splits": {
        "train": {"name": "train", "num_samples": 20, "filenames": [f"pets-train-{k:04}.tar" for k in range(2)],
                  "shard_lengths": [10, 10]},
        "validation": {"name": "validation", "num_samples": 10, "filenames": ["pets-validation-0000.tar"],
                       "shard_lengths": [10]}}}), encoding="utf-8")  # fmt: skip
    data = open_data("wds/pets", root=tmp_path, split="train", batch_size=5)
    assert (len(data), data.streamed, data.classes) == (20, True, None)
    transform = evaluation_transform(image_config(network()))
    whole = list(TrainingLoader(data, transform, 2, 5, seed=0).epoch(1))
    assert [len(batch.targets) for batch in whole] == [5, 5, 5, 5]
    again = list(TrainingLoader(open_data("wds/pets", root=tmp_path, split="train", batch_size=5), transform, 2, 5,
                                seed=0).epoch(1, first=2))  # fmt: skip
    assert [batch.targets.tolist() for batch in again] == [batch.targets.tolist() for batch in whole[2:]]
    scored = evaluation_loader(open_data("wds/pets", root=tmp_path, split="validation"), transform, 2, 4)
    assert sum(len(batch.targets) for batch in scored) == 10
    with pytest.raises(DataError, match="is a stream: its classes are known only by reading it"):
        data.fraction(0.5)
    del whole, again, scored, data
    gc.collect()  # webdataset leaves its shards open
