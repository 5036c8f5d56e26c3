"""Score what is deployed: PyTorch models, and ONNX, OpenVINO and engine files, by one loader.

What is scored is a function from images to logits; accuracy, the table of classes and the confusions come from one
matrix of counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from gpunet.errors import DataError
from gpunet.model.preprocessing import evaluation_transform
from gpunet.train.data.datasets import ImageData
from gpunet.train.data.loader import Unreadable, evaluation_loader
from gpunet.train.data.unreadable import UnreadableImages
from gpunet.train.evaluation.counts import TOP

if TYPE_CHECKING:
    from torch import nn

    from gpunet.runtime import Session

Runner = Callable[[np.ndarray], np.ndarray]
"""`n x C x H x W` float32 images -> `n x classes` logits; n may be anything up to the batch size."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a network made of labelled images.

    Args:
        confusion: `classes x classes` counts: rows are the true classes, columns the answers.
        right_of_five: n of each true class whose class was among the first five answers.
        classes: names, where they are known.
        data: what the images are of.
        run_s: seconds in the network alone.
        total_s: with reading and preparing the images.
        unreadable: images that could not be read, and why; they are not counted.
    """

    confusion: np.ndarray
    right_of_five: np.ndarray
    classes: tuple[str, ...] | None
    data: str
    run_s: float
    total_s: float
    unreadable: tuple[Unreadable, ...] = ()

    @cached_property
    def images(self) -> int:
        """How many were scored."""
        return int(self.confusion.sum())

    @property
    def top1_percent(self) -> float:
        """Of all images."""
        return float(100 * np.trace(self.confusion) / self.images)

    @property
    def top5_percent(self) -> float | None:
        """Of all images; None for fewer than 6 classes."""
        return None if len(self.confusion) <= TOP else float(100 * self.right_of_five.sum() / self.images)

    @property
    def run_images_per_s(self) -> float:
        """Throughput of the network alone."""
        return self.images / self.run_s

    @property
    def images_per_s(self) -> float:
        """Throughput with reading and preparing the images."""
        return self.images / self.total_s

    def name(self, number: int) -> str:
        """A class's name, else its number."""
        return str(number) if self.classes is None else self.classes[number]

    def class_rows(self) -> list[dict[str, Any]]:
        """Of each class that has images: its name, images, top-1 (recall) and precision in percent; worst first."""
        answered, rows = self.confusion.sum(axis=0), []
        for number in np.flatnonzero(self.confusion.sum(axis=1)).tolist():
            count, right = int(self.confusion[number].sum()), int(self.confusion[number, number])
            rows.append(
                {
                    "class": self.name(number),
                    "images": count,
                    "top1_percent": 100 * right / count,
                    "precision_percent": 100 * right / int(answered[number]) if answered[number] else None,
                }
            )
        return sorted(rows, key=lambda row: row["top1_percent"])

    def confusion_pairs(self, most: int = 10) -> list[dict[str, Any]]:
        """The commonest mistakes: true class, answer, how often, and in percent of the true class."""
        wrong = self.confusion.copy()
        np.fill_diagonal(wrong, 0)
        order = np.argsort(-wrong, axis=None, kind="stable")[:most]
        pairs = []
        for true, answer in (divmod(int(place), len(wrong)) for place in order):
            if wrong[true, answer]:
                share = 100 * int(wrong[true, answer]) / int(self.confusion[true].sum())
                pairs.append({"class": self.name(true), "taken_for": self.name(answer),
                              "images": int(wrong[true, answer]), "percent_of_class": share})  # fmt: skip
        return pairs

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "data": self.data, "images": self.images, "top1_percent": self.top1_percent,
            "top5_percent": self.top5_percent, "network_images_per_s": self.run_images_per_s,
            "images_per_s": self.images_per_s, "classes": self.class_rows(), "confusions": self.confusion_pairs(),
            "unreadable": [list(each) for each in self.unreadable],
        }  # fmt: skip


