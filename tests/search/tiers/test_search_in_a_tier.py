"""The optimiser in a tier of a search space."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.spaces import SMALL_SPACE

from gpunet.latency import Estimator, LayerCosts
from gpunet.search import LaMcts
from gpunet.search.tiers.stratify import stratify


@pytest.mark.slow
def test_every_proposal_lies_in_the_tier_and_none_comes_twice():
    plan = SMALL_SPACE.lookup_plan(num_classes=10)
    estimator = Estimator(plan, LayerCosts({key: 0.002 + key.work().multiply_adds / 2e7 for key in plan.keys()}))  # noqa: SIM118
    middle = float(np.median(estimator.latency_ms(SMALL_SPACE.lattice().draw(500, np.random.default_rng(0)))))
    tier = stratify(SMALL_SPACE, estimator, bounds_ms=(0.7 * middle, middle), count=30_000).tiers[1]

    def worth(vector: np.ndarray) -> float:
        spec = SMALL_SPACE.decode(vector)
        return float(np.log(spec.count_parameters()) - 0.2 * sum(stage.activation == "relu" for stage in spec.stages))

    optimizer = LaMcts(tier, seed=0)
    seen = []
    for _ in range(12):
        for vector in optimizer.ask(3):
            optimizer.tell(vector, None if len(seen) == 4 else worth(vector))
            seen.append(vector)
    assert tier.contains(np.array(seen)).all()
    assert (
        (estimator.latency_ms(np.array(seen)) >= 0.7 * middle) & (estimator.latency_ms(np.array(seen)) < middle)
    ).all()
    assert len({tuple(vector) for vector in SMALL_SPACE.canonical(np.array(seen))}) == 36  # networks, not vectors
    by_chance = max(map(worth, tier.draw(36, np.random.default_rng(1))))
    assert max(map(worth, seen)) >= by_chance
