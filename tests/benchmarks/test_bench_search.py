from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import bench_search
import numpy as np
import pytest
from helpers.storages import postgresql_or_skip
from search_benchmark import compare, crowd, faults, simulate, small
from search_benchmark.estimates import quantiles_ms, roofline_of
from search_benchmark.figures import figures

from gpunet.errors import InvalidArgumentError
from gpunet.search import LaMcts, RandomSearch, RecipeTrainer, Tier
from gpunet.search.study.study import Study


@pytest.fixture
def study(tmp_path: Path):
    made = small.make_study(str(tmp_path / "study.sqlite"), tmp_path, trials=2, epochs=1, optimizer="random")
    yield made
    made.storage.close()


@pytest.fixture
def postgresql() -> None:
    """The benchmarks start a server of their own."""
    postgresql_or_skip()


def trial(study: Study, choice: int, end: str = "COMPLETE") -> int:
    """A trial of the space's network that has this digit; ended, with one epoch, unless its end is RUNNING."""
    vector = [choice, *[0] * (len(study.definition.space.digits) - 1)]
    record = study.create_trial(vector, 1.0, f"{choice}-{len(study.frozen())}", session=1)
    trial_id = study.trial_id(record.number)
    study.storage.report(trial_id, 1, 50.0)
    if end != "RUNNING":
        study.storage.finish(trial_id, study.optuna.trial.TrialState[end], 50.0)
    return record.number


def worked_on(study: Study, number: int, log: str) -> None:
    folder = study.trial_folder(number)
    folder.mkdir(parents=True)
    (folder / "steps.log").write_text(log)


# ------------------------------------------------------------------- simulate


def test_a_sound_record_has_no_faults(study: Study):
    trial(study, 0)
    trial(study, 1, "PRUNED")
    assert simulate.check(study, 2) == []


def test_faults_of_a_record_are_found(study: Study):
    trial(study, 0)
    trial(study, 0, "FAIL")
    trial(study, 1, "RUNNING")
    assert simulate.check(study, 2) == [
        "trial 1 is failed", "trial 2 is running", "there are 3 trials, not 2", "a network was proposed twice",
        "small has 1 RUNNING",
    ]  # fmt: skip


def test_the_hidden_function_is_smooth_and_has_one_best_network():
    choices = np.array([4] * 41)
    generator = np.random.default_rng(0)
    drawn = generator.integers(4, size=(200, 41))
    values = [crowd.hidden_top1_percent(vector, choices) for vector in drawn]
    assert 60 < min(values) < max(values) < 80
    for vector in drawn[:20]:
        near = vector.copy()
        near[7] = (near[7] + 1) % 4
        change = crowd.hidden_top1_percent(near, choices) - crowd.hidden_top1_percent(vector, choices)
        assert 0 < abs(change) < 2


def test_figures_of_values():
    found = figures([1.0, 2.0, 3.0, 10.0])
    assert found["count"] == 4
    assert (found["mean"], found["p50"], found["max"]) == (4.0, 2.5, 10.0)
    assert figures([])["count"] == 0


