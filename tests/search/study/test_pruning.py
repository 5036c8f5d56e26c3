from __future__ import annotations

import json
from typing import Any

import numpy as np
import optuna
import pytest
from helpers.studies import Place, Time, definition, every_network
from optuna.trial import TrialState

from gpunet.search.study.definition import Pruning
from gpunet.search.study.pruning import READING_PART, Pruner, pruner_of, summary_of
from gpunet.search.study.study import Study


def made(study: Study, row: int) -> int:
    return study.create_trial(every_network()[row].tolist(), 0.5, f"key {row}", 1).number


class Run:
    """A trial that reports, and asks."""

    def __init__(self, study: Study, pruner: Pruner, number: int) -> None:
        self.study, self.pruner, self.number = study, pruner, number
        self.id, self.curve = study.trial_id(number), {}

    def report(self, epoch: int, value: float) -> bool:
        self.study.storage.report(self.id, epoch, value)
        self.curve[epoch] = value
        return self.pruner.should_prune(self.number, self.id, dict(self.curve))

    def end(self) -> None:
        self.study.storage.finish(self.id, TrialState.COMPLETE, max(self.curve.values()))


def test_the_median_ends_what_is_worse(place: Place) -> None:
    pruning = Pruning("median", warmup_epochs=2, startup_trials=3)
    study = place.create(definition(pruning=pruning, epochs=4))
    time = Time()
    pruner = Pruner(study, time)
    for row, worth in enumerate((50.0, 60.0, 70.0)):
        run = Run(study, pruner, made(study, row))
        assert not any(run.report(epoch, worth + epoch) for epoch in range(1, 5))  # too few to compare with
        run.end()
    time.now_s += 1000  # the mirror is old
    bad, good = Run(study, pruner, made(study, 3)), Run(study, pruner, made(study, 4))
    assert not bad.report(1, 10.0)  # warming up
    assert bad.report(2, 11.0)
    assert not good.report(1, 80.0)
    assert not good.report(2, 81.0)
    assert pruner.should_prune(bad.number, bad.id, bad.curve)  # asked again after a restart
    # Another worker, with a mirror of its own, says the same.
    assert Pruner(place.open(), Time()).should_prune(bad.number, bad.id, bad.curve)


def test_hyperband_shares_its_rungs_between_workers(database: Place) -> None:
    database.name = "hyperband"  # it draws a trial's bracket by the study's name
    pruning = Pruning("hyperband", warmup_epochs=1, reduction_factor=2)
    study = database.create(definition(pruning=pruning, epochs=4, max_trials=40))
    other = database.open()
    time = Time()
    pruners = [Pruner(study, time), Pruner(other, time)]
    verdicts = {}
    for row in range(12):
        worker = row % 2
        run = Run((study, other)[worker], pruners[worker], made((study, other)[worker], row))
        for epoch in range(1, 5):
            time.now_s += 1000  # every mirror is read anew
            if run.report(epoch, (90.0 if row % 4 == 0 else 20.0) + epoch):
                verdicts[row] = epoch
                study.storage.finish(run.id, TrialState.PRUNED)
                break
        else:
            run.end()
    assert verdicts
    assert not [row for row in verdicts if row % 4 == 0]
    assert {row % 2 for row in verdicts} == {0, 1}  # both workers prune
    rungs = [key for each in study.frozen() for key in each.system_attrs if "completed_rung" in key]
    assert rungs
    # A verdict leans on rungs that the other worker noted: each sees those of all trials in its mirror.
    time.now_s += 1000
    pruners[0].should_prune(0, study.trial_id(0), {1: 1.0})
    last = Run(study, pruners[0], made(study, 12))
    last.report(1, 99.0)
    mirrored = pruners[0].mirror.get_trials(deepcopy=False)
    noted = {each.number for each in mirrored if any("completed_rung" in key for key in each.system_attrs)}
    assert noted >= {each.number for each in study.frozen() if any("completed_rung" in k for k in each.system_attrs)}


