"""What a trial that was ended early would have come to, by the curves of those that were trained to the end."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gpunet.search.study.trials import TrialRecord

LEAST = 3  # curves from which anything is said


def expected_end(trial: TrialRecord, trials: Sequence[TrialRecord]) -> float | None:
    """Top-1 in percent at the end of a trial; of one that was pruned what is expected, None of one without a value.

    A pruned trial's last accuracy is no measure of its network: at a tenth of the epochs every network is poor. Others
    gained something from that epoch on to their end, and this one is taken to gain the median of that. Where fewer than
    three complete trials reported the epoch, it is the last accuracy itself.

    Args:
        trial: one that has ended.
        trials: all of the study.
    """
    if trial.state != "pruned" or trial.top1_percent is None:
        return trial.top1_percent
    gains = [
        each.top1_percent - each.curve[trial.epochs]
        for each in trials
        if each.state == "complete" and each.top1_percent is not None and trial.epochs in each.curve
    ]
    if len(gains) < LEAST:
        return trial.top1_percent
    return trial.top1_percent + max(0.0, float(np.median(gains)))
