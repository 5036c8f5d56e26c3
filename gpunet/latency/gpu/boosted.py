"""Gradient-boosted regression trees as arrays: evaluated by numpy, fitted elsewhere, kept as a file of the package."""

from __future__ import annotations

import functools
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gpunet.core.files import atomic_path

_CHUNK = 4_096  # rows evaluated at once: rows x trees stay within the caches


@dataclass(frozen=True)
class BoostedTrees:
    """A sum of trees over a baseline.

    Args:
        baseline: what every prediction begins with.
        roots: of each tree the place of its first node, `t`.
        feature, threshold: of each node, what it compares; it goes left where the feature is at most the threshold.
        left, right: places of a node's children; of a leaf its own.
        value: of a leaf; 0 of other nodes.
        depth: of the deepest tree.
    """

    baseline: float
    roots: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    value: np.ndarray
    depth: int

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Of `n x f` features, `n`."""
        parts = [self._predict(features[at : at + _CHUNK]) for at in range(0, len(features), _CHUNK)]
        return np.concatenate(parts) if parts else np.zeros(0)

    def _predict(self, features: np.ndarray) -> np.ndarray:
        rows = np.arange(len(features))[:, None]
        places = np.broadcast_to(self.roots, (len(features), len(self.roots)))
        for _ in range(self.depth):
            goes_left = features[rows, self.feature[places]] <= self.threshold[places]
            places = np.where(goes_left, self.left[places], self.right[places])
        return self.baseline + self.value[places].sum(axis=1)


def write_trees(path: Path, models: dict[str, BoostedTrees]) -> None:
    """Write models by name into one file, atomically."""
    arrays: dict[str, Any] = {}
    for name, each in models.items():
        own = np.arange(len(each.feature))
        arrays[f"{name}.about"] = np.array([each.baseline, each.depth], float)
        arrays[f"{name}.roots"] = each.roots.astype(np.uint32)
        arrays[f"{name}.feature"] = each.feature.astype(np.uint8)
        arrays[f"{name}.threshold"] = each.threshold.astype(np.float32)
        arrays[f"{name}.left"] = (each.left - own).astype(np.uint16)  # children lie behind their parent, near it
        arrays[f"{name}.right"] = (each.right - own).astype(np.uint16)
        arrays[f"{name}.value"] = each.value.astype(np.float32)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    with atomic_path(path) as part:
        part.write_bytes(buffer.getvalue())


@functools.cache
def read_trees(path: Path) -> dict[str, BoostedTrees]:
    """What `write_trees` wrote."""
    with np.load(path, allow_pickle=False) as file:
        found = {}
        for name in sorted({key.partition(".")[0] for key in file.files}):
            feature = file[f"{name}.feature"].astype(np.int64)
            own = np.arange(len(feature))
            baseline, depth = file[f"{name}.about"]
            found[name] = BoostedTrees(
                float(baseline), file[f"{name}.roots"].astype(np.int64), feature,
                file[f"{name}.threshold"].astype(float), own + file[f"{name}.left"], own + file[f"{name}.right"],
                file[f"{name}.value"].astype(float), int(depth),
            )  # fmt: skip
        return found
