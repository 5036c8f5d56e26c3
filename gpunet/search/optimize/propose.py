"""From a model and a partition to the points to evaluate next: one at a time, or many by draws of the posterior.

taken    `m x dimensions` points proposed in this batch already
is_new   points -> which of them may be proposed at all
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gpunet.search.optimize.acquisition import LogImprovement, promises
from gpunet.search.optimize.domain import Domain
from gpunet.search.optimize.features import Features
from gpunet.search.optimize.finite.lattice import DigitRegion, changed, in_lattice
from gpunet.search.optimize.finite.steps import by_steps, candidates
from gpunet.search.optimize.maximize import Region, candidates_in, in_box
from gpunet.search.optimize.mixed import Mixed, in_mixed
from gpunet.search.optimize.partition import PartitionTree
from gpunet.search.optimize.surrogate import Surrogate

WHOLE = 2.0  # the side of a trust region that holds all, wherever its centre is
CENTERS = 10  # best samples around which to look
CHANGED = 150  # changes of each of them that are candidates of a draw on a lattice
DRAWN = 1000  # candidates of a draw
DIGITS_PER_SIDE = (
    0.25  # of the digits may differ in a lattice's trust region of side 1: two random points in such a box
)
NEAREST = 48  # new points of a list that are its trust region
_SAME = 1e-9  # points of a box nearer than this, in the unit cube, are one


@dataclass(frozen=True)
class Proposer:
    """Seeks points in the leaf that a tree selects.

    Attributes:
        domain, features: where, and how the model sees it.
        listed: all points of the domain, if they are few enough to be scored.
        points: `n x dimensions` samples told.
        at: their features.
        z: how good they are, as the model is told it; where constraints are learned, those that break one come last.
        goal: the z to improve on; minus infinity if there is none.
        tree: the partition of them.
        generator: of everything random.
        is_new: see the module.
    """

    domain: Domain
    features: Features
    listed: np.ndarray | None
    points: np.ndarray
    at: np.ndarray
    z: np.ndarray
    goal: float
    tree: PartitionTree
    generator: np.random.Generator
    is_new: Callable[[np.ndarray], np.ndarray]

    def best(self, surrogate: Surrogate, side: float, taken: np.ndarray) -> np.ndarray | None:
        """The point of the greatest expected improvement, `1 x dimensions`; None if no new one was found.

        Args:
            surrogate: the model, as of the evaluations under way.
            side: of the trust region around the leaf's best sample, as a part of the domain; WHOLE for all of the leaf.
            taken: see the module.
        """
        score = LogImprovement(surrogate, self.goal)
        rows = self._best_rows()
        if self.domain.finite:
            if self.listed is None and self.domain.choices is not None:
                found = self._in_lattice(surrogate, score, rows, side, taken)
            elif self.listed is None:
                found = self._stepped(score, rows, taken)
            else:
                center = None if side >= WHOLE else self.at[rows[0]]
                found = self._listed_best(self.listed, score, taken, center)
            return None if found is None else found[None]
        if isinstance(self.domain, Mixed):
            repeats = self.domain.repeats
            row = in_mixed(
                self.domain,
                score,
                self._region(rows, side),
                lambda row: repeats or self._is_apart(row[None], taken),
                self.generator,
            )
            return None if row is None else row[None]
        unit = in_box(score, self._region(rows, side), self.generator)
        found = self.domain.decode(unit[None])
        return found if self._is_apart(found, taken) else None

    def drawn(self, surrogate: Surrogate, n: int, side: float, taken: np.ndarray) -> np.ndarray:
        """At most n points, each the best by another draw of the posterior (Thompson sampling), no two the same."""
        rows = self._best_rows()
        if not self.domain.finite:
            units = [candidates_in(self._region(rows, each), self.generator) for each in (side, WHOLE)]
            rows_of_cube = np.concatenate(units)
            if isinstance(self.domain, Mixed):
                rows_of_cube = self.domain.decode(rows_of_cube)
            found = self.domain.decode(self._distinct(rows_of_cube, taken)[:DRAWN])
        else:
            found = self.listed if self.listed is not None else self._around(rows)
            found = found[self._new(found, taken)]
            if len(found) > DRAWN:
                score = LogImprovement(surrogate, self.goal)
                found = found[np.argsort(-score(self.features(found)), kind="stable")[:DRAWN]]
        count = min(n, len(found))
        if not count:
            return found
        worth = promises(surrogate, self.features(found), count, self.generator)
        picked: list[int] = []
        for draw in worth:
            draw[picked] = -np.inf
            picked.append(int(draw.argmax()))
        return found[picked]

    def _best_rows(self) -> np.ndarray:
        """The best samples of the selected leaf; of all, if it has none."""
        rows = self.tree.select().rows
        rows = rows if len(rows) else np.arange(len(self.z))
        return rows[np.argsort(-self.z[rows], kind="stable")][:CENTERS]

    def _region(self, rows: np.ndarray, side: float) -> Region:
        center = self.at[rows[0]]
        low, high = np.clip(center - side / 2, 0, 1), np.clip(center + side / 2, 0, 1)
        leaf = self.tree.select()
        if isinstance(self.domain, Mixed):  # what has no order has no near and far
            low, high = np.where(self.domain.unordered, 0, low), np.where(self.domain.unordered, 1, high)
            return Region(low, high, lambda points: self.tree.inside(leaf, self.features.spread(points)), self.at[rows])
        return Region(low, high, lambda features: self.tree.inside(leaf, features), self.at[rows])

    def _new(self, points: np.ndarray, taken: np.ndarray) -> np.ndarray:
        return self.is_new(np.concatenate([taken, points]))[len(taken) :]

    def _distinct(self, units: np.ndarray, taken: np.ndarray) -> np.ndarray:
        """The first of equal rows of the unit cube, less those told or taken: some candidates are samples unchanged."""
        known = np.concatenate([self.at, self.features(taken)])
        _, first = np.unique(np.concatenate([known, units]), axis=0, return_index=True)
        return units[np.sort(first[first >= len(known)]) - len(known)]

    def _is_apart(self, found: np.ndarray, taken: np.ndarray) -> bool:
        others = self.domain.encode(np.concatenate([self.points, taken]))
        return bool(np.abs(others - self.domain.encode(found)).max(axis=1).min() > _SAME)

    def _listed_best(
        self, listed: np.ndarray, score: LogImprovement, taken: np.ndarray, center: np.ndarray | None
    ) -> np.ndarray | None:
        """The best of the new points in the leaf; of the nearest to a centre alone, if one is given."""
        left = listed[self._new(listed, taken)]
        features = self.features(left)
        inside = self.tree.inside(self.tree.select(), self.features.spread(left))
        if inside.any():
            left, features = left[inside], features[inside]
        if center is not None and len(left) > NEAREST:
            away = np.where(self.features.unordered, features != center, np.abs(features - center)).sum(axis=1)
            near = np.argsort(away, kind="stable")[:NEAREST]
            left, features = left[near], features[near]
        return left[int(score(features).argmax())] if len(left) else None

    def _in_lattice(
        self, surrogate: Surrogate, score: LogImprovement, rows: np.ndarray, side: float, taken: np.ndarray
    ) -> np.ndarray | None:
        leaf, digits = self.tree.select(), ~self.features.derived
        region = None
        if side < WHOLE:
            weights = surrogate.effects[digits]
            weights = weights / weights.mean()
            radius = DIGITS_PER_SIDE * side * len(weights)
            region = DigitRegion(self.at[rows[0], digits], weights, self.features.unordered[digits], radius)

        def judge(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            if region is not None:
                points = points[region(self.domain.encode(points))]
            if not len(points):
                return points, np.zeros(0)
            features = self.features(points)
            kept = self.tree.inside(leaf, self.features.spread_of(features))
            return points[kept], score(features[kept]) if kept.any() else np.zeros(0)

        return in_lattice(
            self.domain, judge, lambda points: self._new(points, taken), self.points[rows], self.generator
        )

    def _stepped(self, score: LogImprovement, rows: np.ndarray, taken: np.ndarray) -> np.ndarray | None:
        leaf = self.tree.select()
        return by_steps(
            self.domain,
            lambda points: score(self.features(points)),
            lambda points: self._new(points, taken) & self.tree.inside(leaf, self.features.spread(points)),
            self.points[rows],
            self.generator,
        )

    def _around(self, rows: np.ndarray) -> np.ndarray:
        found = candidates(self.domain, self.points[rows], self.generator)
        if self.domain.choices is None:
            return found
        # In a tier a point has few neighbours: most changes of one digit lead outside.
        return np.unique(
            np.concatenate([found, changed(self.domain, self.points[rows], CHANGED, self.generator)]), axis=0
        )
