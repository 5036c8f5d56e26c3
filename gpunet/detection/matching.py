"""Whether two answers of a detector are the same boxes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def matched(
    one: Sequence[np.ndarray], other: Sequence[np.ndarray], *, least_iou: float, most_score: float
) -> tuple[int, float, list[float]]:
    """Pair each box with the best of the other answer: of its label, of that overlap, and of almost its score.

    Args:
        one, other: boxes (`n x 4`), labels (n), scores (n).
        least_iou: least overlap of a pair.
        most_score: largest difference of a pair's scores.

    Returns:
        Pairs, the largest difference of their scores, and the scores of the boxes that are in one answer alone.
    """
    boxes, labels, scores = (np.asarray(each) for each in one)
    free = [*range(len(other[0]))]
    pairs, worst, alone = 0, 0.0, []
    for box, label, score in zip(boxes, labels, scores, strict=True):
        near = [
            (_iou(box, other[0][index]), index) for index in free
            if other[1][index] == label and abs(float(other[2][index]) - float(score)) <= most_score
        ]  # fmt: skip
        overlap, index = max(near, default=(0.0, -1))
        if overlap < least_iou:
            alone.append(float(score))
            continue
        free.remove(index)
        pairs, worst = pairs + 1, max(worst, abs(float(other[2][index]) - float(score)))
    return pairs, worst, [*alone, *(float(other[2][index]) for index in free)]


def _iou(one: np.ndarray, other: np.ndarray) -> float:
    sides = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
    both = float(np.prod(np.clip(sides, 0, None)))
    areas = [float(np.prod(each[2:] - each[:2])) for each in (one, other)]
    return both / max(1e-12, sum(areas) - both)
