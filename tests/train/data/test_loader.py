from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from helpers.runs import digits, network
from PIL import Image

from gpunet.errors import DataError
from gpunet.model.preprocessing import evaluation_transform, image_config
from gpunet.train import open_data
from gpunet.train.data.loader import Batch, ProcessPlace, TrainingLoader, evaluation_loader
from gpunet.train.data.transforms import training_transform
from gpunet.train.recipe import Augmentation

CONFIG = image_config(network())
AUGMENTATION = Augmentation("rand-m9-mstd0.5", erasing=0.5, erasing_mode="pixel")


def loader(images: int = 50, batch_size: int = 8, *, seed: int = 0, **kwargs: object) -> TrainingLoader:
    return TrainingLoader(
        digits(images), training_transform(CONFIG, AUGMENTATION), 10, batch_size, seed=seed, **kwargs  # type: ignore[arg-type]
    )  # fmt: skip


def same(one: Batch, other: Batch) -> bool:
    return torch.equal(one.images, other.images) and torch.equal(one.indices, other.indices)


def test_an_epoch_begun_in_its_middle_goes_on_as_the_whole_would_have() -> None:
    whole = list(loader().epoch(3))
    assert len(whole) == len(loader()) == 6
    later = loader()
    assert all(map(same, later.epoch(3, first=4), whole[4:]))
    assert not same(next(iter(later.epoch(4))), whole[0])
    assert not same(next(iter(loader(seed=1).epoch(3))), whole[0])


@pytest.mark.filterwarnings("ignore:This DataLoader will create 2 worker processes:UserWarning")  # on a single core
def test_workers_change_nothing() -> None:
    with_two = loader(workers=2)
    for epoch in (0, 1):
        assert all(map(same, with_two.epoch(epoch), loader().epoch(epoch)))


def test_processes_share_the_images_of_a_step() -> None:
    alone = list(loader(batch_size=8).epoch(1))
    parts = [list(loader(batch_size=4, place=ProcessPlace(rank, 2)).epoch(1)) for rank in (0, 1)]
    for whole, *halves in zip(alone, *parts, strict=True):
        assert torch.equal(whole.images, torch.cat([half.images for half in halves]))


def test_fixed_augmentation_is_the_same_in_every_epoch() -> None:
    def by_index(epoch: int) -> dict[int, torch.Tensor]:
        return {int(index): image for batch in loader(48, fixed=True).epoch(epoch)
                for index, image in zip(batch.indices, batch.images, strict=True)}  # fmt: skip

    first, second = by_index(0), by_index(7)
    assert first.keys() == second.keys() == set(range(48))
    assert all(torch.equal(first[index], second[index]) for index in first)


def test_few_images_are_one_short_step() -> None:
    assert [len(batch.targets) for batch in loader(5, 8).epoch(0)] == [5]
    with pytest.raises(DataError, match="1 images are too few for 2 processes"):
        loader(1, 8, place=ProcessPlace(0, 2))


def test_evaluation_sees_every_image_once_over_all_processes() -> None:
    data = digits(21)
    transform = evaluation_transform(CONFIG)
    seen = [
        int(index) for rank in range(2)
        for batch in evaluation_loader(data, transform, 10, 4, place=ProcessPlace(rank, 2)) for index in batch.indices
    ]  # fmt: skip
    assert sorted(seen) == list(range(21))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six pictures in two classes; one is no picture, one is cut off."""
    for name in "ab":
        (tmp_path / "train" / name).mkdir(parents=True)
        for number in range(3):
            noise = torch.randint(0, 256, (40, 40, 3), generator=torch.Generator().manual_seed(number))
            Image.fromarray(noise.to(torch.uint8).numpy()).save(tmp_path / "train" / name / f"{number}.png")
    (tmp_path / "train" / "a" / "1.png").write_bytes(b"no picture")
    whole = (tmp_path / "train" / "b" / "2.png").read_bytes()
    (tmp_path / "train" / "b" / "2.png").write_bytes(whole[: len(whole) // 2])
    return tmp_path


def test_an_unreadable_image_is_named_and_replaced(folder: Path) -> None:
    data = open_data(folder)
    given = TrainingLoader(data, training_transform(CONFIG, AUGMENTATION), 2, 6, seed=0)
    (batch,) = given.epoch(0)
    assert len(batch.targets) == 6
    assert sorted(batch.indices.tolist()) == [0, 0, 2, 2, 3, 4]
    assert sorted(name for name, _ in batch.unreadable) == ["a/1.png", "b/2.png"]
    assert any("cannot identify" in reason for _, reason in batch.unreadable)


def test_an_unreadable_image_is_named_and_left_out_of_a_score(folder: Path) -> None:
    batches = list(evaluation_loader(open_data(folder), evaluation_transform(CONFIG), 2, 2))
    assert [batch.indices.tolist() for batch in batches] == [[0], [2, 3], [4]]
    assert [name for batch in batches for name, _ in batch.unreadable] == ["a/1.png", "b/2.png"]


def test_a_class_that_the_model_has_not_is_an_error() -> None:
    data = dataclasses.replace(digits(20), classes=None)
    with pytest.raises(DataError, match=r"digits \(train\) has the class \d, but the model has 3 \(0 to 2\)"):
        list(evaluation_loader(data, evaluation_transform(CONFIG), 3, 20))
