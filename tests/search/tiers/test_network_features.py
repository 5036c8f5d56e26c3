"""Features of networks by look-ups."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.spaces import SMALL_SPACE

from gpunet.errors import InvalidArgumentError
from gpunet.search import LaMcts, Tier
from gpunet.search.optimize.features import Features
from gpunet.search.tiers.network_features import NAMES, NetworkFeatures

FEATURES = NetworkFeatures(SMALL_SPACE.lookup_plan(num_classes=10))


def test_they_are_those_of_the_layers():
    vectors = SMALL_SPACE.canonical(SMALL_SPACE.lattice().draw(20, np.random.default_rng(0)))
    for vector, found in zip(vectors, FEATURES(vectors), strict=True):
        work = [key.work() for key in SMALL_SPACE.keys(vector, num_classes=10)]
        multiply_adds = sum(each.multiply_adds + each.depthwise_multiply_adds for each in work)
        activations = sum(each.activation_elements for each in work)
        expected = [
            np.log(multiply_adds),
            np.log(sum(each.weight_elements for each in work)),
            np.log(activations),
            np.log(sum(each.operations for each in work)),
            sum(each.swish_elements for each in work) / activations,
        ]
        assert np.allclose(found, expected)
    assert FEATURES(vectors[:0]).shape == (0, len(NAMES))
    with pytest.raises(InvalidArgumentError, match="must be a choice index"):
        FEATURES(np.full((1, len(SMALL_SPACE.digits)), 99))


def test_a_tiers_features_reach_the_model():
    class Equal:
        """Every layer takes 1 ms."""

        plan = SMALL_SPACE.lookup_plan(num_classes=10)
        arrays = plan.fill(lambda key: 1.0)

    tier = Tier(SMALL_SPACE, Equal(), 0, 1000)
    features = Features(tier)
    assert features.derived.sum() == len(NAMES)
    assert features.derived[-len(NAMES) :].all()
    points = tier.draw(300, np.random.default_rng(1))
    scaled = features(points)[:, features.derived]
    assert ((np.median(scaled, axis=0) > 0.1) & (np.median(scaled, axis=0) < 0.9)).all()
    optimizer = LaMcts(tier, seed=0, initial=4)
    for _ in range(7):
        point = optimizer.ask()[0]
        optimizer.tell(point, float(FEATURES(point[None])[0, 0]))
    assert tier.contains(optimizer.points).all()
    theta = optimizer.learned()["theta"]
    assert len(theta) == 2 * (tier.dimensions + len(NAMES)) + 4
