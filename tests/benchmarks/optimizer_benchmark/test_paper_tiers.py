"""Accuracy models of the paper's search space."""

from __future__ import annotations

import numpy as np
import pytest
from optimizer_benchmark import paper_tiers

from gpunet.errors import InvalidArgumentError


@pytest.mark.slow
@pytest.mark.parametrize("model", paper_tiers.MODELS)
def test_nothing_that_is_drawn_is_better_than_the_best(model: str):
    problem = paper_tiers.paper_tier(model, "small", 5)
    points = problem.tier.draw(3000, np.random.default_rng(0))
    regrets = problem.best_percent - problem.top1_percent(points)
    assert regrets.min() > 0.5
    assert 0.5 < regrets.std() < 4
    assert regrets[7] == pytest.approx(problem.regret(points[7]))
    again, other = paper_tiers.paper_tier(model, "small", 5), paper_tiers.paper_tier(model, "small", 6)
    assert again.regret(points[3]) == problem.regret(points[3])
    assert other.regret(points[3]) != problem.regret(points[3])


def test_the_hidden_network_is_the_best_to_the_last_digit():
    problem = paper_tiers.paper_tier("hidden", "small", 3)
    generator = np.random.default_rng([3, paper_tiers.MODELS.index("hidden")])
    best = problem.tier.draw(1, generator)[0]
    assert problem.regret(best) == 0
    around = problem.tier.neighbours(best, generator)
    assert min(problem.regret(point) for point in around) > 0


def test_the_law_of_trained_networks_saturates():
    law = paper_tiers.scaling_law()
    rows = np.log([[0.3, 4, 224], [1, 8, 224], [4, 20, 288], [8, 40, 384]])
    top1 = law(rows)
    assert (np.diff(top1) > 0).all()
    assert 65 < top1[0] < top1[-1] < 90


def test_what_there_is_not_is_refused():
    with pytest.raises(InvalidArgumentError, match="There is no tier 'small' with a model 'other'"):
        paper_tiers.paper_tier("other", "small", 0)
