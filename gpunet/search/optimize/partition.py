"""The partition tree of LA-MCTS (Wang, Fonseca, Tian, NeurIPS 2020, section 3): space cut into good and bad parts.

A node's samples are clustered in two by 2-means on (x, f(x)); the cluster of the higher mean value is the good one, and
a support vector machine learns the boundary between the two. Each side is cut again until it is small or cannot be cut.
A region is what lies on its side of every boundary above it. UCB walks from the root to the leaf to sample next:

    ucb(child) = mean(child) + 2 * Cp * sqrt(2 * ln n(parent) / n(child))

with values replaced by their ranks, scaled to the range 0 to 1: Cp, the `exploration`, is a fraction of the range.

    X   features, `n x m`        v   values, higher is better        n(node)   its samples
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gpunet.core.files import require

LEAF_SIZE = 20  # samples that a leaf holds before it is cut
MAX_DEPTH = 12  # degenerate cuts of one sample each would go as deep as there are samples


@dataclass(eq=False)
class Node:
    """A region and the samples in it.

    Attributes:
        rows: row numbers of its samples.
        mean: their mean rank, the worst of the whole tree at 0 and the best at 1; 0 where it has none.
        boundary: the classifier that sends a sample to the good child (1) or the bad one (0); None for a leaf.
    """

    rows: np.ndarray
    depth: int = 0
    parent: Node | None = None
    mean: float = 0.0
    boundary: Any = None
    children: tuple[Node, Node] | None = None  # good, bad

    @property
    def is_good(self) -> bool:
        """Whether it is its parent's good side; the root is."""
        return self.parent is None or self.parent.children is None or self.parent.children[0] is self

    def path(self) -> list[Node]:
        """The nodes from the root to this one."""
        above = self.parent.path() if self.parent is not None else []
        return [*above, self]


