"""Estimators with made-up but plausible latencies: a roofline of each layer's work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from gpunet.latency.layers import LayerKey
from gpunet.latency.terms import LookupPlan
from gpunet.search import PAPER_SPACE, SearchSpace


def roofline_ms(key: LayerKey) -> float:
    work = key.work()
    return (
        0.002 * work.operations
        + work.multiply_adds / 2e10
        + work.depthwise_multiply_adds / 2e9
        + work.activation_elements / 1e9
    )


@dataclass(frozen=True)
class Roofline:
    plan: LookupPlan
    arrays: Sequence[np.ndarray]


def roofline_of(space: SearchSpace) -> Roofline:
    plan = space.lookup_plan(num_classes=10)
    return Roofline(plan, plan.fill(roofline_ms))


@cache
def paper_roofline() -> Roofline:
    """About three seconds."""
    return roofline_of(PAPER_SPACE)