def evaluate(
    run: Runner,
    data: ImageData,
    config: dict[str, Any],
    num_classes: int,
    *,
    batch_size: int = 32,
    workers: int = 0,
    max_unreadable: int = 10,
    classes: Sequence[str] | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> Evaluation:
    """Score a network on every image once.

    Args:
        run: the network.
        data: labelled images.
        config: how the network takes images; see `gpunet.model.preprocessing.image_config`.
        num_classes: columns of its logits.
        batch_size: images a run, at most.
        workers: processes that prepare images.
        max_unreadable: images that may be unreadable before it is an error.
        classes: names of the network's classes, checked against the data's.
        on_progress: told how many images are done.

    Raises:
        DataError: (a ValueError) the data has other classes, no labelled image, or too many unreadable ones.
    """
    data = data.for_model(num_classes, classes)
    loader = evaluation_loader(data, evaluation_transform(config), num_classes, batch_size, workers=workers)
    confusion = np.zeros((num_classes, num_classes), np.int64)
    of_five = np.zeros(num_classes, np.int64)
    unreadable = UnreadableImages(max_unreadable)
    began_s, run_s, done = time.perf_counter(), 0.0, 0
    for batch in loader:
        unreadable.note(batch.unreadable)
        labelled = (batch.targets >= 0).numpy()
        if not labelled.any():
            continue
        images, targets = batch.images.numpy()[labelled], batch.targets.numpy()[labelled]
        started_s = time.perf_counter()
        logits = run(images)
        run_s += time.perf_counter() - started_s
        if logits.shape != (len(images), num_classes):
            raise DataError(
                f"the network gave {' x '.join(map(str, logits.shape))} values for {len(images)} images, not "
                f"{len(images)} x {num_classes}."
            )
        order = np.argsort(-logits, axis=1, kind="stable")
        np.add.at(confusion, (targets, order[:, 0]), 1)
        np.add.at(of_five, targets, (order[:, :TOP] == targets[:, None]).any(axis=1))
        done += len(images)
        if on_progress is not None:
            on_progress(done)
    if not done:
        raise DataError(f"{data.name} holds no labelled image that can be read.")
    names = tuple(classes) if classes is not None else data.classes if data.numbers is None else None
    return Evaluation(
        confusion, of_five, names, data.name, run_s, time.perf_counter() - began_s, unreadable.all
    )  # fmt: skip


def runner_from_model(model: nn.Module, *, device: str | None = None, channels_last: bool = False) -> Runner:
    """A PyTorch model in evaluation mode as a function of arrays.

    Raises:
        TrainingError: there is no such device here.
    """
    import torch

    from gpunet.train.processes import device_named

    chosen = device_named(device)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    model = model.eval().to(chosen).to(memory_format=layout)

    def run(images: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            logits = model(torch.from_numpy(images).to(chosen).contiguous(memory_format=layout))
        result: np.ndarray = logits.float().cpu().numpy()
        return result

    return run


def runner_from_session(session: Session) -> tuple[Runner, int | None]:
    """A loaded file as a function of arrays, and the batch size that it fixes (None for any).

    A batch that is larger than the file takes is cut; one that is smaller is filled up with its last image, whose
    answers are dropped.
    """
    fixed = session.input_shape[0]
    # Engines and OpenVINO say between what sizes an open batch may be.
    limits: tuple[int, ...] | None = getattr(session, "batch", None) if fixed is None else (fixed, fixed)

    def run(images: np.ndarray) -> np.ndarray:
        images = np.ascontiguousarray(images)
        if limits is None:
            return session.run(images)
        parts = []
        for start in range(0, len(images), limits[-1]):
            part = images[start : start + limits[-1]]
            filled = np.concatenate([part, np.repeat(part[-1:], max(0, limits[0] - len(part)), axis=0)])
            parts.append(session.run(filled)[: len(part)])
        return np.concatenate(parts)

    return run, fixed