def test_the_study_is_read_again_only_after_many_times_as_long(
    database: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = database.create(definition(pruning=Pruning("median"), epochs=100))
    time, readings = Time(), []
    frozen = study.frozen

    def slow() -> Any:
        readings.append(time.now_s)
        time.now_s += 2.0
        return frozen()

    monkeypatch.setattr(study, "frozen", slow)
    run = Run(study, Pruner(study, time), made(study, 0))
    for epoch in range(1, 61):
        run.report(epoch, 1.0)
        time.now_s += 5.0
    assert len(readings) == pytest.approx(60 * 5 * READING_PART / 2, abs=1)
    made(study, 1)
    Run(study, run.pruner, 1).report(1, 1.0)  # a trial that the mirror does not have yet
    assert len(run.pruner.mirror.get_trials(deepcopy=False)) == 2


def test_with_the_medians_of_who_proposed_the_study_is_not_read_for_minutes(
    database: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hundreds of workers that begin at once would all read it in the same moment."""
    study = database.create(definition(pruning=Pruning("median", startup_trials=3), epochs=100))
    time, readings = Time(), []
    frozen = study.frozen

    def noted() -> Any:
        readings.append(time.now_s)
        return frozen()

    monkeypatch.setattr(study, "frozen", noted)
    pruner = Pruner(study, time)

    def read_after(known: dict[str, float] | None, most_s: float = 1000.0) -> float | None:
        number = made(study, len(frozen()))
        run, began_s = Run(study, pruner, number), time.now_s
        pruner.begins(known)
        readings.clear()
        while not readings and time.now_s < began_s + most_s:
            run.report(1, 50.0)
            time.now_s += 10.0
        return readings[0] - began_s if readings else None

    assert 300 <= (read_after({"1": 40.0}) or 0) <= 910
    assert 300 <= (read_after({}) or 0) <= 910
    assert read_after({"1": 40.0}, 290.0) is None
    time.now_s += 1000
    assert read_after(None) == 0


def test_the_medians_of_who_proposed_end_what_optuna_would(database: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    pruning = Pruning("median", warmup_epochs=2, startup_trials=4)
    study = database.create(definition(pruning=pruning, epochs=6))
    generator = np.random.default_rng(0)
    verdicts = []
    for row in range(24):
        known = summary_of(pruning, study.trials())
        assert (known == {}) == (row < 4)
        by_medians, by_all = Pruner(study, Time()), Pruner(study, Time())
        by_medians.begins(json.loads(json.dumps(known)))
        run = Run(study, by_medians, made(study, row))
        for epoch in range(1, 7):
            end = run.report(epoch, float(generator.uniform(20, 30) + epoch))
            assert end == by_all.should_prune(run.number, run.id, dict(run.curve)), (row, epoch)
            if end:
                verdicts.append(epoch)
                study.storage.finish(run.id, TrialState.PRUNED)
                break
        else:
            run.end()
    assert len(verdicts) > 5
    assert by_medians.mirror is None


def test_other_pruners_know_nothing_of_medians() -> None:
    assert summary_of(Pruning("hyperband"), []) is None
    assert summary_of(Pruning(), []) is None


def test_a_trial_that_another_has_ended_is_not_pruned(database: Place) -> None:
    study = database.create(definition(pruning=Pruning("median", startup_trials=0)))
    run = Run(study, Pruner(study, Time()), made(study, 0))
    run.report(1, 50.0)
    study.storage.finish(run.id, TrialState.FAIL)
    late = Pruner(study, Time())
    assert not late.should_prune(0, run.id, {1: 1.0})


def test_a_trial_that_was_trained_to_its_end_is_not_pruned(database: Place) -> None:
    study = database.create(definition(pruning=Pruning("median", startup_trials=1), epochs=2))
    good = Run(study, Pruner(study, Time()), made(study, 0))
    assert [good.report(1, 50.0), good.report(2, 60.0)] == [False, False]
    good.end()
    bad = Run(study, Pruner(study, Time()), made(study, 1))
    assert [bad.report(1, 10.0), bad.report(2, 20.0)] == [True, False]


def test_no_pruner_and_no_curve(database: Place) -> None:
    study = database.create()
    made(study, 0)
    assert not Pruner(study, Time()).should_prune(0, study.trial_id(0), {1: 1.0})
    median = definition(pruning=Pruning("median"))
    assert pruner_of(optuna, definition().pruning, 3) is None
    database.name += "-median"
    other = database.create(median)
    assert not Pruner(other, Time()).should_prune(0, 0, {})
