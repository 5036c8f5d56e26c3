"""Reservoir: a uniform sample of a stream of unknown length, in one pass."""

from __future__ import annotations

import numpy as np


class Reservoir:
    """The rows with the smallest random keys: a uniform sample without replacement, whatever order the rows come in.

    Args:
        size: rows kept.
        dimensions: length of a row.
    """

    def __init__(self, size: int, dimensions: int) -> None:
        self.size = size
        self.threshold = 1.0  # keys at or above it need not be offered
        self._rows = np.empty((0, dimensions), np.int64)
        self._keys = np.empty(0)

    def offer(self, rows: np.ndarray, keys: np.ndarray) -> None:
        """Take rows with their keys, numbers in [0, 1) drawn independently of the rows."""
        self._rows = np.concatenate([self._rows, rows])
        self._keys = np.concatenate([self._keys, keys])
        if len(self._keys) > self.size:
            kept = np.argpartition(self._keys, self.size)[: self.size]
            self._rows, self._keys = self._rows[kept], self._keys[kept]
            self.threshold = float(self._keys.max())

    def rows(self) -> np.ndarray:
        """What was kept, in the order of the keys."""
        return self._rows[np.argsort(self._keys)]
