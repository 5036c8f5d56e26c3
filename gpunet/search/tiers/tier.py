"""Tier: the networks of a space whose estimated latency lies between two bounds, as a domain of the optimiser.

    n, m        number of points
    d           digits; a point is a canonical vector of choice indices
    inside      low_ms <= estimate < high_ms, by the same sums (`gpunet.latency.lookup`) wherever it is asked

A tier is a subset of a lattice that no formula describes. Every point that it returns has been tested; it comes by them
by rejection where the tier is large, by random walks from known ones where it is rare.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from gpunet.core.arguments import checked_bounds, checked_integer
from gpunet.core.versions import body_of
from gpunet.errors import InvalidArgumentError
from gpunet.latency.lookup import Lookup
from gpunet.latency.terms import checked_vectors
from gpunet.search.optimize.domain import some
from gpunet.search.spaces.space import SearchSpace, rows_of, space_from_dict
from gpunet.search.tiers.network_features import NetworkFeatures

if TYPE_CHECKING:
    from gpunet.latency.terms import LookupPlan

TIER_VERSION = 1
REJECTED = 1 << 15  # points drawn from the whole space before walks take over: 10 ms
REJECTED_EACH = 32  # the same a point that is wanted
SWEEPS = 3  # steps of a walk, a digit


class LatencyEstimates(Protocol):
    """Latencies of a space's networks as sums of look-ups."""

    @property
    def plan(self) -> LookupPlan:
        """The space's."""
        ...

    @property
    def arrays(self) -> Sequence[np.ndarray]:
        """For each term of the plan its latencies in ms, flat in C order."""
        ...


