"""Pictures and boxes as a detector learns from them: scaled, mirrored, in an order that a resumed run repeats."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import ColorJitter
from torchvision.transforms.functional import pil_to_tensor

from gpunet.core.signals import ignore_interrupts
from gpunet.detection.data.coco import CocoData
from gpunet.detection.spec import DetectorSpec
from gpunet.errors import DataError
from gpunet.model.decoding import UNREADABLE, decoded
from gpunet.train.data.loader import MOST_NEIGHBOURS, Batches, EpochBatches, ProcessPlace, Unreadable
from gpunet.train.randomness import IMAGE, seed_images, seed_of
from gpunet.train.recipe import Augmentation


class DetectionBatch(NamedTuple):
    """Pictures to learn from, or to score.

    Args:
        images: `3 x H x W` float32 in [0, 1] each, scaled.
        targets: `boxes` (`n x 4`, px of the scaled picture) and `labels` (n, from 1) of each.
        indices: of the pictures in their data.
        sizes_px: height and width of each before it was scaled.
        unreadable: what could not be read.
    """

    images: list[Tensor]
    targets: list[dict[str, Tensor]]
    indices: Tensor
    sizes_px: list[tuple[int, int]]
    unreadable: list[Unreadable]

    def tensors(self) -> dict[str, Tensor]:
        """All of it by name, to be kept in a file."""
        named = {f"images.{number}": each for number, each in enumerate(self.images)}
        for number, target in enumerate(self.targets):
            named |= {f"{name}.{number}": value for name, value in target.items()}
        return {**named, "indices": self.indices}


class _Sample(NamedTuple):
    image: Tensor | None
    target: dict[str, Tensor]
    at: int
    size_px: tuple[int, int]
    failed: list[Unreadable]


def scaled_size(width_px: int, height_px: int, spec: DetectorSpec) -> tuple[int, int]:
    """Width and height that a picture is scaled to: see `DetectorSpec`. What has it already keeps it."""
    short, long = sorted((width_px, height_px))
    scale = min(spec.short_px / short, spec.long_px / long)
    width, height = (max(1, round(side * scale)) for side in (width_px, height_px))
    return width, height


def scaled_image(picture: Image.Image, spec: DetectorSpec) -> Tensor:
    """A picture, in RGB -> `3 x H x W` float32 in [0, 1], scaled (bilinear, antialiased)."""
    size = scaled_size(*picture.size, spec)
    resized = picture if picture.size == size else picture.resize(size, Image.Resampling.BILINEAR)
    return pil_to_tensor(resized).float() / 255


class PreparedPictures(Dataset[Any]):
    """Pictures by (epoch, index).

    One that cannot be read gives the next that can in its place, and its name, where it is learned from; else its name.
    A DataError is given, not raised: a worker could not raise it with its own text.

    Args:
        data: the pictures.
        spec: of the detector.
        augmentation: of a recipe, to learn from them; None to score.
        seed: of the augmentation.
    """

    def __init__(self, data: CocoData, spec: DetectorSpec, augmentation: Augmentation | None, seed: int) -> None:
        self._data, self._spec, self._seed = data, spec, seed
        self._augmentation = augmentation if augmentation is not None and augmentation.enabled else None
        self._replace = augmentation is not None
        strength = 0.0 if self._augmentation is None else self._augmentation.color_jitter
        self._jitter = ColorJitter(strength, strength, strength) if strength else None

    def __getitem__(self, place: tuple[int, int]) -> _Sample | DataError:
        try:
            return self._sample(*place)
        except DataError as error:
            return error

    def _sample(self, epoch: int, index: int) -> _Sample:
        failed: list[Unreadable] = []
        for neighbour in range(min(MOST_NEIGHBOURS, len(self._data)) if self._replace else 1):
            at = (index + neighbour) % len(self._data)
            file = self._data.pictures[at].file
            try:
                with open(file, "rb") as opened:
                    picture = decoded(opened, "RGB")
            except UNREADABLE as error:
                failed.append((str(file), f"{type(error).__name__}: {error}"))
                continue
            self._check_size(at, picture)
            seed_images(seed_of(self._seed, IMAGE, epoch, at))
            return self._prepared(picture, at, failed)
        if self._replace:
            raise DataError(
                f"{len(failed)} pictures one after the other cannot be read, from {failed[0][0]} ({failed[0][1]}) on.",
                "Mend or remove them.",
            )
        return _Sample(None, {}, index, (0, 0), failed)

    def _check_size(self, index: int, picture: Image.Image) -> None:
        said = self._data.pictures[index]
        known = (said.width_px or picture.width, said.height_px or picture.height)
        if known != picture.size:
            raise DataError(
                f"{said.file} is {picture.width} x {picture.height} px, but {self._data.name} has it as "
                f"{known[0]} x {known[1]}: its boxes are of another picture.",
                "Mend the annotations, or the picture.",
            )

    def _prepared(self, picture: Image.Image, index: int, failed: list[Unreadable]) -> _Sample:
        width, height = picture.size
        boxes, labels = self._data.learnable(index, width, height)
        given = self._augmentation
        if given is not None:
            if float(torch.rand(())) < given.horizontal_flip:
                picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
                boxes = np.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], axis=1)
            if float(torch.rand(())) < given.vertical_flip:
                picture = picture.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
                boxes = np.stack([boxes[:, 0], height - boxes[:, 3], boxes[:, 2], height - boxes[:, 1]], axis=1)
            if self._jitter is not None:
                picture = self._jitter(picture)
        image = scaled_image(picture, self._spec)
        across, down = image.shape[2] / width, image.shape[1] / height
        scaled = torch.from_numpy(boxes * np.array([across, down, across, down], np.float32))
        target = {"boxes": scaled, "labels": torch.from_numpy(labels)}
        return _Sample(image, target, index, (height, width), failed)


def _collate(samples: Sequence[_Sample | DataError]) -> DetectionBatch | DataError:
    whole: list[_Sample] = []
    for sample in samples:
        if isinstance(sample, DataError):
            return sample
        whole.append(sample)
    given = [(sample, sample.image) for sample in whole if sample.image is not None]
    return DetectionBatch(
        [image for _, image in given], [sample.target for sample, _ in given],
        torch.tensor([sample.at for sample, _ in given], dtype=torch.int64),
        [sample.size_px for sample, _ in given], [each for sample in whole for each in sample.failed],
    )  # fmt: skip


class DetectionLoader:
    """Batches of pictures to learn from, epoch by epoch: what a run asks of a loader.

    Args:
        data, spec: what is learned from, and by what.
        augmentation: of the recipe.
        batch_size: pictures a step of one process.
        seed: of order and augmentation.
        place: of this process.
        workers: processes that prepare pictures; 0 for this one.
    """

    def __init__(
        self, data: CocoData, spec: DetectorSpec, augmentation: Augmentation, batch_size: int, *, seed: int,
        place: ProcessPlace, workers: int,
    ) -> None:  # fmt: skip
        fixed = augmentation.fixed or not augmentation.enabled
        self._batches = EpochBatches(len(data), batch_size, place, seed, fixed=fixed)
        prepared = PreparedPictures(data, spec, augmentation, seed)
        self._loader = Batches(
            DataLoader(prepared, batch_sampler=self._batches, num_workers=workers, collate_fn=_collate,
                       persistent_workers=workers > 0, worker_init_fn=ignore_interrupts)
        )  # fmt: skip

    def __len__(self) -> int:
        """Batches of an epoch."""
        return len(self._batches)

    def epoch(self, epoch: int, first: int = 0) -> Iterator[Any]:
        """The batches of an epoch, from batch `first` on."""
        self._batches.epoch, self._batches.first = epoch, first
        yield from self._loader


def scoring_batches(
    data: CocoData, spec: DetectorSpec, batch_size: int, *, place: ProcessPlace, workers: int
) -> tuple[Iterable[DetectionBatch], int]:
    """A process's share of the pictures, each once, in order; and how many batches every process has at least."""
    mine = range(place.rank, len(data), place.processes)
    lists: Any = [[(0, index) for index in mine[at : at + batch_size]] for at in range(0, len(mine), batch_size)]
    prepared = PreparedPictures(data, spec, None, 0)
    loader = DataLoader(
        prepared, batch_sampler=lists, num_workers=workers, collate_fn=_collate, worker_init_fn=ignore_interrupts
    )
    return cast(Iterable[DetectionBatch], Batches(loader)), -(-(len(data) // place.processes) // batch_size)
