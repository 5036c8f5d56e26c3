"""What is known before a search guides it as far as it is borne out."""

from __future__ import annotations

import json

import numpy as np
import pytest

from gpunet.errors import InvalidArgumentError
from gpunet.search import Box, LaMcts, Lattice, Pool

DOMAIN = Lattice([6] * 10)
BEST = np.array([1, 4, 2, 5, 0, 3, 3, 1, 4, 2])


def value(points: np.ndarray) -> np.ndarray:
    return 70 - np.abs(np.atleast_2d(points) - BEST).sum(axis=1)


def best_of(optimizer: LaMcts, evaluations: int = 14) -> float:
    for _ in range(evaluations):
        point = optimizer.ask()[0]
        optimizer.tell(point, float(value(point)[0]))
    return optimizer.best[1]


def known(seed: int) -> tuple[np.ndarray, np.ndarray]:
    points = DOMAIN.draw(60, np.random.default_rng(seed))
    noise = np.random.default_rng(seed + 100).standard_normal(60)
    return points, 0.01 * value(points) + 5 + 0.002 * noise  # another scale, another offset, noise


def test_a_source_that_is_right_helps_from_the_first_point():
    with_source, without = [], []
    for seed in range(3):
        optimizer = LaMcts(DOMAIN, seed=seed)
        optimizer.warm_start(*known(seed))
        with_source.append(best_of(optimizer))
        without.append(best_of(LaMcts(DOMAIN, seed=seed)))
    assert np.mean(with_source) > np.mean(without) + 1


def test_a_source_that_is_wrong_is_overcome():
    by_chance = value(DOMAIN.draw(30, np.random.default_rng(7))).max()
    found = []
    for seed in range(2):
        points, values = known(seed)
        optimizer = LaMcts(DOMAIN, seed=seed)
        optimizer.warm_start(points, -values)
        found.append(best_of(optimizer, 30))
    assert np.mean(found) > by_chance


def test_it_is_resumed_and_turns_with_the_direction():
    up, down = LaMcts(DOMAIN, seed=1), LaMcts(DOMAIN, seed=1, maximize=False)
    points, values = known(1)
    up.warm_start(points, values)
    down.warm_start(points, -values)
    assert np.array_equal(up.ask(3), down.ask(3))
    for point in up.pending:
        up.tell(point, float(value(point)[0]))
    resumed = LaMcts(DOMAIN, seed=1)
    resumed.load_state_dict(json.loads(json.dumps(up.state_dict())))
    assert resumed.state_dict() == up.state_dict()
    assert np.array_equal(resumed.ask(8), up.ask(8))


def test_two_sources_in_a_pool():
    vectors = np.random.default_rng(0).random((80, 3))
    optimizer = LaMcts(Pool(vectors), seed=0, initial=4)
    optimizer.warm_start(vectors[:30] + 0.01, vectors[:30, 0])
    optimizer.warm_start(vectors[40:60], vectors[40:60, 1])
    for _ in range(8):
        point = optimizer.ask()[0]
        optimizer.tell(point, float(point[0] + point[1]))
    assert optimizer.best[1] > np.quantile(vectors[:, 0] + vectors[:, 1], 0.95)


@pytest.mark.parametrize(
    ("act", "text"),
    [
        (lambda it: it.warm_start([[0] * 10] * 3, [1, 2, 3]), "4 at least, but have shapes"),
        (lambda it: it.warm_start([[0] * 9] * 5, [1] * 5), "points must be n x 10 with n finite values"),
        (lambda it: it.warm_start([[0] * 10] * 5, [1, 2, 3, 4, float("nan")]), "with n finite values"),
        (lambda it: it.warm_start([["a"] * 10] * 5, [1] * 5), "points must be numbers"),
        (lambda it: (it.ask(), it.warm_start([[0] * 10] * 5, [1] * 5)), "before its first point, but this one has"),
        (lambda it: LaMcts(Box([0], [1])).warm_start([[0.5]] * 5, [1] * 5), "of a finite domain, but this one is not"),
    ],
)
def test_what_is_no_source_is_refused(act, text: str):
    with pytest.raises(InvalidArgumentError, match=text):
        act(LaMcts(DOMAIN))