@pytest.mark.slow
@pytest.mark.usefixtures("postgresql")
def test_a_small_simulation(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "scale.json"
    bench_search.main(["--simulate", "--workers", "6", "--trials", "20", "--wait-s", "0.5", "--processes", "2",
                       "--epochs", "2", "-o", str(path)])  # fmt: skip
    said = capsys.readouterr().out
    assert "6 workers in 2 processes, 20 trials of lamcts" in said
    assert "PASS: a trial costs" in said
    found = json.loads(path.read_text())
    assert found["faults"] == []
    assert found["costs"]["sum_s"]["count"] == len(found["trial_costs"]) == 20
    assert found["ends"] == {"all 20 trials have ended": 6}
    for each in found["trial_costs"]:
        assert each["asking_s"] > 0
        assert each["reporting_s"] > 0
        assert each["telling_s"] > 0
    assert found["calls_s"]["report"]["count"] == sum(each["epochs"] for each in found["trial_costs"])
    assert found["rounds"]["served"]["count"] > 0


# --------------------------------------------------------------------- faults


def batches() -> int:
    images, ranking, _ = small.DATA.ranking(small.BATCH)
    return len(images) // small.BATCH + -(-len(ranking) // small.BATCH)


def test_a_soak_that_lost_nothing_has_no_faults(study: Study):
    for choice in range(2):
        worked_on(study, trial(study, choice), "\n" + batches() * ".")
    found = faults.examined(study, "trial 0, 1 ms: complete, 50 %\ntrial 1, 1 ms: complete, 50 %\n", killed=0)
    assert found["faults"] == []
    assert (found["trials"], found["epochs"], found["steps_again"]) == (2, 2, 0)


def test_a_soak_finds_what_was_trained_twice_or_ended_twice(study: Study):
    worked_on(study, trial(study, 0), "\n" + batches() * "..")
    worked_on(study, trial(study, 1), "\n.\n" + batches() * ".")
    found = faults.examined(study, 2 * "trial 1, 1 ms: complete, 50 %\n", killed=0)
    assert found["faults"] == [
        "trial 1 was ended 2 times",
        f"trial 0: {2 * batches()} steps for 1 epochs in 1 attempts",
        "trial 1 was tried 2 times, of which 0 are on record",
        "1 trials were tried again after 0 kills",
    ]


@pytest.mark.slow
def test_a_short_soak_on_sqlite(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    short_soak(tmp_path, "sqlite")
    assert "PASS" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.usefixtures("postgresql")
def test_a_short_soak_on_postgresql(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    short_soak(tmp_path, "postgresql")
    assert "PASS" in capsys.readouterr().out


def short_soak(folder: Path, storage: str) -> None:
    path = folder / "soak.json"
    bench_search.main(["--faults", "0.4", "--workers", "2", "--epochs", "3", "--kill-s", "2", "4", "--kills", "2",
                       "--heartbeat-s", "0.5", "--optimizer", "random", "--storage", storage,
                       "-o", str(path)])  # fmt: skip
    found = json.loads(path.read_text())
    assert found["faults"] == []
    assert found["killed"] >= 2
    assert found["trials"] >= 4
    assert found["epochs"] == 3 * found["trials"]


# -------------------------------------------------------------------- compare


def finished(tier: int, kind: str, seed: int, *found: float) -> Any:
    return compare.ComparedRun(tier, kind, seed, None, len(found), list(found))  # type: ignore[arg-type]


def test_the_means_of_the_best_are_compared_in_every_tier():
    runs = [
        finished(0, "lamcts", 0, 50, 70), finished(0, "random", 0, 60, 50), finished(0, "lamcts", 1, 90),
        finished(0, "random", 1, 80), finished(1, "lamcts", 0, 60), finished(1, "random", 0, 61),
        finished(1, "lamcts", 1, 60), finished(1, "random", 1, 61),
    ]  # fmt: skip
    found, wrong = compare.summary(runs, ["fast", "slow"], [10.0, 20.0, 90.0])
    assert [row["tier"] for row in found["rows"]] == ["fast", "slow", "all tiers"]
    assert [row["lamcts_mean"] for row in found["rows"]] == [80, 60, 70]
    assert [row["random_mean"] for row in found["rows"]] == [70, 61, 65.5]
    assert [row["lamcts_spread"] for row in found["rows"]] == [10, 0, 5]
    assert found["networks"] == {"count": 3, "random_median": 61, "best": 90}
    assert wrong == ["slow: random search found 61.00 %, LA-MCTS 60.00 %"]


def test_where_accuracies_are_saturated_nothing_is_shown():
    runs = [finished(0, "lamcts", 0, 90.0), finished(0, "random", 0, 70.0, 86.0, 87.0)]
    _, wrong = compare.summary(runs, ["fast"], [70.0, 86.0, 87.0, 90.0])
    assert wrong == ["accuracies are saturated: the median random network has 86.00 %, the best 90.00 %"]


@pytest.mark.slow
def test_a_small_comparison_trains_each_network_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    trainer = RecipeTrainer(small.SPACE, small.recipe(1), small.DATA, device="cpu")
    estimator = roofline_of(small.SPACE)
    low_ms, middle_ms, high_ms = quantiles_ms(small.SPACE, estimator, (0.0, 0.5, 1.0))
    options = {"cache": tmp_path / "top1.json", "seeds": 2, "trials": 2, "jobs": 1}
    tiers_ms = [(low_ms, middle_ms), (middle_ms, high_ms)]
    found, _ = compare.compare_in(small.SPACE, estimator, trainer, tiers_ms, **options)
    assert "random search with 4, 2 seeds" in capsys.readouterr().out
    assert found["trained"] == found["networks"]["count"] > 8
    again, _ = compare.compare_in(small.SPACE, estimator, trainer, tiers_ms, **options)
    assert again["trained"] == 0
    assert again["rows"] == found["rows"]
    kept = json.loads((tmp_path / "top1.json").read_text())["top1_percent"]
    for make, kind, count in ((LaMcts, "lamcts", 2), (RandomSearch, "random", 4)):
        best = []
        for seed in range(2):
            optimizer, values = make(Tier(small.SPACE, estimator, low_ms, middle_ms), seed=seed), []
            for _ in range(count):
                point = optimizer.ask()[0]
                values.append(kept[" ".join(map(str, point))])
                optimizer.tell(point, values[-1])
            best.append(max(values))
        assert found["rows"][0][f"{kind}_mean"] == pytest.approx(np.mean(best))


def test_accuracies_of_another_recipe_are_refused(tmp_path: Path):
    path = tmp_path / "top1.json"
    for epochs in (1, 2):
        trainer = RecipeTrainer(small.SPACE, small.recipe(epochs), small.DATA, device="cpu")
        if epochs == 1:
            with compare.Accuracies(trainer, path, 1):
                pass
            continue
        with pytest.raises(InvalidArgumentError, match="accuracies of another space, recipe or data") as error:
            compare.Accuracies(trainer, path, 1)
        assert error.value.hint == "Name another file."


def test_one_mode_must_be_named(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        bench_search.main([])
    assert "one of the arguments --simulate --faults --compare is required" in capsys.readouterr().err
