"""Estimates that need no latency table: a roofline of each layer's work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gpunet.latency.layers.keys import LayerKey
from gpunet.latency.terms import LookupPlan
from gpunet.search.spaces.space import SearchSpace
from gpunet.search.tiers.tier import lookup_for

SAMPLES = 20_000


@dataclass(frozen=True)
class Roofline:
    """An estimator with made-up but plausible latencies."""

    plan: LookupPlan
    arrays: Sequence[np.ndarray]


def roofline_ms(key: LayerKey) -> float:
    """A layer's latency in ms: its operations, multiply-adds and memory, each at a rate."""
    work = key.work()
    return (
        0.002 * work.operations
        + work.multiply_adds / 2e10
        + work.depthwise_multiply_adds / 2e9
        + work.activation_elements / 1e9
    )


def roofline_of(space: SearchSpace, num_classes: int = 10) -> Roofline:
    """Of a space's networks; seconds for the paper's."""
    plan = space.lookup_plan(num_classes=num_classes)
    return Roofline(plan, plan.fill(roofline_ms))


def quantiles_ms(space: SearchSpace, estimator: Roofline, parts: Sequence[float]) -> list[float]:
    """Estimates below which these parts of the space's networks lie."""
    vectors = space.canonical(space.lattice().draw(SAMPLES, np.random.default_rng(0)))
    return np.quantile(lookup_for(space, estimator).sum_from_vectors(vectors), parts).tolist()