@dataclass
class PartitionTree:
    """Learns the regions of `features` by their `values`; `update` adds samples without moving a boundary.

    Args:
        features: `n x m`.
        values: n, higher is better; values that are not finite count as the worst of the others.
        leaf_size: nodes of more samples are cut.
        exploration: Cp, as a fraction of the range of the values.
        seed: of 2-means.

    Raises:
        MissingDependencyError: scikit-learn is not installed.
    """

    features: np.ndarray
    values: np.ndarray
    leaf_size: int = LEAF_SIZE
    exploration: float = 0.1
    seed: int = 0
    root: Node = field(init=False)

    def __post_init__(self) -> None:
        self._scaled = _scaled(self.values)
        self.root = Node(np.arange(len(self.features)))
        waiting = [self.root]
        while waiting:
            node = waiting.pop()
            self._set_mean(node)
            if len(node.rows) > self.leaf_size and node.depth < MAX_DEPTH and self._cut(node):
                waiting.extend(node.children or ())

    def update(self, features: np.ndarray, values: np.ndarray) -> None:
        """Put these samples, old and new, in place of the present ones; the regions stay."""
        self.features, self.values, self._scaled = features, values, _scaled(values)
        self.root.rows = np.arange(len(features))
        for node in self.nodes():
            self._set_mean(node)
            if node.children is not None:
                good = node.boundary.predict(features[node.rows]) == 1 if len(node.rows) else np.zeros(0, dtype=bool)
                node.children[0].rows, node.children[1].rows = node.rows[good], node.rows[~good]

    def nodes(self) -> Iterator[Node]:
        """All nodes, parents before children, good before bad."""
        waiting = [self.root]
        while waiting:
            node = waiting.pop()
            yield node
            if node.children is not None:
                waiting.extend(reversed(node.children))

    def leaves(self) -> list[Node]:
        """The leaves, the good sides first."""
        return [node for node in self.nodes() if node.children is None]

    def select(self) -> Node:
        """The leaf that UCB leads to; ties go to the good side."""
        node = self.root
        while node.children is not None:
            good, bad = node.children
            node = bad if self._ucb(bad, len(node.rows)) > self._ucb(good, len(node.rows)) else good
        return node

    def inside(self, node: Node, features: np.ndarray) -> np.ndarray:
        """Which of these rows lie in the node's region, n bools."""
        remaining = np.arange(len(features))
        steps = node.path()
        for above, below in itertools.pairwise(steps):
            if len(remaining):
                good = above.boundary.predict(features[remaining]) == 1
                remaining = remaining[good == below.is_good]
        found = np.zeros(len(features), dtype=bool)
        found[remaining] = True
        return found

    def leaf_of(self, features: np.ndarray) -> list[Node]:
        """The leaf of each row."""
        found: list[Node] = [self.root] * len(features)
        for leaf in self.leaves():
            for row in np.flatnonzero(self.inside(leaf, features)):
                found[row] = leaf
        return found

    def __str__(self) -> str:
        selected = self.select().path()
        lines = []
        for node in self.nodes():
            side = "all" if node.parent is None else "good" if node.is_good else "bad"
            values = self.values[node.rows]
            finite = values[np.isfinite(values)]
            best = f", best {finite.max():.4g}" if len(finite) else ""
            samples = f"{len(node.rows)} sample{'' if len(node.rows) == 1 else 's'}"
            mark = " <" if node in selected else ""
            lines.append(f"{'  ' * node.depth}{side}: {samples}{best}, mean rank {node.mean:.2f}{mark}")
        return "\n".join(lines)

    def _set_mean(self, node: Node) -> None:
        node.mean = float(self._scaled[node.rows].mean()) if len(node.rows) else 0.0

    def _ucb(self, node: Node, parent_samples: int) -> float:
        if not len(node.rows):
            return math.inf
        return node.mean + 2 * self.exploration * math.sqrt(2 * math.log(parent_samples) / len(node.rows))

    def _cut(self, node: Node) -> bool:
        """Give the node two children, unless its samples do not fall into two parts that can be told apart."""
        features, values = self.features[node.rows], self._scaled[node.rows]
        labels = self._labels(features, values)
        if labels.all() or not labels.any():
            return False
        boundary = require("sklearn.svm", "search", purpose="to learn a partition").SVC(kernel="rbf", C=1.0)
        boundary.fit(features, labels)
        good = boundary.predict(features) == 1
        if good.all() or not good.any() or values[good].mean() <= values[~good].mean():
            return False
        node.boundary = boundary
        node.children = (
            Node(node.rows[good], node.depth + 1, node),
            Node(node.rows[~good], node.depth + 1, node),
        )
        return True

    def _labels(self, features: np.ndarray, values: np.ndarray) -> np.ndarray:
        """1 for the cluster of the higher mean value, 0 for the other."""
        spread = values.std()
        if not spread > 0:
            return np.zeros(len(values), dtype=int)
        # The value weighs as much as all features together, in however many dimensions.
        weight = math.sqrt(max(features.var(axis=0).sum(), 1e-12))
        joined = np.column_stack([features, (values - values.mean()) / spread * weight])
        cluster = require("sklearn.cluster", "search", purpose="to learn a partition")
        # By its starts (the worst and the best sample) it needs no random ones, and puts good and bad apart.
        starts = joined[[values.argmin(), values.argmax()]]
        found = cluster.KMeans(2, init=starts, n_init=1, random_state=self.seed % 2**32).fit_predict(joined)
        if found.all() or not found.any():
            return np.zeros(len(values), dtype=int)
        better = values[found == 1].mean() > values[found == 0].mean()
        return (found == 1).astype(int) if better else (found == 0).astype(int)


def _scaled(values: np.ndarray) -> np.ndarray:
    """Ranks of the values, the worst at 0 and the best at 1, ties at their mean; not finite is as bad as the worst.

    Ranks do not care for a value's magnitude (1e300 beside 1), and a cut does not for its scale.
    """
    finite = np.isfinite(values)
    if not finite.any():
        return np.zeros(len(values))
    known = np.where(finite, values, values[finite].min())
    _, where, counts = np.unique(known, return_inverse=True, return_counts=True)
    if len(counts) == 1:
        return np.zeros(len(values))
    ranks = np.cumsum(counts) - (counts + 1) / 2  # of each distinct value, the mean of its ties
    return ((ranks - ranks[0]) / (ranks[-1] - ranks[0]))[where]
