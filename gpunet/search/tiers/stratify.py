"""Stratification: millions of networks of a space, drawn evenly and sorted into tiers of latency (paper, section 3.2).

    n, d        points, digits
    chunk       points that are worked on at once, small enough to stay in a processor's caches

Any thread draws, estimates and sorts any chunk; nothing is kept of a point but its part in the counts, unless a
reservoir takes it.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from gpunet.core.arguments import checked_bounds, checked_integer, checked_time
from gpunet.core.machine import available_threads
from gpunet.core.versions import body_of
from gpunet.errors import InvalidArgumentError
from gpunet.latency.lookup import Lookup
from gpunet.latency.terms import array_of
from gpunet.search.spaces.space import SearchSpace, space_from_dict
from gpunet.search.tiers.reservoir import Reservoir
from gpunet.search.tiers.sobol import SobolChunks
from gpunet.search.tiers.tier import LatencyEstimates, Tier, lookup_for

STRATA_VERSION = 1
SAMPLERS = ("sobol", "uniform")
CHUNK = 1 << 14
COVERAGE = 1 << 18  # points whose digits are counted: counting them all would take longer than all the rest
_Item = TypeVar("_Item")
_Done = TypeVar("_Done")
MOST = (1 << 30) - 1  # points of a Sobol sequence, by its 30 bits
MOST_SEED = (1 << 63) - 1  # torch's generators take no more


@dataclass(frozen=True)
class Strata:
    """What a stratification found.

    Args:
        space: the search space.
        bounds_ms: between the tiers.
        tiers: one more than bounds: the first starts at 0, the last has no upper bound.
        counts: points in each tier.
        range_ms: the least and the greatest estimate of all points.
        coverage: for each digit `tiers x choices` counts, of the first 2^18 points.
        count, seed, sampler: what was drawn.
    """

    space: SearchSpace
    bounds_ms: tuple[float, ...]
    tiers: tuple[Tier, ...]
    counts: tuple[int, ...]
    range_ms: tuple[float, float]
    coverage: tuple[np.ndarray, ...]
    count: int
    seed: int
    sampler: str

    def __str__(self) -> str:
        lines = [f"{self.count:,} {self.sampler} points, {self.range_ms[0]:.3g} to {self.range_ms[1]:.3g} ms"]
        lines += [
            f"{tier.label}: {count:,} ({100 * count / self.count:.3g} %), {len(tier.candidates):,} kept"
            for tier, count in zip(self.tiers, self.counts, strict=True)
        ]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; not the estimator."""
        return {
            "strata_version": STRATA_VERSION,
            "space": self.space.to_dict(),
            "bounds_ms": list(self.bounds_ms),
            "candidates": [tier.candidates.tolist() for tier in self.tiers],
            "counts": list(self.counts),
            "range_ms": list(self.range_ms),
            "coverage": [each.tolist() for each in self.coverage],
            "count": self.count,
            "seed": self.seed,
            "sampler": self.sampler,
        }

    @classmethod
    def from_dict(
        cls, data: Mapping[str, Any], estimator: LatencyEstimates, space: SearchSpace | None = None
    ) -> Strata:
        """What `to_dict` wrote; see `Tier.from_dict`.

        Raises:
            InvalidArgumentError: it is no stratification's dict, or not of this estimator.
            SpecError: its space is not valid.
        """
        names = [each.name for each in dataclasses.fields(cls) if each.name != "tiers"]
        data = body_of(
            data,
            "stratification",
            "strata_version",
            STRATA_VERSION,
            keys=[*names, "candidates"],
            error=InvalidArgumentError,
        )
        space = space_from_dict(data["space"]) if space is None else space
        bounds_ms = _between_tiers(data["bounds_ms"])
        tiers = len(bounds_ms) + 1
        for name, length in (
            ("candidates", tiers),
            ("counts", tiers),
            ("range_ms", 2),
            ("coverage", len(space.digits)),
        ):
            if not isinstance(data[name], (list, tuple)) or len(data[name]) != length:
                raise InvalidArgumentError(f"{name} must be a list of {length}, but is {data[name]!r:.60}.")
        least_ms, greatest_ms = (checked_time("range_ms", each) for each in data["range_ms"])
        return cls(
            space,
            bounds_ms,
            _tiers(space, estimator, bounds_ms, data["candidates"]),
            tuple(checked_integer("counts", each, 0) for each in data["counts"]),
            (least_ms, greatest_ms),
            tuple(
                _coverage(digit.name, each, (tiers, len(digit.values)))
                for digit, each in zip(space.digits, data["coverage"], strict=True)
            ),
            checked_integer("count", data["count"], 1, MOST),
            checked_integer("seed", data["seed"], 0, MOST_SEED),
            _checked_sampler(data["sampler"]),
        )


