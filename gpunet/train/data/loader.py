"""Batches of prepared images, in an order and with an augmentation that a resumed run repeats exactly."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, get_worker_info

from gpunet.core.signals import ignore_interrupts
from gpunet.errors import DataError, TrainingError
from gpunet.model.decoding import UNREADABLE, decoded
from gpunet.train.data.datasets import ImageData
from gpunet.train.randomness import IMAGE, ORDER, seed_images, seed_of

MOST_NEIGHBOURS = 50  # images tried in place of one that cannot be read

Unreadable = tuple[str, str]  # name, reason
Sample = tuple[Tensor | None, int, int, list[Unreadable]]  # image, class, index


class Batch(NamedTuple):
    """Images `n x C x H x W` float32, classes n (int64), their indices n, and what could not be read."""

    images: Tensor
    targets: Tensor
    indices: Tensor
    unreadable: list[Unreadable]

    def tensors(self) -> dict[str, Tensor]:
        """All of it by name, to be kept in a file."""
        return {"images": self.images, "targets": self.targets, "indices": self.indices}


@dataclass(frozen=True)
class ProcessPlace:
    """Where a process stands among those that train together."""

    rank: int = 0
    processes: int = 1


class PreparedImages(Dataset[Any]):
    """Images by (epoch, index), prepared by a transform that is seeded by both.

    One that cannot be read gives the next that can in its place, and its name, where `replace` is set; else its name.
    A DataError is given, not raised: a worker could not raise it with its own text.
    """

    def __init__(
        self, data: ImageData, transform: Callable[[Any], Tensor], num_classes: int, seed: int, *, replace: bool
    ) -> None:
        self._data, self._transform, self._num_classes = data, transform, num_classes
        self._seed, self._replace = seed, replace

    def __getitem__(self, place: tuple[int, int]) -> Sample | DataError:
        try:
            return self._sample(*place)
        except DataError as error:
            return error

    def _sample(self, epoch: int, index: int) -> Sample:
        failed: list[Unreadable] = []
        for neighbour in range(min(MOST_NEIGHBOURS, len(self._data)) if self._replace else 1):
            at = (index + neighbour) % len(self._data)
            try:
                image, target = picture(self._data, at)
            except UNREADABLE as error:
                if isinstance(error, DataError):
                    raise
                failed.append((self._data.file(at), f"{type(error).__name__}: {error}"))
                continue
            seed_images(seed_of(self._seed, IMAGE, epoch, at))
            return self._transform(image), checked_target(self._data, target, self._num_classes), at, failed
        if self._replace:
            raise DataError(
                f"{len(failed)} images one after the other cannot be read, from {failed[0][0]} ({failed[0][1]}) on.",
                "Mend or remove them.",
            )
        return None, -1, index, failed


class StreamedImages(IterableDataset[Any]):
    """The same of a stream: an image's place is its worker's number and how many that worker gave before."""

    def __init__(self, data: ImageData, transform: Callable[[Any], Tensor], num_classes: int, seed: int) -> None:
        self._data, self._transform, self._num_classes, self._seed = data, transform, num_classes, seed
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()  # workers may outlive an epoch

    def set_epoch(self, epoch: int) -> None:
        """Take the order, and the augmentation, of an epoch."""
        self._epoch.fill_(epoch)
        if hasattr(self._data.dataset, "set_epoch"):
            self._data.dataset.set_epoch(epoch)

    def __iter__(self) -> Iterator[Sample | DataError]:
        worker = get_worker_info()
        number, epoch = (0 if worker is None else worker.id), int(self._epoch)
        try:
            for position, (image, target) in enumerate(self._data.dataset):
                seed_images(seed_of(self._seed, IMAGE, epoch, number, position))
                yield self._transform(image), checked_target(self._data, target, self._num_classes), position, []
        except DataError as error:
            yield error


def picture(data: ImageData, index: int) -> tuple[Any, Any]:
    """An image, decoded, and its class as the dataset has it.

    Raises:
        UNREADABLE: it is damaged.
    """
    reader = getattr(data.dataset, "reader", None)
    if reader is None:
        image, target = data.dataset[data.row(index)]
        return image, target
    # timm's own reading puts another image silently in the place of one that is damaged.
    file, target = reader[data.row(index)][:2]
    with file:
        return decoded(file, data.dataset.input_img_mode or "RGB"), target


def checked_target(data: ImageData, value: Any, num_classes: int) -> int:
    """A class in the model's numbering.

    Raises:
        DataError: the model has no such class.
    """
    target = data.target(-1 if value is None else int(value))
    if target >= num_classes:
        raise DataError(
            f"{data.name} has the class {target}, but the model has {num_classes} (0 to {num_classes - 1}).",
            "Build the model with as many classes as the data has.",
        )
    return target


def collate(samples: Sequence[Sample | DataError]) -> Batch | DataError:
    """Samples as a batch; those without an image are left out. The first error, where there is one."""
    whole: list[Sample] = []
    for sample in samples:
        if isinstance(sample, DataError):
            return sample
        whole.append(sample)
    given = [sample for sample in whole if sample[0] is not None]
    pictures = [image for image, *_ in whole if image is not None]
    images = torch.stack(pictures) if pictures else torch.empty(0)
    targets, indices = (torch.tensor([sample[k] for sample in given], dtype=torch.int64) for k in (1, 2))
    return Batch(images, targets, indices, [each for sample in whole for each in sample[3]])


class Batches:
    """What a DataLoader gives.

    Raises:
        DataError: what a worker met, as it would be raised here.
        TrainingError: a worker was killed.
    """

    def __init__(self, loader: DataLoader[Any]) -> None:
        self._loader = loader

    def __iter__(self) -> Iterator[Batch]:
        try:
            for batch in self._loader:
                if isinstance(batch, DataError):
                    raise batch
                yield batch
        except RuntimeError as error:
            if not str(error).startswith("DataLoader worker (pid"):
                raise
            raise TrainingError(
                f"a process that prepares images was ended from outside: {error}",
                "Often there is too little memory, or too little shared memory (/dev/shm): fewer --loader-workers. The "
                "same command goes on from the last checkpoint.",
            ) from error


class EpochBatches:
    """A process's batches of an epoch, each a list of (epoch, index), from any step on.

    The images of a step are the same whatever the number of processes; the last, incomplete step is left out, but for
    data that is smaller than one.
    """

    def __init__(self, images: int, batch_size: int, place: ProcessPlace, seed: int, *, fixed: bool) -> None:
        self._images, self._place, self._seed, self._fixed = images, place, seed, fixed
        self._batch = min(batch_size, images // place.processes)
        if self._batch < 1:
            raise DataError(f"{images} images are too few for {place.processes} processes.")
        self.epoch, self.first = 0, 0

    def __len__(self) -> int:
        return self._images // (self._batch * self._place.processes)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        generator = torch.Generator().manual_seed(seed_of(self._seed, ORDER, self.epoch) & (2**63 - 1))
        order = torch.randperm(self._images, generator=generator).tolist()
        step = self._batch * self._place.processes
        epoch = 0 if self._fixed else self.epoch
        for number in range(self.first, len(self)):
            start = number * step + self._place.rank * self._batch
            yield [(epoch, index) for index in order[start : start + self._batch]]


class TrainingLoader:
    """Batches of training images, epoch by epoch.

    Args:
        data: what to train on.
        transform: a PIL image -> `C x H x W`.
        num_classes: of the model.
        batch_size: images a step of one process.
        seed: of order and augmentation.
        place: of this process.
        workers: processes that prepare images; 0 for this one.
        fixed: augment an image the same way in every epoch.
        pin_memory: for a GPU.
    """

    def __init__(
        self,
        data: ImageData,
        transform: Callable[[Any], Tensor],
        num_classes: int,
        batch_size: int,
        *,
        seed: int,
        place: ProcessPlace = ProcessPlace(),
        workers: int = 0,
        fixed: bool = False,
        pin_memory: bool = False,
    ) -> None:
        common: dict[str, Any] = {
            "num_workers": workers,
            "collate_fn": collate,
            "pin_memory": pin_memory,
            "persistent_workers": workers > 0,
            "worker_init_fn": ignore_interrupts,
        }
        self._batches: EpochBatches | None = None
        self._stream: StreamedImages | None = None
        if data.streamed:
            if hasattr(data.dataset, "set_loader_cfg"):
                data.dataset.set_loader_cfg(num_workers=workers)
            self._stream = StreamedImages(data, transform, num_classes, seed)
            self._steps = len(data) // (batch_size * place.processes)
            self._loader = Batches(DataLoader(self._stream, batch_size=batch_size, drop_last=True, **common))
        else:
            prepared = PreparedImages(data, transform, num_classes, seed, replace=True)
            self._batches = EpochBatches(len(data), batch_size, place, seed, fixed=fixed)
            self._steps = len(self._batches)
            self._loader = Batches(DataLoader(prepared, batch_sampler=self._batches, **common))

    def __len__(self) -> int:
        """Batches of an epoch."""
        return self._steps

    def epoch(self, epoch: int, first: int = 0) -> Iterator[Batch]:
        """The batches of an epoch, from batch `first` on."""
        if self._batches is not None:
            self._batches.epoch, self._batches.first = epoch, first
            yield from self._loader
        elif self._stream is not None:
            self._stream.set_epoch(epoch)
            yield from itertools.islice(self._loader, first, self._steps)


class _Share:
    """Every process's own part of the images in order, each image once."""

    def __init__(self, images: int, batch_size: int, place: ProcessPlace) -> None:
        self._images, self._batch_size, self._place = images, batch_size, place

    def __len__(self) -> int:
        mine = len(range(self._place.rank, self._images, self._place.processes))
        return -(-mine // self._batch_size)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        mine = range(self._place.rank, self._images, self._place.processes)
        for start in range(0, len(mine), self._batch_size):
            yield [(0, index) for index in mine[start : start + self._batch_size]]


def evaluation_loader(
    data: ImageData,
    transform: Callable[[Any], Tensor],
    num_classes: int,
    batch_size: int,
    *,
    place: ProcessPlace = ProcessPlace(),
    workers: int = 0,
    pin_memory: bool = False,
) -> Batches:
    """Batches of every image once, in order; one that cannot be read is left out and named."""
    common: dict[str, Any] = {
        "num_workers": workers, "collate_fn": collate, "pin_memory": pin_memory, "worker_init_fn": ignore_interrupts
    }  # fmt: skip
    if data.streamed:
        return Batches(DataLoader(StreamedImages(data, transform, num_classes, 0), batch_size=batch_size, **common))
    prepared = PreparedImages(data, transform, num_classes, 0, replace=False)
    share: Any = _Share(len(data), batch_size, place)
    return Batches(DataLoader(prepared, batch_sampler=share, persistent_workers=workers > 0, **common))
