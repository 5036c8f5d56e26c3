"""What a training run says of itself: each epoch's score, and what it ended with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_DETECTORS = ("ap_percent", "raw_ap_percent", "coco")


@dataclass(frozen=True)
class EpochScore:
    """One epoch.

    Args:
        epoch: from 1.
        epochs: of the whole run.
        train_loss: mean over the epoch's steps.
        learning_rate: at the epoch's end.
        top1_percent, top5_percent: on the validation data, of the averaged weights where there are any; None without
            such data. top5 is None for fewer than 6 classes.
        raw_top1_percent: of the weights themselves, where both are scored; else None.
        loss: cross-entropy on the validation data.
        train_s, evaluation_s: seconds that both took.
        images_per_s: of training.
        ap_percent: of a detector: COCO's AP on the validation data; None for a classifier, and without such data.
        raw_ap_percent: of the weights themselves, where both are scored; else None.
        coco: of a detector: all of COCO's twelve metrics, in percent; None where nothing bears on one.
    """

    epoch: int
    epochs: int
    train_loss: float
    learning_rate: float
    top1_percent: float | None
    top5_percent: float | None
    raw_top1_percent: float | None
    loss: float | None
    train_s: float
    evaluation_s: float
    images_per_s: float
    ap_percent: float | None = None
    raw_ap_percent: float | None = None
    coco: Mapping[str, float | None] | None = None

    @property
    def figure(self) -> float | None:
        """What the best epoch is told by: top-1, or AP; None where nothing is scored."""
        return self.ap_percent if self.top1_percent is None else self.top1_percent

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; what is a detector's is left out of a classifier's."""
        return {name: value for name, value in asdict(self).items() if value is not None or name not in _DETECTORS}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> EpochScore:
        """The score that `to_dict` wrote."""
        return cls(**data)


@dataclass(frozen=True)
class TrainingResult:
    """What a run ended with.

    Args:
        weights: safetensors file of the best epoch's weights (the averaged ones where there are any).
        best: the epoch of the best top-1, or AP; the last where nothing was scored.
        scores: of all epochs.
        stopped_early: the callback ended it.
        unreadable: names of the images that could not be read.
    """

    weights: Path
    best: EpochScore
    scores: tuple[EpochScore, ...]
    stopped_early: bool
    unreadable: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, without the file's place."""
        return {
            "best": self.best.to_dict(), "scores": [each.to_dict() for each in self.scores],
            "stopped_early": self.stopped_early, "unreadable": list(self.unreadable),
        }  # fmt: skip

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], weights: Path) -> TrainingResult:
        """The result that `to_dict` wrote."""
        scores = tuple(EpochScore.from_dict(each) for each in data["scores"])
        best = EpochScore.from_dict(data["best"])
        return cls(weights, best, scores, bool(data["stopped_early"]), tuple(data["unreadable"]))