def stratify(
    space: SearchSpace,
    estimator: LatencyEstimates,
    *,
    bounds_ms: Sequence[float] = (0.5, 1.0),
    count: int = 1_000_000,
    seed: int = 0,
    reservoir: int = 1000,
    sampler: str = "sobol",
    threads: int | None = None,
) -> Strata:
    """Draw points over the digits of a space, estimate each, and sort them into tiers.

    Args:
        space: the search space.
        estimator: made from its `lookup_plan`.
        bounds_ms: where a tier ends and the next begins, rising, above 0 and finite; k bounds make k + 1 tiers.
        count: points to draw, at most 2^30 - 1.
        seed: of the scrambling and of the reservoirs, from 0 up; the same seed finds the same, whatever the number of
            threads.
        reservoir: candidates kept a tier, a uniform sample of the vectors drawn, in random order. Vectors that build
            the same network are one candidate, so that fewer may be kept; and networks with empty stages, which
            many vectors build, are likelier to be among them.
        sampler: 'sobol' (scrambled), or 'uniform' to compare with (paper, Fig. 5).
        threads: None for all that the process may use.

    Raises:
        InvalidArgumentError: an argument breaks its rule, or the estimator is of another space.
    """
    bounds, sampler = _between_tiers(bounds_ms), _checked_sampler(sampler)
    count, reservoir = checked_integer("count", count, 1, MOST), checked_integer("reservoir", reservoir, 1, MOST)
    seed = checked_integer("seed", seed, 0, MOST_SEED)
    workers = available_threads() if threads is None else checked_integer("threads", threads, 1, 1024)
    lookup = lookup_for(space, estimator)
    sorter = _Sorter(lookup, _points(sampler, len(space.digits), count, seed), bounds, seed, reservoir)
    for part in _in_order(sorter.sort, range(-(-count // CHUNK)), workers):
        sorter.add(part)
    return Strata(
        space, bounds, _tiers(space, estimator, bounds, [each.rows() for each in sorter.reservoirs]),
        tuple(sorter.counts.tolist()), (sorter.least_ms, sorter.greatest_ms), sorter.coverage(), count, seed, sampler,
    )  # fmt: skip


def _between_tiers(bounds_ms: object) -> tuple[float, ...]:
    """Bounds that leave no tier empty by definition."""
    bounds = checked_bounds(bounds_ms)
    if bounds[0] == 0 or bounds[-1] == math.inf:
        raise InvalidArgumentError(
            f"bounds between tiers must lie above 0 ms and be finite, but are {', '.join(f'{b:g}' for b in bounds)}.",
            "The first tier starts at 0 and the last has no upper bound anyway: leave 0 and inf out.",
        )
    return bounds


def _checked_sampler(sampler: object) -> str:
    if not isinstance(sampler, str) or sampler not in SAMPLERS:
        raise InvalidArgumentError(f"sampler must be one of {', '.join(SAMPLERS)}, but got {sampler!r}.")
    return sampler


def _coverage(digit: str, counts: ArrayLike, shape: tuple[int, int]) -> np.ndarray:
    """A digit's counts as written, `tiers x choices`."""
    array = array_of(counts, f"coverage of {digit}")
    if array.shape != shape or array.dtype.kind not in "iu":
        raise InvalidArgumentError(
            f"coverage of {digit} must be {shape[0]} x {shape[1]} integers, "
            f"but has type {array.dtype} and shape {array.shape}."
        )
    return array.astype(np.int64)


def _tiers(
    space: SearchSpace, estimator: LatencyEstimates, bounds_ms: Sequence[float], candidates: Sequence[ArrayLike]
) -> tuple[Tier, ...]:
    edges = itertools.pairwise([0.0, *bounds_ms, math.inf])
    return tuple(Tier(space, estimator, low, high, each) for (low, high), each in zip(edges, candidates, strict=True))


def _points(sampler: str, dimensions: int, count: int, seed: int) -> Callable[[int], np.ndarray]:
    """Given a chunk's number, its points of the unit cube, float32."""
    sobol = SobolChunks(dimensions, seed, CHUNK) if sampler == "sobol" else None

    def points(number: int) -> np.ndarray:
        size = min(CHUNK, count - number * CHUNK)
        if sobol is not None:
            return sobol.chunk(number, size)
        return np.random.default_rng([seed, number, 1]).random((size, dimensions), np.float32)

    return points


def _in_order(work: Callable[[_Item], _Done], items: Iterable[_Item], threads: int) -> Iterator[_Done]:
    """`map` over threads that takes items no faster than they are worked on."""
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[_Done]] = deque()
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


@dataclass(frozen=True)
class _Part:
    """What a chunk adds."""

    counts: np.ndarray
    least_ms: float
    greatest_ms: float
    offers: list[tuple[np.ndarray, np.ndarray]]
    covered: np.ndarray | None


class _Sorter:
    """Chunks of points into tiers: `sort` may run in several threads at once, `add` in one."""

    def __init__(
        self,
        lookup: Lookup,
        points: Callable[[int], np.ndarray],
        bounds_ms: Sequence[float],
        seed: int,
        reservoir: int,
    ) -> None:
        self.lookup = lookup
        self.points = points
        self.bounds_ms = np.array(bounds_ms)
        self.seed = seed
        self.sizes = [size for _, size in lookup.plan.digits]
        tiers = len(bounds_ms) + 1
        self.reservoirs = [Reservoir(reservoir, len(self.sizes)) for _ in range(tiers)]
        self.counts = np.zeros(tiers, np.int64)
        self.least_ms, self.greatest_ms = math.inf, -math.inf
        # For each tier the choices of all digits, side by side.
        self.covered = np.zeros((tiers, sum(self.sizes)), np.int64)
        self.offsets = np.cumsum([0, *self.sizes[:-1]])

    def sort(self, number: int) -> _Part:
        """Draw and estimate a chunk, and find what it adds."""
        unit = self.points(number)
        latency_ms = self.lookup.sum_from_unit(unit)
        # Tier i holds bounds[i - 1] <= latency < bounds[i].
        tier_of = np.searchsorted(self.bounds_ms, latency_ms, side="right")
        keys = np.random.default_rng([self.seed, number, 0]).random(len(unit))
        offers = []
        for tier, reservoir in enumerate(self.reservoirs):
            chosen = np.flatnonzero((tier_of == tier) & (keys < reservoir.threshold))
            offers.append((self.lookup.vectors_from_unit(unit[chosen]), keys[chosen]))
        covered = None
        if (number + 1) * CHUNK <= COVERAGE:
            places = self.lookup.vectors_from_unit(unit) + self.offsets + self.covered.shape[1] * tier_of[:, None]
            covered = np.bincount(places.ravel(), minlength=self.covered.size).reshape(self.covered.shape)
        counts = np.bincount(tier_of, minlength=len(self.reservoirs))
        return _Part(counts, float(latency_ms.min()), float(latency_ms.max()), offers, covered)

    def add(self, part: _Part) -> None:
        """Add a chunk's part to the whole."""
        self.counts += part.counts
        self.least_ms = min(self.least_ms, part.least_ms)
        self.greatest_ms = max(self.greatest_ms, part.greatest_ms)
        for reservoir, (rows, keys) in zip(self.reservoirs, part.offers, strict=True):
            if len(rows):
                reservoir.offer(rows, keys)
        if part.covered is not None:
            self.covered += part.covered

    def coverage(self) -> tuple[np.ndarray, ...]:
        """Counts for each digit, `tiers x choices`."""
        return tuple(np.split(self.covered, self.offsets[1:], axis=1))
