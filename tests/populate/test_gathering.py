"""A report at any time: of a folder of state at each point of its way, and of studies that populate did not make."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from helpers import publications, studies
from helpers.tables import CONDITIONS, table_of

from gpunet.cli.main import main
from gpunet.errors import InvalidArgumentError, ReportError
from gpunet.latency.table import LatencyTable
from gpunet.latency.worth import WholeNetwork, Worth
from gpunet.populate import report_stage, winner_stage
from gpunet.populate.context import Context
from gpunet.populate.gathering import report_of
from gpunet.populate.place import StateFolder, write_json
from gpunet.populate.presets import PRESETS
from gpunet.populate.search_stage import study_name
from gpunet.populate.tier_stage import TierFound, tiers_of
from gpunet.populate.workbench import Workbench
from gpunet.report.data import Report, write_report
from gpunet.runtime.measurement import Measurement
from gpunet.search.study.study import Study
from gpunet.search.study.trials import TrialRecord
from gpunet.search.work.creation import create_study
from gpunet.search.work.summary import WorkerSettings
from gpunet.search.work.worker import Worker

TRIALS = 4


class State:
    """A folder of state that a test fills, step by step."""

    def __init__(self, folder: Path) -> None:
        plan = PRESETS["demo-small"]()
        search = dataclasses.replace(plan.search, trials=TRIALS, random_trials=2)
        plan = dataclasses.replace(plan, space=studies.SPACE, search=search)
        self.folder = folder
        self.context = Context(plan, StateFolder(folder, plan), print)
        with self.context.place.held():
            pass

    def report(self) -> Report:
        return report_of(self.folder)

    def table(self) -> None:
        table_of(self.context.place.table, 5)

    def tiers(self) -> None:
        found = [TierFound(0, 0.0, 1.0, [], 9, [0.5, 1.0], [9]), TierFound(1, 1.0, None, [], 3, [1.0, 2.0], [3])]
        write_json(self.context.place.tiers, {"sampled": 12, "tiers": [dataclasses.asdict(each) for each in found]})

    def search(self, tier: int, trials: int, *, random: bool = False) -> Study:
        name, place = study_name(self.context, tier, random=random), self.context.place
        return searched(place.storage, name, place.search_folder(name), trials, budget=2 if random else TRIALS)

    def win(self, tier: int) -> None:
        study = self.search(tier, TRIALS)
        (self.folder / "model").touch()
        winner_stage.run(self.context, Bench(self.context, tier))
        study.storage.close()


class Bench(Workbench):
    """Measures what fits; the measuring itself runs in test_populate_zoo.py, for real."""

    def __init__(self, context: Context, tier: int) -> None:
        super().__init__(context)
        self.tier = tiers_of(context)[tier]

    def tiers(self) -> list[TierFound]:
        return [self.tier]

    def check_machine(self) -> None:
        pass

    def measured(self, record: TrialRecord) -> Measurement:
        return publications.measurement(0.9)

    def fine_tune(self, tier: TierFound, record: TrialRecord) -> None:
        pass

    def exported(self, tier: TierFound, record: TrialRecord) -> dict[str, Any]:
        return {
            "trial": record.number, "vector": list(record.vector), "weights": "model", "artefact": "model",
            "measurement": publications.measurement(0.9).to_dict(), "estimated_ms": 0.8, "top1_percent": 91.0,
            "top5_percent": 99.0, "images": 360, "data": "digits",
        }  # fmt: skip


def searched(url: str | Path, name: str, folder: Path | None, trials: int, *, budget: int = TRIALS) -> Study:
    """A study some of whose trials have ended."""
    study = create_study(url, name, studies.definition(max_trials=budget), folder=folder)
    settings = WorkerSettings(trials=trials)
    if trials:
        Worker(study, studies.Trainer(), studies.estimator(), settings, say=lambda line: None).work()
    return study


def files_of(folder: Path) -> set[str]:
    """Without those that SQLite makes beside a file that is read."""
    return {path.name for path in folder.iterdir() if not path.name.endswith(("-wal", "-shm"))}


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(tmp_path / "state")


def test_a_run_is_shown_from_its_first_minute_to_its_last(state: State):
    assert state.report().missing == ("the latency table, and all that comes after it",)
    assert state.report().board == "not known yet"
    state.table()
    [said] = state.report().missing
    assert said == "tiers; the latency table has 5 layers and 0 of 3 networks so far"
    assert state.report().board == CONDITIONS.fingerprint.processor
    state.tiers()
    report = state.report()
    assert [tier.name for tier in report.tiers] == ["tier 0", "tier 1"]
    assert "small-tier-0: the search has not begun" in report.missing
    state.search(0, 3)
    report = state.report()
    assert [len(tier.complete) for tier in report.tiers] == [3, 0]
    assert f"small-tier-0: 3 of {TRIALS} trials have ended" in report.missing
    assert "small-tier-0-random: the search has not begun" in report.missing
    assert "small_0, the winner of tier 0 (0 to 1 ms): none yet" in report.missing
    state.search(0, 2, random=True)
    state.win(0)
    report = state.report()
    assert len(report.tiers[0].random_top1_percent) == 2
    [winner] = report.networks
    assert (winner.name, winner.measured_ms, winner.top1_percent) == ("small_0", 0.9, 91.0)
    assert not [each for each in report.missing if "tier-0" in each]
    assert "small_0, the winner of tier 0, has not been published yet" in report.missing


def test_what_is_not_as_it_should_be_stands_at_the_top(state: State, capsys: pytest.CaptureFixture[str]):
    """A winner that measures outside of its own tier, by a table that was disturbed."""
    state.table()
    state.tiers()
    said = json.loads(state.context.place.tiers.read_text())
    said["tiers"][0]["low_ms"] = 0.95  # measured: 0.9, by the tolerance of 75 % inside; estimated: 0.8
    worth = Worth((WholeNetwork(9, 1.1, 1.0), WholeNetwork(7, 0.9, 1.0)), spread_percent=40.0, moved_layers=3)
    write_json(state.context.place.tiers, {**said, "worth": worth.to_dict()})
    state.win(0)
    report_stage.run(state.context, pictures=False)
    report = state.report()
    assert report.doubts == (
        f"the latency table {worth}", "small_0 measures 0.9 ms, outside of its tier (0.95 to 1 ms)",
    )  # fmt: skip
    assert [(each.estimated_ms, each.measured_ms) for each in report.whole] == [(1.1, 1.0), (0.9, 1.0)]
    assert f"[report] NOTE: {report.doubts[1]}" in capsys.readouterr().out
    text = (state.folder / "report.html").read_text(encoding="utf-8")
    assert text.index("To be noted") < text.index("Latency against accuracy")
    assert "estimates 2 networks within 10.0 % in the mean" in text
    assert winner_stage.winner_of(state.context, tiers_of(state.context)[0]) is not None
    strict = dataclasses.replace(state.context.plan.fine_tune, tolerance_percent=None)
    context = Context(dataclasses.replace(state.context.plan, fine_tune=strict), state.context.place, print)
    assert context.tolerance_percent == pytest.approx(20.0)  # twice what the table's own error is


def test_a_tier_in_which_nothing_measures_says_so(state: State):
    state.table()
    state.tiers()
    write_json(state.context.place.winner_folder(0) / "winner.json", {"winner": None, "rejected": [{}, {}]})
    said = "small_0, the winner of tier 0 (0 to 1 ms): none of 2 networks that were measured lies inside the tier"
    assert said in state.report().missing


def test_reporting_writes_nothing_but_the_page(state: State, capsys: pytest.CaptureFixture[str]):
    state.table()
    state.tiers()
    state.search(0, 1)
    before = files_of(state.folder)
    main(["report", str(state.folder), "--no-png", "--json"])
    said = json.loads(capsys.readouterr().out)
    assert f"small-tier-0: 1 of {TRIALS} trials have ended" in said["missing"]
    assert files_of(state.folder) == before | {"report.html"}
    assert "small-tier-0: 1 of 4 trials have ended" in (state.folder / "report.html").read_text(encoding="utf-8")


def test_bare_studies_are_shown_by_their_file_their_folder_and_their_checkpoints(tmp_path: Path):
    study = searched(tmp_path / "search.sqlite", "mine", None, 2)
    searched(tmp_path / "search.sqlite", "mine-random", None, 1)
    with LatencyTable(tmp_path / "table.sqlite", CONDITIONS):
        pass
    for place in (tmp_path / "search.sqlite", tmp_path, study.folder):
        report = report_of(place)
        [tier] = report.tiers
        assert (tier.name, len(tier.complete)) == ("mine", 2)
        assert f"mine: 2 of {TRIALS} trials have ended" in report.missing
        assert [each for each in report.missing if each.startswith("winners: a search alone fine-tunes none")]
    assert len(report_of(tmp_path).tiers[0].random_top1_percent) == 1


def test_a_folder_that_was_taken_away_from_its_database_shows_the_report_that_it_has(
    state: State, monkeypatch: pytest.MonkeyPatch
):
    state.table()
    state.tiers()
    written = state.report()
    write_report(written, state.folder)
    plan = json.loads((state.folder / "plan.json").read_text(encoding="utf-8"))
    plan["search"]["storage"] = "postgresql://nobody@127.0.0.1:1/nothing"
    write_json(state.folder / "plan.json", plan)
    monkeypatch.setattr("gpunet.populate.search_stage._READING_PATIENCE_S", 0.0)
    assert state.report() == written


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *(("plan.json", text) for text in ("", "{", "[]", "{}", "[" * 100_000, '{"plan_version": 99}')),
        *(("tiers.json", text) for text in ("", "{", "[]", "{}", "[" * 100_000, '{"tiers": [{"number": 0}]}')),
        *(("winners/tier-0/winner.json", text) for text in ("", "{", "[" * 100_000)),
    ],
)
def test_a_damaged_file_of_the_state_is_one_error(state: State, name: str, text: str):
    state.table()
    state.tiers()
    path = state.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    with pytest.raises((InvalidArgumentError, ReportError)) as error:
        state.report()
    assert (name in error.value.message, error.value.exit_code, bool(error.value.hint)) == (True, 6, True)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"search": 3, "table": 2}'])
def test_a_damaged_plan_stops_the_run_too(state: State, text: str):
    (state.folder / "plan.json").write_text(text, encoding="utf-8")
    with pytest.raises(InvalidArgumentError, match=r"plan\.json") as error, state.context.place.held():
        pass
    assert (error.value.exit_code, bool(error.value.hint)) == (6, True)
