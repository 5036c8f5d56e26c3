"""What a trial that was ended early would have come to."""

from __future__ import annotations

import pytest

from gpunet.search.study.curves import expected_end
from gpunet.search.study.trials import TrialRecord


def record(number: int, state: str, *curve: float) -> TrialRecord:
    reached = curve[-1] if curve else None
    return TrialRecord(number, state, (0, number), None, 1.0, reached, dict(enumerate(curve, 1)))


COMPLETE = [record(0, "complete", 30, 50, 70), record(1, "complete", 20, 45, 62), record(2, "complete", 40, 55, 71)]


def test_a_pruned_trial_gains_what_others_did_from_its_epoch_on():
    assert expected_end(record(3, "pruned", 10, 30), COMPLETE) == 30 + 17  # of 20, 17 and 16
    assert expected_end(record(3, "pruned", 10), COMPLETE) == 10 + 40


@pytest.mark.parametrize(
    ("trial", "others", "expected"),
    [
        (record(3, "complete", 10, 30, 40), COMPLETE, 40),
        (record(3, "failed"), COMPLETE, None),
        (record(3, "pruned"), COMPLETE, None),
        (record(3, "pruned", 10), COMPLETE[:2], 10),  # of too few nothing is said
        (record(3, "pruned", 1, 2, 3, 4), COMPLETE, 4),  # an epoch that no other reported
        (record(3, "pruned", 80, 90, 95), [record(n, "complete", 9, 8, 7, 6) for n in range(3)], 95),  # never a loss
    ],
)
def test_all_others_are_what_they_ended_with(trial: TrialRecord, others: list[TrialRecord], expected: float | None):
    assert expected_end(trial, others) == expected
