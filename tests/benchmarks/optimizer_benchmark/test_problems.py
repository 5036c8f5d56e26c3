from __future__ import annotations

import numpy as np
import pytest
from optimizer_benchmark.problems import FUNCTIONS, MixedStudy, ShiftedFunction

from gpunet.errors import InvalidArgumentError


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_shifted_function_is_zero_at_its_best_and_above_elsewhere(name: str):
    for seed in range(3):
        function = ShiftedFunction(name, 8, seed)
        assert function(function.best) == pytest.approx(0, abs=1e-5)
        points = function.domain.draw(200, np.random.default_rng(seed))
        near = np.clip(function.best + 0.01 * (points - function.best), function.domain.low, function.domain.high)
        assert min(function(point) for point in [*points, *near]) > -1e-9


@pytest.mark.parametrize("seed", range(3))
def test_a_mixed_study_is_zero_at_its_best_and_above_elsewhere(seed: int):
    study = MixedStudy(seed)
    assert study.domain.contains(study.best[None]).all()
    assert study(study.best) == pytest.approx(0, abs=1e-9)
    points = study.domain.draw(300, np.random.default_rng(seed))
    around = study.domain.neighbours(study.best, np.random.default_rng(seed))
    assert min(study(point) for point in [*points, *around]) >= 0


def test_the_best_sits_at_no_telling_place():
    unit = [(lambda it: it.domain.encode(it.best[None])[0])(ShiftedFunction("levy", 20, seed)) for seed in range(20)]
    assert 0.1 <= np.min(unit) < 0.15
    assert 0.85 < np.max(unit) <= 0.9
    assert len(np.unique(unit)) == 400


@pytest.mark.parametrize(
    ("name", "dimensions", "text"),
    [("sphere", 3, "no function 'sphere'"), ("hartmann6", 5, "hartmann6 has 6 dimensions, more than the 5")],
)
def test_what_is_no_problem_is_refused(name: str, dimensions: int, text: str):
    with pytest.raises(InvalidArgumentError, match=text):
        ShiftedFunction(name, dimensions, 0)
