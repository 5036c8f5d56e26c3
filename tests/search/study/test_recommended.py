"""The network of a study that is recommended."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.studies import SPACE, every_network

from gpunet.errors import StudyError
from gpunet.search.study.recommended import recommended
from gpunet.search.study.trials import TrialRecord


def record(number: int, vector: np.ndarray, top1: float | None, state: str = "complete") -> TrialRecord:
    return TrialRecord(number, state, tuple(vector.tolist()), None, 1.0, top1)


def test_what_is_expected_of_a_network_is_nearer_to_the_truth_than_its_lucky_training():
    vectors = every_network()
    true = 60 + 0.5 * vectors[:, 0] + 0.4 * vectors[:, -1] + 0.3 * vectors[:, -3]
    lucky, expected = [], []
    for seed in range(4):
        top1 = true + 0.8 * np.random.default_rng(seed).standard_normal(len(vectors))
        trials = [record(number, *pair) for number, pair in enumerate(zip(vectors, top1.tolist(), strict=True))]
        found = recommended(SPACE, [*trials, record(99, vectors[0], 99.0, "pruned")])
        lucky.append(found.trial.top1_percent - true[found.trial.number])
        expected.append(found.expected_percent - true[found.trial.number])
        assert found.low_percent <= found.expected_percent <= found.high_percent
        assert 0 < found.chance <= 1
        assert found.to_dict()["trial"]["top1_percent"] == found.trial.top1_percent
    assert np.abs(expected).mean() < np.abs(lucky).mean()


def test_where_nothing_is_complete_nothing_is_recommended():
    with pytest.raises(StudyError, match="no trial is complete, so none can be recommended"):
        recommended(SPACE, [record(0, every_network()[0], None, "failed")])