class Tier:
    """The networks of `space` with an estimate of `low_ms` or more and less than `high_ms`.

    Args:
        space: the search space.
        estimator: what decides.
        low_ms, high_ms: the bounds; `math.inf` for no upper one.
        candidates: `m x d` vectors inside, to start from where the tier is too rare to be hit by chance. They are made
            canonical, and of equal ones the first is kept; their order stays.

    Raises:
        InvalidArgumentError: the bounds are not in order, the estimator is of another space, or a candidate is no
            vector of the space or lies outside.
    """

    finite = True
    size = None  # finite, but not counted

    def __init__(
        self, space: SearchSpace, estimator: LatencyEstimates, low_ms: float, high_ms: float, candidates: ArrayLike = ()
    ) -> None:
        low_ms, high_ms = checked_bounds((low_ms, high_ms))
        self.space = space
        self.estimator = estimator
        self.low_ms = low_ms
        self.high_ms = high_ms
        self._lattice = space.lattice()
        self.dimensions = self._lattice.dimensions
        self.choices: tuple[int, ...] = self._lattice.choices
        self.categorical: tuple[bool, ...] = self._lattice.categorical
        self._lookup = lookup_for(space, estimator)
        given = space.canonical(checked_vectors(candidates, self._lookup.plan.digits, "candidates"))
        _, first = np.unique(given, axis=0, return_index=True)
        self.candidates = given[np.sort(first)]
        outside = int((~self._inside(self.candidates)).sum())
        if outside:
            raise InvalidArgumentError(
                f"{outside} of {len(self.candidates)} candidates do not lie in the tier {self.label}.",
                "They were found with another estimator: stratify again with this one.",
            )

    @property
    def label(self) -> str:
        """The bounds in words, e.g. '0.5 to 1 ms'."""
        if self.high_ms == math.inf:
            return f"{self.low_ms:g} ms or more"
        return f"below {self.high_ms:g} ms" if self.low_ms == 0 else f"{self.low_ms:g} to {self.high_ms:g} ms"

    def __repr__(self) -> str:
        return f"<Tier {self.label}, {len(self.candidates)} candidates>"

    def latency_ms(self, points: ArrayLike) -> np.ndarray:
        """Estimates of `n x d` vectors, n float64.

        Raises:
            InvalidArgumentError: a row is no vector of the space.
        """
        return self._lookup.sum_from_vectors(points)

    def features(self, points: ArrayLike) -> np.ndarray:
        """`n x 5` numbers known before training that accuracy depends on; see `network_features`.

        Raises:
            InvalidArgumentError: a row is no vector of the space.
        """
        return self._network_features(points)

    # ---------------------------------------------------------------- Domain

    def draw(self, count: int, generator: np.random.Generator) -> np.ndarray:
        """`count x d` random points inside, repeats allowed.

        Uniform vectors of the space, made canonical, as long as the tier is hit often enough; the rest are ends of
        random walks inside the tier, which start at candidates and at points already found.

        Raises:
            InvalidArgumentError: `count` is no integer of 0 or more, or the tier holds no candidate, and none was
                found.
        """
        count = checked_integer("count", count, 0)
        found: list[np.ndarray] = []
        wanted, left = count, max(REJECTED, REJECTED_EACH * count)
        while wanted > 0 and left > 0:
            tries = self.space.canonical(self._lattice.draw(min(left, REJECTED), generator))
            hits = tries[self._inside(tries)][:wanted]
            found.append(hits)
            wanted -= len(hits)
            left -= len(tries)
        if wanted > 0:
            known = np.concatenate([*found, self.candidates])
            if not len(known):
                raise InvalidArgumentError(
                    f"no network with an estimate {self.label} was found.",
                    "`Strata.range_ms` says from where to where the sampled estimates reach.",
                )
            found.append(self._walked(known[generator.integers(len(known), size=wanted)], generator))
        return np.concatenate([*found, np.empty((0, self.dimensions), np.int64)])

    def contains(self, points: np.ndarray) -> np.ndarray:
        """Which of the `n x d` points are vectors of the space and lie between the bounds; of none, none.

        Raises:
            InvalidArgumentError: rows differ in length.
        """
        points = rows_of(points)
        valid = self.space.contains(points)
        if valid.any():
            valid[valid] = self._inside(points[valid].astype(np.int64))
        return valid

    def neighbours(self, point: np.ndarray, generator: np.random.Generator, count: int | None = None) -> np.ndarray:
        """Other networks inside, one step of the lattice away; a step that changes no network is none.

        Raises:
            InvalidArgumentError: the point is no vector of the space, or `count` no integer of 0 or more.
        """
        count = None if count is None else checked_integer("count", count, 0)
        faults = self.space.faults(point)
        if faults:
            raise InvalidArgumentError(f"not a vector of the space: {'; '.join(faults)}.")
        point = np.asarray(point).astype(np.int64)
        others = self.space.canonical(self._lattice.neighbours(point, generator))
        own = self.space.canonical(point[None])[0]
        others = np.unique(others[(others != own).any(axis=1)], axis=0)
        return some(others[self._inside(others)], count, generator)

    def encode(self, points: np.ndarray) -> np.ndarray:
        """As the lattice does, `n x d` in the unit cube."""
        return self._lattice.encode(points)

    def decode(self, unit: np.ndarray) -> np.ndarray:
        """The nearest points of the lattice; for those that are not inside, one that is, on the way to them.

        The way starts at the nearest candidate and takes over one digit at a time, where that does not lead outside.

        Raises:
            InvalidArgumentError: a point is not inside, and the tier has no candidate.
        """
        wanted = self.space.canonical(self._lattice.decode(np.atleast_2d(unit)))
        outside = ~self._inside(wanted)
        if outside.any():
            if not len(self.candidates):
                raise InvalidArgumentError(
                    f"the tier {self.label} has no candidate to start from.", "Stratify with a larger count."
                )
            wanted[outside] = self._towards(wanted[outside])
        return wanted

    # ------------------------------------------------------------- the inside

    @cached_property
    def _network_features(self) -> NetworkFeatures:
        return NetworkFeatures(self._lookup.plan)

    def _inside(self, vectors: np.ndarray) -> np.ndarray:
        latency_ms = self._lookup.sum_from_vectors(vectors)
        return (latency_ms >= self.low_ms) & (latency_ms < self.high_ms)

    @cached_property
    def _encoded(self) -> np.ndarray:
        return self.encode(self.candidates)

    def _walked(self, points: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Each point after a random walk inside: at each step one digit takes a random choice, if that stays inside."""
        points = points.copy()
        rows, sizes = np.arange(len(points)), np.array(self.choices)
        for _ in range(SWEEPS * self.dimensions):
            moved = points.copy()
            columns = generator.integers(self.dimensions, size=len(points))
            moved[rows, columns] = generator.integers(sizes[columns])
            moved = self.space.canonical(moved)
            stays = self._inside(moved)
            points[stays] = moved[stays]
        return points

    def _towards(self, wanted: np.ndarray) -> np.ndarray:
        """For each wanted point outside, one inside between it and the candidate nearest to it."""
        unit = self.encode(wanted)
        points = np.array([self.candidates[np.square(self._encoded - row).sum(axis=1).argmin()] for row in unit])
        for _ in range(2):  # what one digit's change forbids, a later one's may allow
            for column in np.flatnonzero((points != wanted).any(axis=0)):
                moved = points.copy()
                moved[:, column] = wanted[:, column]
                moved = self.space.canonical(moved)
                stays = self._inside(moved)
                points[stays] = moved[stays]
        return points

    # ------------------------------------------------------------------ JSON

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types: bounds, candidates and the space; not the estimator."""
        return {
            "tier_version": TIER_VERSION,
            "space": self.space.to_dict(),
            "low_ms": self.low_ms,
            "high_ms": None if self.high_ms == math.inf else self.high_ms,
            "candidates": self.candidates.tolist(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], estimator: LatencyEstimates, space: SearchSpace | None = None) -> Tier:
        """The tier that `to_dict` wrote.

        Args:
            data: the dict.
            estimator: that of the same space, with the same latencies.
            space: in place of the one in `data`, where it is of a kind that `space_from_dict` does not know.

        Raises:
            InvalidArgumentError: it is no tier's dict, or not of this estimator.
            SpecError: its space is not valid.
        """
        data = body_of(
            data,
            "tier",
            "tier_version",
            TIER_VERSION,
            keys=("space", "low_ms", "high_ms", "candidates"),
            error=InvalidArgumentError,
        )
        high_ms = math.inf if data["high_ms"] is None else data["high_ms"]
        space = space_from_dict(data["space"]) if space is None else space
        return cls(space, estimator, data["low_ms"], high_ms, data["candidates"])


def lookup_for(space: SearchSpace, estimator: LatencyEstimates) -> Lookup:
    """The estimator's sums.

    Raises:
        InvalidArgumentError: its digits are not those of the space.
    """
    expected = tuple((digit.name, len(digit.values)) for digit in space.digits)
    if tuple(estimator.plan.digits) != expected:
        raise InvalidArgumentError(
            "the estimator is of another space: its digits are not those of this one.",
            "Make the estimator from `space.lookup_plan()`.",
        )
    return Lookup(estimator.plan, estimator.arrays)
